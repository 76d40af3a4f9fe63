"""Volumes harmonized by ComBat's kin: the published ports' numbers, closed forms, and statsmodels' mixed model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from baselines._random_intercept import fit_random_intercepts
from baselines.combat_volumes import CombatVolumes
from baselines.covbat import CovBat
from baselines.longcombat import LongCombat
from baselines.shuffle import shuffled
from baselines.shuffle_volumes import ShuffleVolumes
from core.errors import InputError
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


SPREADS = (0.5, 1.0, 2.0)
"""Of three scanners, how far what a person's volumes show beyond the model is stretched."""


def followed(people: int = 24, *, groups: str = "ab", seed: int = 0) -> tuple[Study, np.ndarray]:
    """A study of people in groups on three scanners, all followed up after 2 or 3 years, and five volumes (n, 5).

    Volumes fall by 4 mL a year, in the second group by 7. Scanners are apart and stretch what is beyond that.
    """
    generator = np.random.default_rng(seed)
    scans, volumes = [], []
    offsets = generator.normal(0, 3, (3, 5))
    for person in range(people):
        own, group = generator.normal(0, 20, 5), groups[person % len(groups)]
        for time in (0.0, 2.0 + person % 2):
            for scanner in range(3):
                beyond = offsets[scanner] + SPREADS[scanner] * generator.normal(0, 1, 5)
                volumes.append(600 + own - (7 if group == "b" else 4) * time + beyond)
                kind = {"covariates": {"group": group}, "session": f"y{time:g}", "time": time}
                scans.append(Scan(f"p{person}", f"s{scanner}", Path("i"), Path("m"), **kind))
    first = [place for place, scan in enumerate(scans) if not scan.time]
    later = [place for place, scan in enumerate(scans) if scan.time]
    study = Study(tuple(scans[place] for place in first), follow_ups=tuple(scans[place] for place in later))
    return study, np.array(volumes)[first + later]


def test_with_follow_ups_the_model_is_statsmodels_with_time_and_time_by_group():
    study, volumes = followed()
    method = LongCombat(LongCombat.Parameters(parts="tissues", covariates="group"))
    method.fit(study, volumes)
    scans, arrays = study.every, method.fitted.arrays
    time = np.array([scan.time for scan in scans])
    second = np.array([float(scan.covariates["group"] == "b") for scan in scans])
    scanners = np.eye(3)[[study.scanners.index(scan.scanner) for scan in scans]]
    people = [scan.subject for scan in scans]
    design = np.column_stack([scanners, second, time, time * second])
    for outcome in range(5):
        fit = sm.MixedLM(volumes[:, outcome], design, groups=people).fit(reml=True, method="lbfgs")
        np.testing.assert_allclose(arrays["over_time"][:, outcome], fit.fe_params[4:], atol=1e-3)
        np.testing.assert_allclose(arrays["slopes"][:, outcome], fit.fe_params[3:4], atol=1e-2)
        np.testing.assert_allclose(arrays["deviation"][outcome], np.sqrt(fit.scale), rtol=1e-3)
        assert arrays["mean"][outcome] == pytest.approx(fit.fe_params[:3].mean(), abs=1e-2)
    np.testing.assert_allclose(arrays["over_time"].mean(axis=1), [-4, -3], atol=0.2)


def changes_by_scanner(method: LongCombat, study: Study, volumes: np.ndarray) -> np.ndarray:
    """The mean change a year (scanners,) that harmonized volumes show."""
    found = [method.transform(scan, own) for scan, own in zip(study.every, volumes, strict=True)]
    at = {(scan.subject, scan.scanner, scan.time > 0): own for scan, own in zip(study.every, found, strict=True)}
    yearly = [
        [(at[scan.subject, scan.scanner, True] - at[scan.subject, scan.scanner, False]) / scan.time]
        for scan in study.follow_ups
    ]
    scanners = np.array([study.scanners.index(scan.scanner) for scan in study.follow_ups])
    return np.array([np.mean(np.array(yearly)[scanners == number]) for number in range(3)])


