"""Gaussian mixture of the intensities alone (scikit-learn): no neighbors, no bias field.

The plain alternative that shows what FAST's model adds: `benchmarks/segmentation.py` compares them.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from segmentation.interface import Segmentation

CLASSES = 3
PARTIAL_VOLUMES = False

# Enough for three means and variances; a 1 mm brain has two million voxels.
_FITTED_VOXELS = 200_000


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    threads: int,
    partial_volumes: bool,
) -> Segmentation:
    """Fit three Gaussians to the intensities in the mask and take their posteriors."""
    # slow to import, and every start of a run looks at the engine
    from sklearn.mixture import GaussianMixture

    values = image[mask].astype(np.float64)
    sample = values[:: max(1, values.size // _FITTED_VOXELS)]
    mixture = GaussianMixture(CLASSES, covariance_type="spherical", random_state=0)
    # k-means, its start, adds in another order on more threads, which would change the bytes.
    with threadpool_limits(1):
        mixture.fit(sample[:, None])
        order = np.argsort(mixture.means_[:, 0])
        found = mixture.predict_proba(values[:, None])[:, order].T
    posteriors = np.zeros((CLASSES, *image.shape), dtype=np.float32)
    posteriors[:, mask] = found
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[mask] = found.argmax(axis=0) + 1
    return Segmentation(
        posteriors=posteriors,
        labels=labels,
        bias_field=None,
        means=mixture.means_[order, 0],
        variances=mixture.covariances_[order],
        partial_volumes=None,
        engine="gmm",
    )
