"""The table and the figure of change over time, from a run's tables."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest

from core.files import write_table
from evaluation.figures import figure_change, media
from evaluation.measures import change
from evaluation.runs.finished_run import read_run
from evaluation.tables import table_change
from tests.support.drawn_figures import drawn, overlaps, texts
from tests.support.example_run import write_example_run

ARMS = ("raw", "whitestripe", "ravel", "mispel")
LABELS = ("RAW", "WS", "RAVEL", "MISPEL")
SCANNERS = ("GE", "Philips", "Trio")


def write_changes(run, *, arms=ARMS, people=5, true=True, without=()):
    """Tables of made-up changes: each arm's scanners are half as far apart as those of the one before."""
    random = np.random.default_rng(0)
    first, later = [], []
    for number, subject in itertools.product(range(len(arms)), range(1, people + 1)):
        for tissue, (start, growth) in {"CSF": (300, 8), "GM": (600, -8), "WM": (500, -1)}.items():
            for place, scanner in enumerate(SCANNERS):
                row = {"method": arms[number], "subject": f"{subject:02d}", "scanner": scanner, "tissue": tissue}
                volume = start + 20 * (place - 1) / 2**number + random.normal()
                first.append({**row, "volume_ml": volume, "true_volume_ml": start if true else np.nan})
                if arms[number] not in without:
                    told = {"volume_ml": volume + growth + random.normal(), "session": "later", "time": 2.0}
                    truth = start + growth + 0.2 * subject if true else np.nan
                    later.append({**row, **told, "true_volume_ml": truth})
                    if subject == 1:
                        again = {"volume_ml": volume + random.normal(), "session": "2", "time": 0.0}
                        later.append({**row, **again, "true_volume_ml": np.nan})
    changes = change.pairs_in_time(pd.DataFrame(first), pd.DataFrame(later))
    summary, by_pair = change.summaries(changes, list(arms))
    tables = {change.TABLE: changes, change.SUMMARY: summary, change.BY_PAIR: by_pair}
    for name, table in tables.items():
        write_table(run / "metrics" / f"{name}.tsv", table.assign(rule="partial-volume sum"))


@pytest.fixture
def run(tmp_path):
    return write_example_run(tmp_path / "run", scanners=SCANNERS)


def test_a_panel_for_one_scanner_and_one_for_upgrades(run):
    write_changes(run)
    table = table_change.make(read_run(run))
    assert [panel.title for panel in table.panels] == list(table_change.TITLES.values())
    for panel in table.panels:
        assert [row[1] for row in panel.rows[:5]] == ["True volumes", *LABELS]
        assert all(len(row) == len(panel.header) for row in panel.rows)
        assert [row[0] for row in panel.rows[::5]] == ["GM", "WM", "CSF"]
    upgrade = {row[1]: row for row in table.panels[1].rows if row[0] == "GM"}
    errors = [float(upgrade[arm][5].mean) for arm in LABELS]
    assert errors == sorted(errors, reverse=True)
    assert re.fullmatch(r" \[\d+ \d+\] \(\d+\.\d times\)", upgrade["RAW"][9].spread)
    assert upgrade["RAW"][-1] == "1"
    assert "2 years" in " ".join(table.notes)


def test_an_arm_that_gave_nothing_is_named_not_applicable(run):
    write_changes(run, without=("ravel",))
    table = table_change.make(read_run(run))
    assert any(note.startswith("Not applicable: RAVEL, which gave nothing") for note in table.notes)
    (row,) = [row for row in table.panels[0].rows if row[:2] == ["GM", "RAVEL"]]
    assert row[2] == "0"
    assert {entry.mean for entry in row[3:-1]} == {"n/a"}
    assert not np.isfinite(read_run(run).table("metrics/change.tsv").query("method == 'ravel'")["change_ml"]).any()


def test_how_many_people_are_needed_is_said_where_it_can_be_told():
    def shown(needed, low, high):
        ends = {"people_needed": needed, "people_needed_low": low, "people_needed_high": high}
        entry = table_change.people(ends, "people_needed", " (2.0 times)")
        return entry.mean + entry.spread, figure_change.in_lines(needed, low, high)

    nan, inf = np.nan, np.inf
    assert shown(12, 8, 3100) == ("12 [8 3100] (2.0 times)", ("12", "8", "3.1k"))
    assert shown(12, 8, inf) == ("not told (at least 8)", ("?", "8", "–"))
    assert shown(nan, 8, inf) == ("not told (at least 8)", ("?", "8", "–"))
    assert shown(12, nan, nan) == ("not told", ("?", "–", "–"))
    # the change that is shown is surely against the true one; there is none
    assert shown(nan, inf, inf) == ("n/a", ("–", "–", "–"))
    assert shown(nan, nan, nan) == ("n/a", ("–", "–", "–"))


def test_two_people_dont_tell_how_many_are_needed(run):
    write_changes(run, people=2)
    table = table_change.make(read_run(run))
    assert {entry.mean for panel in table.panels for row in panel.rows for entry in row[9:10]} <= {"not told", "n/a"}
    page = drawn(run, "figure_change")["figure_change"]
    assert "?\n–\n–" in texts(page)


def test_without_the_truth_there_are_changes_and_no_errors(run):
    write_changes(run, true=False)
    table = table_change.make(read_run(run))
    assert "True volumes" not in {row[1] for row in table.panels[0].rows}
    row = table.panels[0].rows[0]
    assert float(row[3].mean) < -5
    assert row[5].mean == "n/a"
    assert float(row[9].mean) >= 2
    assert figure_change.make(read_run(run)) is not None


@pytest.mark.parametrize("on", [media.REPORT, *media.PAPER], ids=lambda on: on.name)
@pytest.mark.parametrize("count", [4, 12])
def test_nothing_in_the_figure_touches(tmp_path, on, count):
    arms = [*ARMS, *(f"another_method_{number}" for number in range(count - 4))]
    folder = write_example_run(tmp_path / "run", scanners=SCANNERS, methods=arms)
    write_changes(folder, arms=arms)
    page = drawn(folder, "figure_change", on)["figure_change"]
    assert overlaps(page) == []
    assert page.get_size_inches()[1] <= on.tallest + 1
    assert {"same", "upgrade"} <= set(texts(page))


def test_a_run_without_follow_ups_has_neither(run):
    assert table_change.make(read_run(run)) is None
    assert figure_change.make(read_run(run)) is None
