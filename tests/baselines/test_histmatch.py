"""Histogram matching."""

from __future__ import annotations

import numpy as np

from baselines.histmatch import HistogramMatching, quantile_function
from tests.support.methods import brain, fitted


def test_histogram_matching(study):
    from skimage.exposure import match_histograms

    arm = fitted(HistogramMatching(), study)
    expected = np.mean([quantile_function(brain(scan.read(), scan)) for scan in study.scans], axis=0)
    np.testing.assert_allclose(arm.reference, expected, rtol=1e-12)
    for scan in study.scans[:2]:
        matched = brain(arm.transform(scan), scan)
        np.testing.assert_array_equal(matched, match_histograms(brain(scan.read(), scan), arm.reference))
        np.testing.assert_allclose(np.quantile(matched, [0.1, 0.5, 0.9]), arm.reference[[999, 4999, 8999]], atol=2e-3)
