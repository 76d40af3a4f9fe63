"""The scanner that no fit sees."""

from __future__ import annotations

import pytest

from core.errors import InputError
from core.left_out import check_scanner, marked, marks, pairs_of
from core.sheet import read_sheet
from studies.part_sheets import gather
from tests.support.made_up_study import write_study

SCANNERS = ["Alpha", "Beta 2", "Gamma"]


def test_only_its_pairs_are_judged():
    assert pairs_of(SCANNERS) == [("Alpha", "Beta 2"), ("Alpha", "Gamma"), ("Beta 2", "Gamma")]
    assert pairs_of(SCANNERS, "Beta 2") == [("Alpha", "Beta 2"), ("Beta 2", "Gamma")]


def test_its_scans_are_marked():
    assert marks(SCANNERS, "Gamma") == ["", "", "yes"]
    assert marked(zip(SCANNERS, marks(SCANNERS, "Gamma"), strict=True)) == "Gamma"
    assert marked((scanner, None) for scanner in SCANNERS) == ""


def test_the_sheet_says_which(tmp_path):
    part = write_study(tmp_path, subjects=2)
    assert read_sheet(part, check=False).left_out == ""
    gather([part], tmp_path / "scans.tsv", without="Beta 2")
    study = read_sheet(tmp_path / "scans.tsv", check=False)
    assert study.left_out == "Beta 2"
    assert study.pairs == pairs_of(SCANNERS, "Beta 2")
    # another run's mark is not this one's
    gather([tmp_path / "scans.tsv"], tmp_path / "again.tsv")
    again = read_sheet(tmp_path / "again.tsv", check=False)
    assert again.left_out == ""
    assert len(again.pairs) == 3


def test_a_scanner_that_the_study_has_not():
    with pytest.raises(InputError, match="left_out: no scan is from a scanner 'Gama' .did you mean 'Gamma'"):
        check_scanner("Gama", SCANNERS)
