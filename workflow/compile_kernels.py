"""`python -m workflow.compile_kernels`: what Numba compiles at its first use is compiled once, after installing.

The segmentation engine and SSIM's window; not Step 2's solver of MISPEL, whose code is for a number of scanners.
"""

from __future__ import annotations

import sys

import numpy as np

from core.gaussian_window import smooth
from core.names import SEGMENTER_SCALE, TISSUES
from segmentation.interface import segment

EDGE = 16
"""Voxels along an axis of the brain that is segmented for it."""


def main() -> int:
    """Segment and smooth a small made-up brain; 0."""
    generator = np.random.default_rng(0)
    classes = np.indices((EDGE, EDGE, EDGE)).sum(axis=0) // EDGE % len(TISSUES)
    image = (SEGMENTER_SCALE * (0.5 + 0.4 * classes + 0.03 * generator.standard_normal(classes.shape))).astype(
        np.float32
    )
    segment(image, np.ones(image.shape, dtype=bool), (5.0, 5.0, 5.0), engine="hmrf", partial_volumes=True)
    smooth(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
