"""What the phantom's scanners are calibrated to: how alike rescans and scanners are, and the variants."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from benchmarks.phantom import PAIRS, ends, scanned, share_of_scanner_variance, similarities, striped, variance_parts
from core.random_numbers import generator
from studies.simulation import scanner as scanning
from studies.simulation.anatomy import coarsen, make_anatomy
from studies.simulation.options import PAPER_SCANNERS, PhantomOptions
from studies.simulation.people import make_subject
from studies.simulation.physics import factors, shipped_scanners, tissues, variants
from studies.simulation.scanner import acquire, add_rician_noise, distortion

pytestmark = pytest.mark.slow

SUBJECTS = ("01", "02")


@pytest.fixture(scope="module")
def fine():
    """Two people at 1 mm."""
    return [(subject, make_anatomy(make_subject(0, subject), 0)) for subject in SUBJECTS]


@pytest.fixture(scope="module")
def brains(fine):
    """The same at 2 mm."""
    return [(subject, coarsen(anatomy, 2)) for subject, anatomy in fine]


@pytest.fixture(scope="module")
def masks(brains):
    return {subject: anatomy.mask for subject, anatomy in brains}


@pytest.fixture(scope="module")
def scans(brains):
    """By variant, every scan and rescan at 2 mm."""
    return {variant: scanned(brains, PhantomOptions(variant=variant)) for variant in variants()}


@pytest.fixture(scope="module")
def alike(scans, masks):
    """Mean SSIM of the calibrated variant by pair; (scanner, scanner) is its rescan."""
    return {pair: np.mean(values) for pair, values in similarities(scans["calibrated"], masks).items()}


def test_a_scanner_is_more_like_itself_than_like_any_other(alike):
    for pair in PAIRS:
        for name in pair:
            assert alike[name, name] > alike[pair] + 0.01, (pair, name)


def test_rescans_are_as_alike_as_real_ones(alike):
    rescans = {name: alike[name, name] for name in PAPER_SCANNERS}
    # 0.978 on a real scanner, averaged acquisitions; these are single ones
    assert all(0.95 < value < 0.99 for value in rescans.values())
    assert min(rescans, key=rescans.get) == "GE"
    assert max(rescans, key=rescans.get) == "Prisma"


def test_scanners_differ_in_the_papers_order(alike):
    assert min(PAIRS, key=alike.get) == ("GE", "Philips")
    assert max(PAIRS, key=alike.get) == ("Prisma", "Trio")


def test_white_stripe_gains_what_the_paper_says(scans, masks, alike):
    raw = scans["calibrated"]
    after = similarities(striped(raw, masks), masks, ends(raw, masks))
    gain = np.mean([np.mean(after[pair]) - alike[pair] for pair in PAIRS])
    assert 0.015 < gain < 0.045


def test_tissues_differ_between_scanners_as_real_ones_do(scans, brains):
    means = np.array(
        [
            [[scans["calibrated"][s][name, "1"][a.labels() == label].mean() for label in (1, 2, 3)] for s, a in brains]
            for name in PAPER_SCANNERS
        ]
    ).mean(axis=1)
    differences = np.abs(means - means[PAPER_SCANNERS.index("Prisma")])
    assert differences.max() < 0.11
    assert differences.max() > 0.06


def test_variants_are_ordered_by_the_share_of_scanner_variance(scans, masks):
    shares = [share_of_scanner_variance(scans[v], masks) for v in ("noise_heavy", "calibrated", "contrast_heavy")]
    assert all(after > before + 0.05 for before, after in itertools.pairwise(shares))


def test_noise_heavy_is_the_phantom_of_0_1_0(scans, masks):
    wanted = {
        "GE": [0.5749, 0.4192, 0.3666, 1.3121],
        "Philips": [0.7543, 0.4904, 0.4965, 1.3262],
        "Prisma": [0.5151, 0.3086, 0.4563, 1.2352],
        "Trio": [0.5409, 0.4176, 0.3803, 1.3318],
    }
    for name, values in wanted.items():
        scan = scans["noise_heavy"]["02"][name, "1"]
        np.testing.assert_allclose(scan[masks["02"]][10_000::40_000], values, atol=2e-4)


def test_variance_parts_of_known_variances():
    random = np.random.default_rng(0)
    values = random.normal(0, 2, (4, 1, 50_000)) + random.normal(0, 1, (4, 2, 50_000))
    between, within = variance_parts(values)
    assert between == pytest.approx(4, rel=0.03)
    assert within == pytest.approx(1, rel=0.03)


# Physics of voxel sizes and of a scanner's own warp --------------------------------------------------


def test_noise_of_a_voxel_is_that_of_the_average_of_its_parts():
    flat = np.ones((64, 64, 64), np.float32)
    noisy = add_rician_noise(generator(0, "noise"), flat, 0.05)
    average = noisy.reshape(32, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    for variant in ("calibrated", "contrast_heavy"):
        assert average.std() == pytest.approx(0.05 * factors(variant, 2)["noise"], rel=0.02)
        assert factors(variant, 1) == {"noise": 1, "misregistration": 1}
        assert factors(variant, 2)["misregistration"] == 1


def test_a_scan_has_the_noise_of_its_voxel_size(fine, brains, monkeypatch):
    monkeypatch.setattr(scanning, "NOISE_SPREAD", 0)
    monkeypatch.setattr(scanning, "SHIFT_MM", 0)
    prisma = dataclasses.replace(shipped_scanners()["Prisma"], misregistration_mm=0, distortion_mm=0)
    silent = dataclasses.replace(prisma, noise=0)
    for (subject, anatomy), wanted in ((fine[0], prisma.noise), (brains[0], prisma.noise / np.sqrt(8))):
        noisy, clean = (acquire(anatomy, s, tissues(), seed=0, subject=subject) for s in (prisma, silent))
        assert (noisy - clean)[anatomy.labels() == 3].std() == pytest.approx(wanted, rel=0.02)


def test_distortion_is_the_scanners_own(brains):
    (_, first), (_, second) = brains
    warps = [distortion(generator(0, "scanner", "GE"), anatomy, 0.7) for anatomy in (first, second)]
    np.testing.assert_array_equal(*warps)
    assert np.sqrt((warps[0] ** 2).sum(axis=0).mean()) == pytest.approx(0.7, rel=1e-4)
    assert not distortion(generator(0, "scanner", "GE"), first, 0).any()
