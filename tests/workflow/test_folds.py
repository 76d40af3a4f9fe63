"""Held-out evaluation: how people are divided, and that what is fitted never sees whom it is judged on."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.harness.applying import apply_by_fold
from baselines.harness.fitting import fit_method
from baselines.harness.withheld import Withheld
from baselines.raw import Raw
from core import folds
from core.errors import InputError, NotApplicable
from core.images import load_image, save_image
from core.sheet import read_sheet
from core.study import Study
from evaluation.arms.intensities import Intensities, measure_intensities, write_by_fold
from evaluation.arms.ranges import WHOLE, ArmImages
from studies.part_sheets import gather
from studies.sources import source
from tests.support.made_up_study import write_study

DIVISION = {"01": "1", "02": "2", "03": "1", "04": "2"}


def spread(counts: collections.Counter, names: list[str]) -> int:
    """By how much the folds' counts differ."""
    return max(counts[name] for name in names) - min(counts[name] for name in names)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_folds_and_strata_are_shared_out_evenly(data):
    people = data.draw(st.integers(2, 40))
    count = data.draw(st.integers(2, people))
    seed = data.draw(st.integers(0, 5))
    subjects = [f"{number:02d}" for number in range(people)]
    kinds = data.draw(st.sampled_from([["control", "patient", "third"], [9.0, 10.0, 70.5]]))
    strata = {subject: data.draw(st.sampled_from(kinds)) for subject in subjects}
    names = folds.fold_names(count)

    assigned = folds.assign_folds(subjects, count, seed=seed, strata=strata)
    assert list(assigned) == subjects
    assert set(assigned.values()) == set(names)
    assert spread(collections.Counter(assigned.values()), names) <= 1
    for kind in kinds:
        assert spread(collections.Counter(assigned[s] for s in subjects if strata[s] == kind), names) <= 1
    assert assigned == folds.assign_folds(subjects, count, seed=seed, strata=strata)
    plain = folds.assign_folds(subjects, count, seed=seed)
    assert spread(collections.Counter(plain.values()), names) <= 1


def test_numbers_are_shared_out_by_size_and_the_seed_counts():
    subjects = [f"{number:02d}" for number in range(24)]
    ages = {subject: 9.0 + number for number, subject in enumerate(subjects)}
    assigned = folds.assign_folds(subjects, 6, seed=3, strata=ages)
    for start in range(0, 24, 6):
        assert sorted(assigned[subject] for subject in subjects[start : start + 6]) == list("123456")
    assert assigned != folds.assign_folds(subjects, 6, seed=4, strata=ages)


@pytest.mark.parametrize("count", [1, 5])
def test_an_impossible_number_of_folds_is_refused(count):
    with pytest.raises(InputError, match=f"folds.count is {count} for 4 people"):
        folds.assign_folds(list("abcd"), count, seed=0)


