"""A made-up whole head around the atlas's brain: CSF, a dark skull, a bright scalp, a neck, and noise in the air."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from core.atlas import atlas_file
from core.images import load_image
from studies.preprocessing.arrays import reorient

EDGE_MM = 2.0


@cache
def whole_head(*, air: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head on voxels of 2 mm, float32 (X, Y, Z), its affine, and the brain in it, bool.

    `air` is the noise's SD, of a brain of 60 to 220; with 0 the air is exactly 0.
    """
    brain, affine = reorient(*load_image(atlas_file("t1")))
    brain = np.pad(brain[::2, ::2, ::2] * np.float32(220 / 255), ((10, 10), (12, 12), (30, 10)))
    affine = affine @ np.diag([EDGE_MM / abs(affine[0, 0])] * 3 + [1.0])
    affine[:3, 3] -= affine[:3, :3] @ [10, 12, 30]
    inside = brain > 0
    out = ndimage.distance_transform_edt(~inside, sampling=EDGE_MM)
    image = brain.copy()
    for bound, value in ((18.0, 200.0), (12.0, 12.0), (5.0, 45.0)):
        image[(out <= bound) & ~inside] = value
    places = np.argwhere(inside)
    center, low = places.mean(axis=0), places[:, 2].min()
    x, y, z = np.indices(brain.shape)
    across = np.hypot(x - center[0], y - center[1] + 8) * EDGE_MM
    neck = (z < low + 12) & (out > 5)
    image[neck & (across < 55)] = 110
    image[neck & (across < 9)] = 140
    image = ndimage.gaussian_filter(image, 0.5)
    noise = np.random.default_rng(0)
    if air:
        image = np.hypot(image + noise.normal(0, air, image.shape), noise.normal(0, air, image.shape))
    else:
        image[image < 3] = 0
    return image.astype(np.float32), affine, inside
