"""One battery over every method of volumes: a newcomer's is tested before its author writes a test."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baselines.harness.parameters import make_parameters
from baselines.harness.registry import image_method, methods, volume_method
from baselines.harness.saved import load_method, make_saved
from baselines.harness.volumes import (
    VolumeFiles,
    apply_volumes,
    apply_volumes_by_fold,
    check_volumes,
    fit_volumes,
    tell_of_negative,
)
from baselines.harness.withheld import Withheld
from baselines.interface import Context
from core import folds
from core.errors import Caution, InputError, NotApplicable
from core.files import read_table, write_table
from core.names import TISSUES
from core.sheet import read_sheet
from core.study import Scan, Study
from core.volume_tables import by_scan, of_scans, read_volumes, with_scans
from tests.support.made_up_study import write_study

NAMES = [name for name, method in methods().items() if method.gives == "volumes"]
RULES = ["volume_ml", "volume_ml_pve"]


def made_up(study: Study, regions: int = 5) -> pd.DataFrame:
    """Volumes in regions, by two rules, with a shift and a scale of each scanner."""
    generator = np.random.default_rng(3)
    people = {subject: generator.normal(0, 3, (regions, 3)) for subject in study.subjects}
    shifts = {scanner: generator.normal(0, 2, (regions, 3)) for scanner in study.scanners}
    rows = []
    for number, scan in enumerate(study.every):
        noise = generator.normal(0, 0.5 + number % 3, (regions, 3))
        values = 60 + people[scan.subject] + shifts[scan.scanner] + noise
        rows += [
            {
                "method": "raw",
                "subject": scan.subject,
                "scanner": scan.scanner,
                "session": scan.session,
                "rescan": scan.rescan,
                "region": region,
                "tissue": tissue,
                "volume_ml": values[region, place],
                "volume_ml_hard": np.nan,
                "volume_ml_pve": 1.1 * values[region, place],
            }
            for region in range(regions)
            for place, tissue in enumerate(TISSUES)
        ]
    return pd.DataFrame(rows)


def write_volumes(folder: Path, study: Study) -> VolumeFiles:
    """Tables of the made-up volumes, of tissues in two parts."""
    regions = made_up(study)
    ids = ["method", "subject", "scanner", "session", "rescan", "tissue"]
    whole = regions.groupby(ids, sort=False)[[*RULES, "volume_ml_hard"]].sum(min_count=1).reset_index()
    first = whole["subject"] == study.subjects[0]
    paths = folder / "volumes-0000.tsv", folder / "volumes-0001.tsv", folder / "regions-0000.tsv"
    for path, table in zip(paths, (whole[first], whole[~first], regions), strict=True):
        write_table(path, table)
    return VolumeFiles(paths[:2], paths[2:])


def fit(name: str, study: Study, files: VolumeFiles, folder: Path, **parameters) -> None:
    made = make_parameters(volume_method(name), parameters)
    fit_volumes(name, study, files, folder, parameters=made, context=Context(seed=1))


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Study:
    """Eight people, one of them scanned again."""
    study = read_sheet(write_study(tmp_path_factory.mktemp("people"), subjects=8), scale="brain")
    again = dataclasses.replace(study.scans[0], session="2", rescan=True)
    return dataclasses.replace(study, rescans=(again,))


@pytest.fixture(scope="module")
def files(people, tmp_path_factory) -> VolumeFiles:
    return write_volumes(tmp_path_factory.mktemp("volumes"), people)


@pytest.fixture(scope="module", params=[(name, parts) for name in NAMES for parts in ("tissues", "regions")], ids=str)
def model(request, people, files, tmp_path_factory):
    name, parts = request.param
    folder = tmp_path_factory.mktemp("models") / name
    settings = f"parts={parts}"
    given = {"settings": settings} if name == "shuffle_volumes" else {"parts": parts}
    fit(name, people, files, folder, **given)
    return name, folder, given


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in filter(Path.is_file, folder.rglob("*"))}


def test_a_method_that_knows_of_time_is_fitted_on_follow_ups(people, tmp_path):
    later = tuple(
        dataclasses.replace(scan, session="later", time=2.0 + number % 2) for number, scan in enumerate(people.scans)
    )
    followed = dataclasses.replace(people, follow_ups=later)
    first, second = write_volumes(tmp_path / "first", people), write_volumes(tmp_path / "later", Study(later))
    for path in second.tissues:
        write_table(path, read_table(path).assign(time=2.0))
    both = VolumeFiles((*first.tissues, *second.tissues))
    knows, not_told, other = (tmp_path / name for name in ("knows", "not_told", "other"))
    fit("longcombat", followed, both, knows, parts="tissues")
    fit("longcombat", people, first, not_told, parts="tissues")
    fit("combat_volumes", followed, both, other)
    for folder, expected in ((knows, True), (not_told, False), (other, False)):
        with np.load(folder / "volume_ml" / "combat.npz") as stored:
            assert ("over_time" in stored) == expected
    applied = apply_volumes("longcombat", knows, followed, both).tissues
    assert np.isfinite(applied["volume_ml"]).all()
    # whose volumes aren't there is asked for by name
    with pytest.raises(InputError, match="the volumes hold no sub-01_scanner-.*_session-later; give the table"):
        fit("longcombat", followed, first, tmp_path / "none", parts="tissues")


def test_there_are_some_and_they_describe_themselves():
    assert {"combat_volumes", "longcombat", "covbat"} <= set(NAMES)
    for name in NAMES:
        method = methods()[name]
        assert method.id == name
        assert method.label
        assert method.citation
        assert method.limits
        assert method().of == "raw"
        assert method().parts in ("tissues", "regions")


def test_an_arm_says_whose_volumes_it_harmonizes_and_by_what():
    made = volume_method("longcombat")
    assert made().variant == "(by region)"
    assert made(made.Parameters(parts="tissues", of="mispel")).variant == "(of mispel)"
    assert volume_method("combat_volumes")().variant == ""


def test_volumes_come_out_by_every_rule_and_the_rest_stays(model, people, files):
    name, folder, _ = model
    found = apply_volumes(name, folder, people, files).tissues
    before = pd.concat([read_table(path) for path in files.tissues])
    assert len(found) == 3 * len(people.every)
    kept = ["subject", "scanner", "session", "rescan", "tissue"]
    pd.testing.assert_frame_equal(found[kept].reset_index(drop=True), before[kept].reset_index(drop=True))
    for rule in RULES:
        assert np.abs(found[rule].to_numpy() - before[rule].to_numpy()).max() > 0.1
    assert found["volume_ml_hard"].isna().all()
    # one rule's volumes are 1.1 times the other's, whose model is its own: empirical Bayes ends by a tolerance
    np.testing.assert_allclose(found["volume_ml_pve"], 1.1 * found["volume_ml"], rtol=1e-4)


def test_harmonized_regions_come_out_too_and_sum_to_the_tissues(model, people, files):
    name, folder, given = model
    tissues, regions = apply_volumes(name, folder, people, files)
    if "tissues" in " ".join(given.values()):
        assert regions is None
        return
    before = read_table(files.regions[0])
    kept = ["subject", "scanner", "session", "rescan", "region", "tissue"]
    pd.testing.assert_frame_equal(regions[kept].reset_index(drop=True), before[kept])
    scan = ["subject", "scanner", "session", "tissue"]
    sums = regions.groupby(scan)[RULES].sum()
    pd.testing.assert_frame_equal(sums, tissues.set_index(scan)[RULES].sort_index())
    assert np.abs(regions["volume_ml"].to_numpy() - before["volume_ml"].to_numpy()).max() > 0.1


def test_scanners_means_come_together(model, people, files):
    name, folder, _ = model
    if methods()[name].control:
        pytest.skip("a control")
    found = apply_volumes(name, folder, people, files).tissues
    raw = read_volumes(files.tissues, "raw")

    def spread(table: pd.DataFrame) -> float:
        first = table[~table["rescan"]]
        return float(first.groupby(["tissue", "scanner"])["volume_ml"].mean().groupby("tissue").std().mean())

    assert spread(found) < 0.5 * spread(raw)


def test_a_scan_is_harmonized_alike_whoever_is_there(model, people, files):
    name, folder, _ = model
    if methods()[name].uses_other_scans:
        pytest.skip("it uses a person's other scans")
    scan = people.scans[4]
    alone = apply_volumes(name, folder, Study((scan,)), files).tissues
    all_of_them = with_scans(apply_volumes(name, folder, people, files).tissues)
    np.testing.assert_array_equal(alone[RULES], all_of_them.loc[all_of_them["scan"] == scan.name, RULES])


def test_the_same_volumes_give_the_same_bytes(model, people, files, tmp_path):
    name, folder, given = model
    fit(name, people, files, tmp_path / "again", **given)
    assert contents(tmp_path / "again") == contents(folder)


def test_a_held_out_persons_volumes_change_no_fitted_number(model, people, files, tmp_path):
    name, _, given = model
    study = folds.with_folds(people, dict(zip(people.subjects, "12345678", strict=True)))
    parameters = make_parameters(volume_method(name), given)
    context = Context(seed=1)
    options = {"withheld": Withheld("5"), "parameters": parameters, "context": context}
    fit_volumes(name, study, files, tmp_path / "one", **options)
    tables = []
    for path in (*files.tissues, *files.regions):
        table = read_table(path)
        table.loc[table["subject"] == people.subjects[4], RULES] *= 7
        write_table(tmp_path / path.name, table)
        tables.append(tmp_path / path.name)
    changed = VolumeFiles(tuple(tables[:2]), tuple(tables[2:]))
    fit_volumes(name, study, changed, tmp_path / "other", **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_left_out_scanner_is_unseen_or_not_for_it(model, people, files, tmp_path):
    name, _, given = model
    options = {
        "withheld": Withheld(scanner="Gamma"),
        "parameters": make_parameters(volume_method(name), given),
        "context": Context(seed=1),
    }
    if not methods()[name].unseen_scanners:
        with pytest.raises(NotApplicable, match="cannot be applied to scanners it was not fitted on"):
            fit_volumes(name, people, files, tmp_path / "model", **options)
        return
    fit_volumes(name, people, files, tmp_path / "model", **options)
    found = apply_volumes(name, tmp_path / "model", people, files).tissues
    assert set(found["scanner"]) == {"Alpha", "Beta 2", "Gamma"}


def test_everyone_by_the_model_without_them(model, people, files, tmp_path):
    name, _, given = model
    numbers = dict(zip(people.subjects, "12121212", strict=True))
    study = folds.with_folds(people, numbers)
    parameters = make_parameters(volume_method(name), given)
    for fold in "12":
        options = {"withheld": Withheld(fold), "parameters": parameters, "context": Context(seed=1)}
        fit_volumes(name, study, files, tmp_path / f"fold-{fold}", **options)
    found = apply_volumes_by_fold(name, tmp_path, study, files).tissues
    one = apply_volumes(name, tmp_path / "fold-2", study.select([people.subjects[1]]), files).tissues
    assert len(found) == 3 * len(people.every)
    pd.testing.assert_frame_equal(found[found["subject"] == people.subjects[1]], one)
    # a table may hold people of some folds alone
    alone = apply_volumes_by_fold(name, tmp_path, study, VolumeFiles(files.tissues[:1], files.regions)).tissues
    assert list(alone["subject"].unique()) == people.subjects[:1]


def test_an_unseen_scanner_is_refused_or_harmonized(model, people, files):
    name, folder, _ = model
    other = Study((dataclasses.replace(people.scans[0], scanner="Unheard-of"),))
    if not methods()[name].unseen_scanners:
        with pytest.raises(InputError, match="Unheard-of.*knows Alpha, Beta 2, Gamma"):
            apply_volumes(name, folder, other, files)


def test_a_missing_scan_does_not_stop_a_fit(model, people, files, tmp_path):
    name, _, given = model
    fewer = Study(people.scans[:4] + people.scans[5:])
    fit(name, fewer, files, tmp_path / "model", **given)
    assert len(apply_volumes(name, tmp_path / "model", fewer, files).tissues) == 3 * len(fewer.scans)


def test_a_changed_model_is_refused(model, tmp_path):
    name, folder, _ = model
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    file = next(path for path in sorted(copy.rglob("*.np[zy]")) or [copy / "method.json"])
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="changed since"):
        make_saved(volume_method(name), copy)


def test_what_no_method_may_give():
    scan = Scan("01", "Alpha", Path("a"), Path("b"))
    volumes = np.array([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=r"sub-01_scanner-Alpha: gave \(2,\)"):
        check_volumes(volumes[:2], volumes, scan, "mine")
    with pytest.raises(InputError, match="gave list"):
        check_volumes([1, 2, 3], volumes, scan, "mine")
    with pytest.raises(InputError, match="NaN or infinite"):
        check_volumes(volumes * np.nan, volumes, scan, "mine")
    for odd in (volumes + 1j, np.array(["1", "2", "3"]), volumes.astype(object), volumes > 0):
        with pytest.raises(InputError, match="transform must return real numbers"):
            check_volumes(odd, volumes, scan, "mine")
    with pytest.warns(Caution, match=r"mine gives volumes below 0 \(GM in 1 of 2 scans\)"):
        tell_of_negative(pd.DataFrame({"CSF": [1.0, 2.0], "GM": [-1.0, 1.0]}), "mine")


def test_volumes_that_cannot_be_used(people, files, tmp_path):
    table = read_table(files.tissues[0])
    with pytest.raises(InputError, match="no volumes of 'mispel'"):
        read_volumes(files.tissues, "mispel")
    write_table(tmp_path / "a.tsv", table.drop(columns="tissue"))
    with pytest.raises(InputError, match="no column 'tissue'"):
        read_volumes([tmp_path / "a.tsv"], "raw")
    with pytest.raises(InputError, match="twice"):
        by_scan(read_volumes([files.tissues[0], files.tissues[0]], "raw"), "volume_ml")
    with pytest.raises(InputError, match=f"hold no sub-{people.subjects[1]}"):
        of_scans(by_scan(read_volumes(files.tissues[:1], "raw"), "volume_ml"), people.scans)
    with pytest.raises(InputError, match="aren't all numbers"):
        of_scans(by_scan(read_volumes(files.tissues, "raw"), "volume_ml_hard"), people.scans)
    with pytest.raises(InputError, match="parts=regions takes volumes of regions"):
        fit("longcombat", people, VolumeFiles(files.tissues), tmp_path / "model")


def test_a_rule_that_it_was_not_fitted_on_is_refused(model, people, files, tmp_path):
    name, folder, _ = model
    tables = []
    for path in (*files.tissues, *files.regions):
        write_table(tmp_path / path.name, read_table(path).assign(volume_ml_hard=3.0))
        tables.append(tmp_path / path.name)
    with pytest.raises(InputError, match="was fitted on no volumes by volume_ml_hard"):
        apply_volumes(name, folder, people, VolumeFiles(tuple(tables[:2]), tuple(tables[2:])))


def test_images_and_volumes_are_not_mixed_up(model, tmp_path):
    name, folder, _ = model
    with pytest.raises(InputError, match="gives volumes, no images"):
        load_method(name, folder)
    with pytest.raises(InputError, match="gives volumes, no images"):
        image_method(name)
    with pytest.raises(InputError, match="gives images, no volumes"):
        volume_method("raw")


@pytest.mark.slow
def test_by_hand(sheet, tmp_path):
    files = write_volumes(tmp_path, read_sheet(sheet))

    def command(*words: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "baselines", *map(str, words)], capture_output=True, text=True)

    common = ["--scans", sheet, "--model", tmp_path / "model", "--volumes", *files.tissues]
    assert command("fit", "combat_volumes", *common).returncode == 0
    assert command("apply", "combat_volumes", *common, "--out", tmp_path / "out").returncode == 0
    found = read_table(tmp_path / "out" / files.tissues[0].name)
    assert set(found["method"]) == {"combat_volumes"}
    assert len(found) == len(read_table(files.tissues[0]))
    for words, message in (
        (("fit", "combat_volumes", *common[:4]), "give them, as --volumes"),
        (("apply", "combat_volumes", *common, "--out", tmp_path), "name another folder"),
        (("apply", "combat_volumes", *common, "--out", tmp_path / "out"), "or replace them with --overwrite"),
        (("fit", "zscore", *common), "harmonizes images, not volumes"),
    ):
        refused = command(*words)
        assert refused.returncode == 2
        assert message in refused.stderr