def test_a_sheet_gets_its_folds(tmp_path):
    parts = write_parts(tmp_path)
    gather(parts, tmp_path / "scans.tsv", fold_count=2, stratify="age")
    study = read_sheet(tmp_path / "scans.tsv")
    parted = dict(folds.by_fold(study))
    assert list(parted) == ["1", "2"]
    assert sorted(subject for people in parted.values() for subject in people.subjects) == list(DIVISION)
    for fold, people in parted.items():
        others = folds.training(study, fold)
        assert not set(people.subjects) & set(others.subjects)
        assert len(people.scans) + len(others.scans) == len(study.scans)
    with pytest.raises(InputError, match="no fold '3' .column fold: "):
        folds.training(study, "3")

    # a run's sheet as the sheet of another run: its folds aren't taken over
    gather([tmp_path / "scans.tsv"], tmp_path / "again.tsv")
    assert [fold for fold, _ in folds.by_fold(read_sheet(tmp_path / "again.tsv"))] == [""]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("agee", "no column 'agee' .did you mean 'age'"),
        ("image", "image of subject '01' is .* give one value a person"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(tmp_path, column, message):
    with pytest.raises(InputError, match=message):
        gather(write_parts(tmp_path), tmp_path / "scans.tsv", fold_count=2, stratify=column)
    assert not (tmp_path / "scans.tsv").exists()


def write_parts(folder: Path) -> list[Path]:
    """A part sheet a person."""
    sheet = write_study(folder, subjects=4)
    table = pd.read_csv(sheet, sep="\t", dtype=str)
    sheet.unlink()
    for subject, rows in table.groupby("subject"):
        rows.to_csv(folder / f"sub-{subject}.tsv", sep="\t", index=False)
    return sorted(folder.glob("sub-*.tsv"))


def divided(folder: Path) -> Study:
    return folds.with_folds(read_sheet(write_study(folder, subjects=4), scale="brain"), DIVISION)


def evaluate(name: str, study: Study, folder: Path) -> None:
    """Models, images and ranges by fold, as a run makes them."""
    for fold in ("1", "2"):
        fit_method(name, study, folder / "models" / folds.folder_name(fold), withheld=Withheld(fold))
    apply_by_fold(name, folder / "models", study, folder / "images", folder / "training")
    images = ArmImages(name, study, folder / "images", folder / "training")
    write_by_fold(folder / "ranges.json", images.ranges())


@pytest.mark.parametrize("name", ["combat", "raw"])
def test_a_held_out_persons_scan_changes_nobodys_results_but_theirs(name, tmp_path):
    study = divided(tmp_path)
    evaluate(name, study, tmp_path / "before")
    for scan in study.of_subject("01"):
        save_image(scan.image, 100 + np.square(scan.read()), scan.affine)
    evaluate(name, study, tmp_path / "after")

    def same(path: str) -> bool:
        return (tmp_path / "before" / path).read_bytes() == (tmp_path / "after" / path).read_bytes()

    def range_of(when: str, fold: str) -> Intensities:
        return Intensities.read(tmp_path / when / "ranges.json", fold)

    # 01 is in fold 1 with 03: model, range and the other's images are what they were
    assert same("models/fold-1/method.json")
    assert name == "raw" or same("models/fold-1/combat.npz")
    assert range_of("before", "1") == range_of("after", "1")
    for scan in study.of_subject("03"):
        assert same(f"images/{scan.name}_T1w.nii.gz")
    # and the test can fail: 01 was changed, and trains fold 2
    assert not same(f"images/{study.of_subject('01')[0].name}_T1w.nii.gz")
    assert range_of("before", "2") != range_of("after", "2")
    if name == "combat":
        assert not same("models/fold-2/combat.npz")
        assert not same(f"images/{study.of_subject('02')[0].name}_T1w.nii.gz")


def test_everyone_is_harmonized_by_the_fold_that_left_them_out(tmp_path):
    study = divided(tmp_path)
    evaluate("combat", study, tmp_path / "run")
    assert len(list((tmp_path / "run" / "images").iterdir())) == 12
    for fold in ("1", "2"):
        own = tmp_path / "run" / "training" / f"fold-{fold}"
        trained = {path.name for path in own.iterdir()}
        assert trained == {f"{scan.name}_T1w.nii.gz" for scan in folds.training(study, fold).scans}
        # a person's image by another fold's model is another image
        scan = folds.training(study, fold).scans[0]
        by_it, by_other = (
            load_image(place / f"{scan.name}_T1w.nii.gz")[0] for place in (own, tmp_path / "run" / "images")
        )
        assert not np.array_equal(by_it, by_other)
        expected = ArmImages("combat", folds.training(study, fold), own).ranges()[WHOLE]
        assert Intensities.read(tmp_path / "run" / "ranges.json", fold) == expected


def test_a_model_that_saw_its_fold_is_refused(tmp_path):
    study = divided(tmp_path)
    for fold in ("1", "2"):
        fit_method("raw", study, tmp_path / "models" / f"fold-{fold}")
    with pytest.raises(InputError, match="fold-1: was fitted on 01, 03 of fold 1"):
        apply_by_fold("raw", tmp_path / "models", study, tmp_path / "images", tmp_path / "training")
    assert not (tmp_path / "images").exists()


def test_a_method_that_knows_only_its_own_people_is_not_applicable(tmp_path, monkeypatch):
    class Bound(Raw):
        """It keeps something of each person."""

        id = "bound"
        unseen_subjects = False

    monkeypatch.setattr("baselines.harness.fitting.image_method", lambda name: Bound)
    with pytest.raises(NotApplicable, match="cannot be applied to people it was not fitted on"):
        fit_method("bound", divided(tmp_path), tmp_path / "model", withheld=Withheld("1"))
    assert not (tmp_path / "model").exists()


def test_a_reason_names_the_fold(tmp_path):
    alone = divided(tmp_path)
    pair = Study(tuple(scan for scan in alone.scans if scan.subject in ("01", "02")))
    with pytest.raises(NotApplicable, match="^without fold 1: scanner Alpha has a single scan"):
        fit_method("combat", pair, tmp_path / "model", withheld=Withheld("1"))


def test_a_range_is_asked_for_by_fold(tmp_path):
    values = np.arange(10, dtype=np.float32)
    found = measure_intensities("raw", lambda: [values], 1)
    write_by_fold(tmp_path / "by_fold.json", {"1": found})
    found.write(tmp_path / "one.json")
    assert Intensities.read(tmp_path / "by_fold.json", "1") == found
    assert Intensities.read(tmp_path / "one.json", "1") == found
    with pytest.raises(InputError, match="ranges of fold 1, none for '2'"):
        Intensities.read(tmp_path / "by_fold.json", "2")


def test_a_source_tells_its_covariates_before_a_scan_is_made(sheet):
    assert source("sheet").covariates({"scans": str(sheet), "seed": 0, "scale": "brain"}) == ["age"]
    assert "diagnosis" in source("phantom").covariates({})
