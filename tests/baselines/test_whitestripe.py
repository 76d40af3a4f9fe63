"""White Stripe against the R package, and what must hold for any image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.whitestripe import normalize, white_stripe
from core.errors import InputError
from core.images import load_image
from tests.support.paths import DATA
from tests.support.shared import shared

ORACLE = DATA / "whitestripe_ravel"


@pytest.fixture(scope="module")
def oracle() -> tuple[dict, dict]:
    return dict(np.load(ORACLE / "inputs.npz")), dict(np.load(ORACLE / "r_outputs.npz"))


@pytest.mark.parametrize("number", range(12))
def test_mode_and_stripe_follow_r(oracle, number):
    inputs, outputs = oracle
    brain = inputs["images"][number][inputs["brain_mask"] > 0]
    mode, quantile, lower, upper, mean, sd, voxels = outputs["ws_params"][number]
    assert abs(white_stripe(brain).mode - mode) <= 0.3 * sd
    given_mode = white_stripe(brain, mode=mode)
    np.testing.assert_allclose(
        [given_mode.quantile, given_mode.lower, given_mode.upper], [quantile, lower, upper], rtol=1e-9
    )
    np.testing.assert_allclose([given_mode.mean, given_mode.sd], [mean, sd], rtol=1e-6)
    assert given_mode.voxels == voxels


@pytest.mark.parametrize("name", ["ds01_1mm", "ds02_2mm", "ds10_2mm"])
def test_mode_follows_r_on_real_scans(name):
    table = pd.read_csv(shared("oracle/whitestripe-ravel/real_scans.tsv"), sep="\t", index_col="image")
    image, _ = load_image(shared(f"oracle/fast/{name}_T1w.nii.gz"))
    expected = table.loc[name]
    assert abs(white_stripe(image[image > 0]).mode - expected["mode"]) <= 0.5 * expected["stripe_sd"]


def head(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Made-up brain voxels with three tissues, and their mask."""
    generator = np.random.default_rng(seed)
    tissues = generator.choice([400, 900, 1400], p=[0.2, 0.45, 0.35], size=(16, 16, 16))
    image = (tissues + generator.normal(0, 60, tissues.shape)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[2:-2, 2:-2, 2:-2] = True
    return np.where(mask, image, 0), mask


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([0.001, 0.3, 3.0, 1000.0]))
def test_a_scaled_image_gives_the_same_result(seed, factor):
    image, mask = head(seed)
    ours = normalize(image, mask, white_stripe(image[mask]))
    scaled = image * np.float32(factor)
    theirs = normalize(scaled, mask, white_stripe(scaled[mask]))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert np.all(ours[~mask] == 0)


def test_stripe_has_mean_zero_and_sd_one():
    image, mask = head(1)
    stripe = white_stripe(image[mask])
    inside = (image > stripe.lower) & (image < stripe.upper) & mask
    result = normalize(image, mask, stripe)[inside].astype(np.float64)
    assert abs(result.mean()) < 1e-5
    assert result.std(ddof=1) == pytest.approx(1, abs=1e-5)


def test_one_bright_vessel_does_not_move_the_mode():
    image, mask = head(2)
    stripe = white_stripe(image[mask])
    image[8, 8, 8] = 10 * image.max()
    assert abs(white_stripe(image[mask]).mode - stripe.mode) < 0.1 * stripe.sd


def test_few_gray_levels_are_refused():
    with pytest.raises(InputError, match="width"):
        white_stripe(np.repeat([1.0, 2.0], 500))
