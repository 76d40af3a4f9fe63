"""Several scans of a person on a scanner: which is the scan, which the rescan, and what they are called."""

import dataclasses

import pandas as pd
import pytest

from core import folds
from core.errors import InputError
from core.images import load_image, save_image
from core.sheet import read_sheet, write_sheet
from core.study import Study
from tests.support.made_up_study import write_study


@pytest.fixture
def rescanned(tmp_path):
    """A study of two people on three scanners; the first was scanned twice more on Gamma, once more on Alpha."""
    sheet = write_study(tmp_path, subjects=2)
    table = pd.read_csv(sheet, sep="\t", dtype=str).assign(session="a")
    again = table[(table["subject"] == "01") & table["scanner"].isin(["Alpha", "Gamma"])].assign(session="b")
    thrice = again[again["scanner"] == "Gamma"].assign(session="c")
    rescans = pd.concat([again, thrice])
    for place, row in enumerate(rescans.itertuples()):
        image, affine = load_image(tmp_path / row.image)
        save_image(tmp_path / f"again_{place}.nii.gz", image * (1 + 0.01 * place + 0.01), affine)
    rescans["image"] = [f"again_{place}.nii.gz" for place in range(len(rescans))]
    pd.concat([table, rescans]).to_csv(sheet, sep="\t", index=False)
    return sheet


def test_the_first_row_is_the_scan_and_others_are_rescans(rescanned):
    study = read_sheet(rescanned)
    assert len(study.scans) == 6
    assert [scan.name for scan in study.rescans] == [
        "sub-01_scanner-Alpha_session-b",
        "sub-01_scanner-Gamma_session-b",
        "sub-01_scanner-Gamma_session-c",
    ]
    assert study.scans[0].name == "sub-01_scanner-Alpha"
    assert study.scans[0].session == "a"
    assert study.find("01", "Gamma") is study.scans[2]
    assert study.rescans_of("02") == []
    assert "session" not in study.scans[0].covariates


def test_visits_are_studies_of_their_own(rescanned):
    first, second, third = read_sheet(rescanned).visits()
    assert [len(visit.scans) for visit in (first, second, third)] == [6, 2, 1]
    assert {scan.session for scan in second.scans} == {"b"}
    assert third.scans[0].name == "sub-01_scanner-Gamma_session-c"
    assert not second.rescans


def test_a_written_sheet_keeps_rescans(rescanned, tmp_path):
    study = read_sheet(rescanned)
    write_sheet(tmp_path / "deeper" / "scans.tsv", study)
    again = read_sheet(tmp_path / "deeper" / "scans.tsv")
    assert [scan.name for scan in again.every] == [scan.name for scan in study.every]


def test_rescans_follow_their_person_into_folds_and_selections(rescanned):
    study = read_sheet(rescanned)
    assert len(study.select(["01"]).rescans) == 3
    assert not study.select(["02"]).rescans
    divided = folds.with_folds(study, {"01": "1", "02": "2"})
    assert len(folds.held_out(divided, "1").rescans) == 3
    assert not folds.training(divided, "1").rescans


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="session"), "stands there a second time.*or add a column session"),
        (
            lambda table: table.assign(session="a"),
            "stands there a second time .first in row 2.; name each scan's session once",
        ),
        (lambda table: table.assign(session="a/b"), "column session: 'a/b' cannot be an id"),
    ],
)
def test_sessions_that_tell_nothing_apart_are_refused(change, message, rescanned):
    change(pd.read_csv(rescanned, sep="\t", dtype=str)).to_csv(rescanned, sep="\t", index=False)
    with pytest.raises(InputError, match=message):
        read_sheet(rescanned)


def test_a_rescans_name_can_clash_with_no_other(tmp_path):
    study = read_sheet(write_study(tmp_path, subjects=2))
    scan = dataclasses.replace(study.scans[0], session="a")
    clashing = dataclasses.replace(scan, scanner="Alpha_session-b")
    again = dataclasses.replace(scan, session="b", rescan=True)
    write_sheet(tmp_path / "clash.tsv", Study((scan, clashing), (again,)))
    with pytest.raises(InputError, match="its files would have another row's names"):
        read_sheet(tmp_path / "clash.tsv")
