"""Scores over studies: the share that is the scanner, and whether the order of arms holds."""

import numpy as np
import pandas as pd
import pytest

from evaluation.measures.registry import find
from evaluation.sensitivity import agreement_of_order, scanner_share, sentence


def test_the_scanners_share_is_what_a_rescan_does_not_have():
    ssim, volume = find("ssim"), find("volume_difference_pve")
    assert scanner_share(0.8, 0.95, ssim) == pytest.approx(0.75)
    assert scanner_share(0.8, 0.8, ssim) == 0
    assert scanner_share(0.8, 0.7, ssim) == 0
    assert scanner_share(16.0, 4.0, volume) == pytest.approx(0.75)
    assert np.isnan(scanner_share(1.0, 1.0, ssim))


def order(**scores: list[float]) -> pd.DataFrame:
    return agreement_of_order(
        pd.DataFrame(
            [
                {"run": run, "method": arm, "score": score, "rank": 1.0}
                for run, values in scores.items()
                for arm, score in zip("abc", values, strict=True)
            ]
        )
    )


def test_an_order_holds_or_not():
    held = order(first=[1, 2, 3], second=[0.1, 0.5, 0.9])
    assert held["tau"].tolist() == [1]
    assert "holds" in sentence(held)
    turned = order(first=[1, 2, 3], second=[3, 2, 1], third=[1, 3, 2])
    assert turned["tau"].tolist() == pytest.approx([-1, 1 / 3, -1 / 3])
    assert "doesn't hold" in sentence(turned)
    assert "too few" in sentence(order(first=[1, np.nan, np.nan], second=[1, 2, 3]))