def test_a_change_is_stretched_by_no_scanner_where_the_model_knows_of_time():
    study, volumes = followed(groups="a")
    knows, knows_not = (LongCombat(LongCombat.Parameters(parts="tissues")) for _ in range(2))
    knows.fit(study, volumes)
    knows_not.fit(study.without_follow_ups(), volumes[: len(study.scans)])
    np.testing.assert_allclose(changes_by_scanner(knows, study, volumes), -4, atol=0.3)
    assert np.ptp(changes_by_scanner(knows_not, study, volumes)) > 2


def test_a_model_that_knows_of_time_is_kept_and_read(tmp_path):
    study, volumes = followed()
    method = LongCombat(LongCombat.Parameters(covariates="group"))
    before = harmonized_later(method, study, volumes)
    method.save(tmp_path)
    again = LongCombat(LongCombat.Parameters(covariates="group"))
    again.load(tmp_path)
    scans = zip(study.every, volumes, strict=True)
    np.testing.assert_array_equal([again.transform(scan, own) for scan, own in scans], before)
    # of somebody new, too, a follow-up is expected to have changed
    scan, later = (Scan("new", "s1", Path("i"), Path("m"), covariates={"group": "b"}, time=time) for time in (0.0, 3.0))
    np.testing.assert_allclose(again.fitted.expected(later) - again.fitted.expected(scan), -21, atol=2)


def harmonized_later(method: LongCombat, study: Study, volumes: np.ndarray) -> np.ndarray:
    method.fit(study, volumes)
    return np.array([method.transform(scan, own) for scan, own in zip(study.every, volumes, strict=True)])


def test_without_follow_ups_a_model_holds_nothing_of_time():
    study, volumes = followed()
    method = LongCombat(LongCombat.Parameters(covariates="group"))
    method.fit(study.without_follow_ups(), volumes[: len(study.scans)])
    assert not {"over_time", "by_group"} & set(method.fitted.arrays)


def test_time_by_group_takes_somebody_of_every_group(capsys):
    study, volumes = followed()
    some = [place for place, scan in enumerate(study.every) if not scan.time or scan.covariates["group"] == "a"]
    part = study.where(lambda scan: not scan.time or scan.covariates["group"] == "a")
    method = LongCombat(LongCombat.Parameters(covariates="group"))
    method.fit(part, volumes[some])
    assert len(method.fitted.arrays["over_time"]) == 1
    assert "longcombat: nobody of group b was followed up" in capsys.readouterr().err


def test_time_that_follows_from_a_covariate_is_refused():
    study, volumes = followed()
    older = [
        [replace(scan, covariates={"age": f"{70 + scan.time:g}"}) for scan in part]
        for part in (study.scans, study.follow_ups)
    ]
    method = LongCombat(LongCombat.Parameters(covariates="age"))
    with pytest.raises(
        InputError, match="longcombat: time since the first scan can't be told from 'age' and the scanner"
    ):
        method.fit(Study(tuple(older[0]), follow_ups=tuple(older[1])), volumes)


def test_a_fit_on_permuted_labels_is_given_follow_ups_under_the_label_of_their_scan():
    study, _ = followed()
    wrong = shuffled(study, np.random.default_rng(0))
    label = {(scan.subject, scan.scanner): other.scanner for scan, other in zip(study.scans, wrong.scans, strict=True)}
    assert [scan.scanner for scan in wrong.follow_ups] == [
        label[scan.subject, scan.scanner] for scan in study.follow_ups
    ]
    control = ShuffleVolumes(ShuffleVolumes.Parameters(base="longcombat"))
    assert control.fits_follow_ups
    assert not ShuffleVolumes().fits_follow_ups
    # who is followed up on a scanner that the first visit missed has one of the study's labels
    missed = study.where(lambda scan: scan.time > 0 or scan.scanner != "s1" or scan.subject != "p0")
    assert {scan.scanner for scan in shuffled(missed, np.random.default_rng(0)).follow_ups} == {"s0", "s1", "s2"}
    assert shuffled(missed.without_follow_ups(), np.random.default_rng(0)).scans == tuple(
        shuffled(missed, np.random.default_rng(0)).scans
    )


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
