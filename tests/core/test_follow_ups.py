"""Scans of a later time: told apart from scans and rescans, never fitted on, and refused where they can't be used."""

from __future__ import annotations

import pandas as pd
import pytest

from baselines.harness.applying import shown_parts
from baselines.harness.withheld import Withheld
from baselines.longcombat import LongCombat
from baselines.raw import Raw
from core import folds
from core.errors import InputError
from core.sheet import followed_up, read_rows, read_sheet, rescanned, row_names, times, write_sheet
from core.volume_tables import with_scans
from studies.part_sheets import gather
from tests.support.made_up_study import write_rescan, write_study


@pytest.fixture
def followed(tmp_path):
    """Three people on three scanners; the first has a rescan and two follow-ups on Alpha, the second one on Gamma."""
    sheet = write_study(tmp_path)
    table = pd.read_csv(sheet, sep="\t", dtype=str).assign(session="1", time="")

    def again(subject, scanner, session, time):
        row = table[(table["subject"] == subject) & (table["scanner"] == scanner)].iloc[0].copy()
        name = f"{subject}_{scanner}_{session}.nii.gz"
        write_rescan(tmp_path / row["image"], seed=sum(name.encode())).rename(tmp_path / name)
        return pd.DataFrame([{**row, "image": name, "session": session, "time": time}])

    more = [
        again("01", "Alpha", "y2", "2"),
        again("01", "Alpha", "2", "0"),
        again("01", "Alpha", "y5", "5.5"),
        again("02", "Gamma", "later", "2"),
    ]
    pd.concat([table, *more]).to_csv(sheet, sep="\t", index=False)
    return sheet


def test_follow_ups_are_neither_scans_nor_rescans(followed):
    study = read_sheet(followed)
    assert len(study.scans) == 9
    assert [scan.name for scan in study.rescans] == ["sub-01_scanner-Alpha_session-2"]
    assert [(scan.name, scan.time) for scan in study.follow_ups] == [
        ("sub-01_scanner-Alpha_session-y2", 2.0),
        ("sub-01_scanner-Alpha_session-y5", 5.5),
        ("sub-02_scanner-Gamma_session-later", 2.0),
    ]
    assert all("time" not in scan.covariates for scan in study.every)
    rows = read_rows(followed)
    assert row_names(rows)[-4:] == [study.every[place].name for place in (10, 9, 11, 12)]
    assert not (rescanned(rows) & followed_up(rows)).any()
    assert times(rows).sum() == 9.5


def test_a_follow_up_that_stands_first_isnt_the_scan(followed):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    rows.iloc[::-1].to_csv(followed, sep="\t", index=False)
    study = read_sheet(followed, check=False)
    assert {scan.session for scan in study.scans} == {"1", "2"}
    assert {scan.session for scan in study.follow_ups} == {"y2", "y5", "later"}


def test_a_follow_up_has_its_session_in_its_name_where_there_is_no_scan_on_that_scanner(followed):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    gone = (rows["subject"] == "02") & (rows["scanner"] == "Gamma") & (rows["session"] == "1")
    rows[~gone].to_csv(followed, sep="\t", index=False)
    assert read_sheet(followed).follow_ups[-1].name == "sub-02_scanner-Gamma_session-later"


def test_visits_of_follow_ups_come_last_and_leave_the_others_as_they_are(followed):
    study = read_sheet(followed)
    visits = [[scan.name for scan in visit.scans] for visit in study.visits()]
    assert visits[:2] == [[scan.name for scan in visit.scans] for visit in study.without_follow_ups().visits()]
    assert visits[2:] == [
        ["sub-01_scanner-Alpha_session-y2", "sub-02_scanner-Gamma_session-later"],
        ["sub-01_scanner-Alpha_session-y5"],
    ]
    shown = [scan.name for part in shown_parts(Raw(), study) for scan in part.scans]
    assert sorted(shown) == sorted(scan.name for scan in study.every)


def test_no_fit_sees_a_follow_up_whatever_is_withheld(followed):
    study = folds.with_folds(read_sheet(followed), {"01": "1", "02": "2", "03": "2"})
    for withheld in (Withheld(), Withheld(fold="2")):
        with withheld.training(Raw(), study) as seen:
            assert seen.follow_ups == ()
            assert seen.scans
            assert all(scan.time == 0 for scan in seen.every)


def test_a_method_that_knows_of_time_sees_follow_ups_of_the_rest(followed):
    study = folds.with_folds(read_sheet(followed), {"01": "1", "02": "2", "03": "2"})

    def later(withheld):
        with withheld.training(LongCombat(), study) as seen:
            return {(scan.subject, scan.scanner) for scan in seen.follow_ups}

    every = later(Withheld())
    assert every == {(scan.subject, scan.scanner) for scan in study.follow_ups}
    assert later(Withheld(fold="1")) == {key for key in every if key[0] != "01"}
    # of the rest nobody else has a scan of Gamma at time 0
    study = study.where(lambda scan: scan.scanner != "Gamma" or scan.subject == "01" or scan.time > 0)
    assert later(Withheld()) == every
    assert later(Withheld(fold="1")) == set()


