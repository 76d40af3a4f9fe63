"""Arms that the library intensity-normalization provides: they give its numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from baselines.fcm import Fcm
from baselines.interface import Context
from baselines.kde import Kde
from baselines.lsq import Lsq
from baselines.nyul import Nyul
from baselines.whitestripe_library import WhiteStripeLibrary
from baselines.zscore import ZScore
from core.errors import InputError
from core.study import Scan
from tests.support.made_up_study import SHAPE, made_up_brain
from tests.support.methods import brain, fitted, write_scans


def adapters(scan: Scan, unit: float = 1.0):
    """A scan and its mask as the library's own three-dimensional images."""
    from intensity_normalization.adapters.images import NumpyImageAdapter

    return NumpyImageAdapter(scan.read() / unit), NumpyImageAdapter(scan.read_mask())


@pytest.mark.parametrize(
    ("arm", "module", "name"),
    [
        (ZScore, "individual.zscore", "ZScoreNormalizer"),
        (Fcm, "individual.fcm", "FCMNormalizer"),
        (WhiteStripeLibrary, "individual.whitestripe", "WhiteStripeNormalizer"),
    ],
)
def test_scan_by_scan_arms_are_the_library(study, arm, module, name):
    library = getattr(__import__(f"intensity_normalization.normalizers.{module}", fromlist=[name]), name)
    scan = study.scans[4]
    np.random.seed(3)
    expected = library().fit_transform(*adapters(scan)).get_data()
    found = fitted(arm(context=Context(seed=3)), study).transform(scan)
    np.testing.assert_allclose(brain(found, scan), brain(expected, scan), rtol=2e-4, atol=2e-5)
    assert not found[~scan.read_mask()].any()


def test_nyul_is_the_library(study):
    from intensity_normalization.normalizers.population.nyul import NyulNormalizer

    images, masks = zip(*map(adapters, study.scans), strict=True)
    library = NyulNormalizer().fit_population(images, masks)
    scan = study.scans[5]
    expected = library.transform(*adapters(scan)).get_data()
    found = fitted(Nyul(), study).transform(scan)
    np.testing.assert_allclose(brain(found, scan), brain(expected, scan), rtol=1e-5)


def test_kde_is_the_library_on_scans_in_standard_deviations_and_knows_no_unit(study):
    from intensity_normalization.normalizers.individual.kde import KDENormalizer

    scan = study.scans[3]
    voxels = brain(scan.read(), scan)
    unit = float(voxels[voxels <= np.percentile(voxels, 96)].std())
    expected = KDENormalizer().fit_transform(*adapters(scan, unit)).get_data()
    found = Kde().transform(scan)
    np.testing.assert_allclose(brain(found, scan), brain(expected, scan), rtol=1e-5)
    as_it_came = dataclasses.replace(scan, scale="none")
    np.testing.assert_allclose(Kde().transform(as_it_came), found, rtol=1e-4)
    white = brain(made_up_brain(int(scan.subject) - 1)[0], scan) == 3
    assert np.median(brain(found, scan)[white]) == pytest.approx(1, abs=0.03)


def test_lsq_is_the_least_squares_factor_to_the_first_scan(study):
    from skfuzzy import cmeans

    def tissue_means(voxels: np.ndarray) -> np.ndarray:
        np.random.seed(2)
        centers, memberships, *_ = cmeans(voxels[None].astype(float), 3, 2.0, error=0.005, maxiter=50)
        weights = memberships[np.argsort(centers.ravel())]
        return weights @ voxels / weights.sum(axis=1)

    arm = fitted(Lsq(context=Context(seed=2)), study)
    first, scan = study.scans[0], study.scans[7]
    standard = tissue_means(brain(first.read(), first))
    standard = standard / standard[0]
    before = brain(scan.read(), scan).astype(float)
    factor = brain(arm.transform(scan), scan) / before
    assert np.ptp(factor) < 1e-5
    means = tissue_means(before)
    assert factor[0] == pytest.approx(means @ standard / (means @ means), rel=1e-3)
    after = brain(arm.transform(first), first)
    np.testing.assert_allclose(tissue_means(after), standard, rtol=1e-3)


def test_the_librarys_chance_comes_from_the_seed_and_leaves_numpys_alone(study):
    np.random.seed(11)
    expected = np.random.random()
    np.random.seed(11)
    Fcm(context=Context(seed=1)).transform(study.scans[0])
    assert np.random.random() == expected


def test_the_librarys_errors_name_the_scan(study, tmp_path):
    _, mask = made_up_brain(0)
    scan = write_scans(tmp_path, {("01", "A"): np.full(SHAPE, 5.0)}, {"01": mask}).scans[0]
    with pytest.raises(InputError, match="zscore: sub-01_scanner-A: Standard deviation is zero"):
        ZScore().transform(scan)


def test_nyuls_landmarks():
    assert list(Nyul(Nyul.Parameters(step=40)).normalizer().percentiles) == [1, 10, 50, 90, 99]
    for wrong in ({"step": 30}, {"first": 10}, {"last": 90}):
        with pytest.raises(ValueError, match="landmark|step|last|first"):
            Nyul.Parameters(**wrong)
