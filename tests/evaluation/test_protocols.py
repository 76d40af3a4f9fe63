"""Both protocols in one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.errors import InputError
from core.files import read_table, write_table
from core.left_out import marks
from core.names import MISSING
from evaluation.runs.finished_run import read_run
from evaluation.tables.protocols import table_protocols, write_protocols
from tests.support.example_run import write_example_run


def hold_out(run: Path) -> Path:
    """Make an example run one of held-out people."""
    scans = pd.read_csv(run / "scans.tsv", sep="\t", dtype=str)
    write_table(run / "scans.tsv", scans.assign(fold=scans["subject"].astype(int) % 3 + 1))
    return run


def leave_out(run: Path, scanner: str) -> Path:
    """Make an example run one whose fits saw no scan of a scanner."""
    scans = pd.read_csv(run / "scans.tsv", sep="\t", dtype=str)
    write_table(run / "scans.tsv", scans.assign(left_out=marks(scans["scanner"], scanner)))
    for path in (run / "metrics").glob("*.tsv"):
        table = read_table(path)
        if "scanner_a" in table:
            write_table(path, table[(table["scanner_a"] == scanner) | (table["scanner_b"] == scanner)])
    return run


def test_beside_a_scanner_that_no_fit_saw(tmp_path):
    together = write_example_run(tmp_path / "together", seed=1)
    apart = leave_out(write_example_run(tmp_path / "apart", seed=2), "Prisma")
    paths = write_protocols([together, apart])
    assert paths[0].parent == apart / "tables"
    table = read_table(paths[0])
    without = table[table["protocol"] == "without Prisma"]
    assert set(without["pair"]) == {"GE-Prisma", "Philips-Prisma", "Prisma-Trio"}
    assert len(table[table["protocol"] == "transductive"]["pair"].unique()) == 6
    assert "Without Prisma: no fit saw that scanner; means are over its pairs." in paths[1].read_text()


def test_a_row_a_method_and_protocol(tmp_path):
    together = write_example_run(tmp_path / "together", seed=1)
    apart = hold_out(write_example_run(tmp_path / "apart", seed=2, failed=["ravel"]))
    paths = write_protocols([together, apart])
    assert [path.name for path in paths] == [f"table_protocols.{ending}" for ending in ("tsv", "md", "tex")]
    assert paths[0].parent == apart / "tables"

    table = read_table(paths[0])
    for run, protocol in ((together, "transductive"), (apart, "held out, 3 folds")):
        ssim = read_table(run / "metrics" / "ssim.tsv")
        for method in ("raw", "mispel"):
            part = ssim[(ssim["method"] == method) & (ssim["scanner_a"] == "GE") & (ssim["scanner_b"] == "Trio")]
            of_method = (table["measure"] == "ssim") & (table["method"] == method) & (table["pair"] == "GE-Trio")
            row = table[of_method & (table["protocol"] == protocol)]
            assert row["mean"].item() == pytest.approx(part["ssim"].mean(), rel=1e-5)
            assert row["n"].item() == 5
    text = paths[1].read_text()
    assert "Simulated: these scans" in text
    assert "(simulated)" in text.splitlines()[0]
    assert "Absolute difference of volumes, partial-volume sum, mL, GM" in text
    rows = [line.split("|")[1:3] for line in text.split("####")[1].splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in row] for row in rows[2:]] == [
        ["RAW", "transductive"],
        ["RAW", "held out, 3 folds"],
        ["WS", "transductive"],
        ["WS", "held out, 3 folds"],
        ["RAVEL", "transductive"],
        ["MISPEL", "transductive"],
        ["MISPEL", "held out, 3 folds"],
    ]
    assert "Without RAVEL (fit: failed" in text


def test_runs_that_cannot_stand_side_by_side(tmp_path):
    one = write_example_run(tmp_path / "one", subjects=4)
    with pytest.raises(InputError, match="all are transductive; give a run of each protocol"):
        write_protocols([one, write_example_run(tmp_path / "two", subjects=4, seed=1)])
    other = hold_out(write_example_run(tmp_path / "three", subjects=3))
    with pytest.raises(InputError, match="other subjects or scanners"):
        write_protocols([one, other])


def test_an_arm_without_numbers_of_images_has_gaps_and_no_number_under_anothers_head(tmp_path):
    together = write_example_run(tmp_path / "together", subjects=4, methods=("raw", "ravel"))
    apart = hold_out(write_example_run(tmp_path / "apart", subjects=4, methods=("raw", "ravel"), seed=1))
    for run in (together, apart):
        table = read_table(run / "metrics" / "ssim.tsv")
        write_table(run / "metrics" / "ssim.tsv", table[table["method"] != "ravel"])
    overview = table_protocols([read_run(together), read_run(apart)]).panels[0]
    assert {len(row) for row in overview.rows} == {len(overview.header)}
    by_name = [dict(zip(overview.header, row, strict=True)) for row in overview.rows]
    ravel = [row for row in by_name if row["Method"] == "RAVEL"]
    assert [row["SSIM"].mean for row in ravel] == [MISSING] * 2
    whole = read_table(together / "metrics" / "volume_differences.tsv")
    chosen = whole[(whole["method"] == "ravel") & (whole["tissue"] == "GM")]
    mean = chosen.groupby("subject")["absolute_difference_ml_pve"].mean().mean()
    head = next(name for name in overview.header if name.endswith("mL, GM"))
    assert ravel[0][head].mean == f"{mean:.2f}"


def test_a_table_of_another_version_is_named(tmp_path):
    together = write_example_run(tmp_path / "together", subjects=4)
    apart = hold_out(write_example_run(tmp_path / "apart", subjects=4))
    path = together / "metrics" / "volume_differences.tsv"
    write_table(path, read_table(path).drop(columns="tissue"))
    with pytest.raises(InputError, match="volume_differences.tsv: no column 'tissue'"):
        write_protocols([together, apart])