def test_follow_ups_go_with_their_person(followed, tmp_path):
    study = folds.with_folds(read_sheet(followed), {"01": "1", "02": "2", "03": "2"})
    assert [len(part.follow_ups) for part in folds.parted(study, "1")] == [2, 1]
    assert len(study.select(["02"]).follow_ups) == 1
    write_sheet(tmp_path / "deeper" / "scans.tsv", study)
    again = read_sheet(tmp_path / "deeper" / "scans.tsv")
    assert [(scan.name, scan.time) for scan in again.every] == [(scan.name, scan.time) for scan in study.every]


def test_strata_of_folds_are_of_the_first_scans(followed, tmp_path):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    rows.loc[rows["time"] == "5.5", "age"] = "99"
    rows.to_csv(followed, sep="\t", index=False)
    first = rows[~rows["time"].isin(["2", "5.5"])].drop(columns="time")
    first.to_csv(tmp_path / "first.tsv", sep="\t", index=False)
    for name in ("scans", "first"):
        gather([tmp_path / f"{name}.tsv"], tmp_path / f"{name}_out.tsv", fold_count=3, seed=1, stratify="age")
    found = [read_rows(tmp_path / f"{name}_out.tsv").groupby("subject")["fold"].first() for name in ("scans", "first")]
    assert found[0].equals(found[1])


def test_gathering_fills_in_the_time_of_people_who_were_not_followed(followed, tmp_path):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    parts = []
    for subject, own in rows.groupby("subject"):
        parts.append(tmp_path / f"sub-{subject}.tsv")
        (own if subject != "03" else own.drop(columns=["time", "session"])).to_csv(parts[-1], sep="\t", index=False)
    gather(parts, tmp_path / "joined.tsv")
    assert [scan.name for scan in read_sheet(tmp_path / "joined.tsv").every] == [
        scan.name for scan in read_sheet(followed).every
    ]


def test_rows_of_volumes_are_named_as_their_scans(followed):
    study = read_sheet(followed)
    table = pd.DataFrame(
        [(s.subject, s.scanner, s.session, s.rescan, s.time) for s in study.every],
        columns=["subject", "scanner", "session", "rescan", "time"],
    )
    assert with_scans(table)["scan"].tolist() == [scan.name for scan in study.every]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": ["-1"]}, "scans.tsv, row 11, column time: '-1'; give years since the person's first scan as 1.5"),
        ({"time": ["two"]}, "row 11, column time: 'two'; give years"),
        ({"time": ["1,5"]}, "row 11, column time: '1,5'; give years"),
        ({"time": ["inf"]}, "row 11, column time: 'inf'; give years"),
        (
            {"session": ["1"]},
            "session '1' of subject '01' is at time 2 here and 0 in another row.*a session of its own",
        ),
        ({"session": ["y5"]}, "session 'y5' of subject '01' is at time 5.5 here and 2 in another row"),
        ({"subject": ["04"]}, "row 11: a follow-up of subject '04', who has no scan at time 0.*leave the person out"),
        ({"scanner": ["Delta"]}, "row 11: a follow-up on scanner 'Delta', from which there is no scan at time 0"),
    ],
)
def test_follow_ups_that_cannot_be_used_are_refused(followed, change, message):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    place = rows.index[rows["session"] == "y2"]
    for column, values in change.items():
        rows.loc[place, column] = values
    rows.to_csv(followed, sep="\t", index=False)
    with pytest.raises(InputError, match=message):
        read_sheet(followed, check=False)


def test_a_follow_up_wants_sessions(followed):
    rows = pd.read_csv(followed, sep="\t", dtype=str).drop(columns="session")
    rows.to_csv(followed, sep="\t", index=False)
    with pytest.raises(InputError, match="row 11: a follow-up .time 2., and there is no column session; add one"):
        read_rows(followed)


def test_two_follow_ups_of_one_session_are_refused(followed):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    pd.concat([rows, rows[rows["session"] == "y2"]]).to_csv(followed, sep="\t", index=False)
    with pytest.raises(InputError, match="row 15: subject '01' on scanner 'Alpha' stands there a second time"):
        read_rows(followed)


@pytest.mark.parametrize(("column", "name"), [("time", "Time"), ("t2", "T2")])
def test_a_column_that_is_ours_but_for_its_case_is_refused(followed, column, name):
    """A follow-up under `Time` would be a rescan: the floor of all differences."""
    rows = pd.read_csv(followed, sep="\t", dtype=str).assign(t2="n/a").rename(columns={column: name})
    rows.to_csv(followed, sep="\t", index=False)
    with pytest.raises(InputError, match=f"scans.tsv: column '{name}'; write '{column}', or rename the covariate"):
        read_rows(followed)


def test_a_time_in_days_is_refused(followed):
    rows = pd.read_csv(followed, sep="\t", dtype=str)
    rows["time"] = rows["time"].replace({"2": "730"})
    rows.to_csv(followed, sep="\t", index=False)
    with pytest.raises(InputError, match="row 11, column time: '730', .*give years since the person's first scan, not"):
        read_rows(followed)
