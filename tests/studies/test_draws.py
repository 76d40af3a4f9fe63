"""The sheets of a learning curve."""

from __future__ import annotations

import pandas as pd
import pytest

from core import folds
from core.errors import InputError
from core.sheet import read_sheet
from core.travelling import JUDGED, LEARNED
from studies.draws import write_draw
from tests.support.made_up_study import write_rescan, write_study


@pytest.fixture
def sheet(tmp_path):
    """Of 6 people on 3 scanners; the first is rescanned, the third lacks a scan and is followed up on every scanner."""
    path = write_study(tmp_path / "own", subjects=6, missing=("03", "Gamma"))
    table = pd.read_csv(path, sep="\t", dtype=str).assign(session="first", fold="9")
    again = table[table["subject"] == "01"].assign(session="again")
    again["image"] = [write_rescan(path.parent / image, 0).name for image in again["image"]]
    later = table[table["subject"] == "03"].assign(session="later", time="2")
    later = pd.concat([later, later.tail(1).assign(scanner="Gamma")])
    later["image"] = [write_rescan(path.parent / image, 0).name for image in later["image"]]
    pd.concat([table, again, later]).to_csv(path, sep="\t", index=False)
    return path


def test_the_judged_are_the_same_in_every_sheet_and_the_others_nested(sheet, tmp_path):
    judged, learned = {}, {}
    for people in (1, 2, 3):
        out = tmp_path / "draws" / f"{people}.tsv"
        write_draw(sheet, out, people=people, draw=1, held_out=2, seed=0)
        study = read_sheet(out)
        assert not study.rescans
        assert not study.follow_ups
        assert all(len(study.of_subject(subject)) == 3 for subject in study.subjects)
        judged[people] = set(folds.held_out(study, JUDGED).subjects)
        learned[people] = set(folds.training(study, JUDGED).subjects)
        assert {folds.fold_of(scan) for scan in study.scans} == {JUDGED, LEARNED}
    assert judged[1] == judged[2] == judged[3]
    assert learned[1] < learned[2] < learned[3]
    assert judged[1] | learned[3] == {"01", "02", "04", "05", "06"}


def test_more_people_than_are_left_are_refused(sheet, tmp_path):
    with pytest.raises(InputError, match="asks for 4, and 3 are left to learn from"):
        write_draw(sheet, tmp_path / "draws.tsv", people=4, draw=1, held_out=2, seed=0)
    assert not (tmp_path / "draws.tsv").exists()
