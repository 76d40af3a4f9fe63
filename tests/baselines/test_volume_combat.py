"""Volumes harmonized by ComBat's kin: the published ports' numbers, closed forms, and statsmodels' mixed model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from baselines._random_intercept import fit_random_intercepts
from baselines.combat_volumes import CombatVolumes
from baselines.covbat import CovBat
from baselines.longcombat import LongCombat
from core.study import Scan, Study
from tests.support.paths import DATA


@pytest.fixture(scope="module")
def ports():
    """Made-up volumes, 14 of 9 people on 3 scanners but three scans, and what published ports make of them.

    longcombat-py 0.1.1 (REML, with and without empirical Bayes), neuroCombat 0.2.12, and for CovBat that twice, on
    volumes and without empirical Bayes on scores, with scikit-learn's principal components between.
    """
    with np.load(DATA / "volumes" / "ports.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def travelling(ports) -> Study:
    rows = zip(ports["people"], ports["scanners"], ports["age"], strict=True)
    return Study(
        tuple(
            Scan(f"p{person}", f"s{scanner}", Path("image"), Path("mask"), covariates={"age": repr(float(age))})
            for person, scanner, age in rows
        )
    )


def harmonized(method, study: Study, volumes: np.ndarray) -> np.ndarray:
    method.fit(study, volumes)
    return np.array([method.transform(scan, own) for scan, own in zip(study.scans, volumes, strict=True)])


@pytest.mark.parametrize(
    ("made", "parts", "case", "tolerance"),
    [
        # its iteration ends at a relative change of 1e-4
        (CombatVolumes, "regions", "combat", 1e-3),
        (CovBat, "regions", "covbat", 1e-2),
        # statsmodels' optimizer ends before ours
        (LongCombat, "regions", "long", 2e-3),
        (LongCombat, "tissues", "long_no_bayes", 2e-3),
    ],
)
def test_the_published_ports_numbers(ports, travelling, made, parts, case, tolerance):
    found = harmonized(made(made.Parameters(parts=parts, covariates="age")), travelling, ports["values"])
    assert np.abs(ports[case] - ports["values"]).max() > 3
    np.testing.assert_allclose(found, ports[case], rtol=0, atol=tolerance)


def test_covbat_harmonizes_as_many_components_as_the_port(ports, travelling):
    method = CovBat(CovBat.Parameters(covariates="age"))
    method.fit(travelling, ports["values"])
    assert len(method.scores["components"]) == ports["components"]


def test_of_a_balanced_study_longcombats_shifts_are_the_scanners_mean_differences():
    generator = np.random.default_rng(1)
    scans = [Scan(f"p{person}", f"s{scanner}", Path("i"), Path("m")) for person in range(6) for scanner in range(3)]
    volumes = 50 + np.repeat(generator.normal(0, 5, (6, 4)), 3, axis=0) + generator.normal(0, 1, (18, 4))
    volumes += np.tile([[0.0], [3.0], [-2.0]], (6, 4))
    method = LongCombat(LongCombat.Parameters(parts="tissues"))
    found = harmonized(method, Study(tuple(scans)), volumes)
    means = volumes.reshape(6, 3, 4).mean(axis=0)
    np.testing.assert_allclose(
        method.fitted.arrays["shift"] * method.fitted.arrays["deviation"], means - means.mean(axis=0), atol=1e-9
    )
    np.testing.assert_allclose(found.reshape(6, 3, 4).mean(axis=0) - means.mean(axis=0), 0, atol=1e-9)


def test_combat_keeps_n_less_one_of_n_parts_of_the_variance():
    """Its scales divide by n - 1 and its pooled variance by n, in the paper as in the ports."""
    generator = np.random.default_rng(2)
    scans = [Scan(f"p{person}", f"s{scanner}", Path("i"), Path("m")) for person in range(6) for scanner in range(3)]
    volumes = 600 + np.repeat(generator.normal(0, 30, (6, 3)), 3, axis=0) + np.tile([[0.0], [9.0], [-5.0]], (6, 3))
    found = harmonized(CombatVolumes(), Study(tuple(scans)), volumes)
    before, after = (values.reshape(6, 3, 3).var(axis=0) for values in (volumes, found))
    np.testing.assert_allclose(after, 5 / 6 * before)


def test_a_new_persons_intercept_is_the_share_of_what_the_scan_shows(ports, travelling):
    method = LongCombat(LongCombat.Parameters(parts="tissues", covariates="age"))
    method.fit(travelling, ports["values"])
    arrays, scan = method.fitted.arrays, Scan("new", "s1", Path("i"), Path("m"), covariates={"age": "70"})
    beyond = 6.0
    volumes = method.fitted.expected(scan) + arrays["effects"][1] + beyond
    own, rest = beyond * arrays["share"], beyond * (1 - arrays["share"])
    standard = (rest + arrays["effects"][1]) / arrays["deviation"] - arrays["shift"][1]
    expected = method.fitted.expected(scan) + own + standard / np.sqrt(arrays["scale"][1]) * arrays["deviation"]
    np.testing.assert_allclose(method.transform(scan, volumes), expected, rtol=1e-12)
    assert 0.5 < arrays["share"].min() < arrays["share"].max() < 1


def test_the_mixed_model_is_statsmodels(ports):
    design = np.column_stack([np.eye(3)[ports["scanners"]], ports["age"] - ports["age"].mean()])
    found = fit_random_intercepts(ports["values"], design, ports["people"])
    for outcome in range(5):
        fit = sm.MixedLM(ports["values"][:, outcome], design, groups=ports["people"]).fit(reml=True, method="lbfgs")
        np.testing.assert_allclose(found.coefficients[:, outcome], fit.fe_params, atol=1e-3)
        np.testing.assert_allclose(found.deviation[outcome], np.sqrt(fit.scale), rtol=1e-3)
        intercepts = [fit.random_effects[person].iloc[0] for person in range(9)]
        np.testing.assert_allclose(found.intercepts[:, outcome], intercepts, atol=1e-3)


def test_where_people_do_not_differ_there_are_no_intercepts():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(30, 1))
    people = np.arange(30) // 3
    # every person's mean is taken out: the estimate of the variance between them is at its bound
    values -= np.repeat(values.reshape(10, 3).mean(axis=1), 3)[:, None]
    found = fit_random_intercepts(values, np.ones((30, 1)), people)
    assert found.ratio[0] == 0
    np.testing.assert_array_equal(found.intercepts, 0)


def test_a_region_without_volume_stays(ports, travelling):
    for made in (CombatVolumes, CovBat, LongCombat):
        empty = np.column_stack([ports["values"], np.zeros(len(ports["values"]))])
        found = harmonized(made(made.Parameters(parts="regions")), travelling, empty)
        np.testing.assert_array_equal(found[:, -1], 0)
        assert np.abs(found[:, 0] - empty[:, 0]).max() > 1
