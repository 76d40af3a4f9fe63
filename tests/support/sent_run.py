"""A made-up run that came to its end, so that it can be bundled and merged."""

from __future__ import annotations

from pathlib import Path

from core.files import read_json, read_table, write_json, write_table, write_text
from core.jobs.made import write_sealed
from core.run_folder import RunFolder
from evaluation.__main__ import main
from tests.support.example_run import write_example_run


def finished(folder: Path, *, seed: int, rescans: bool = True, **changes) -> Path:
    """A made-up run with verdicts, whole as far as its empty plan goes; `changes` as of `write_example_run`."""
    run = write_example_run(folder, seed=seed, **changes)
    if rescans:
        table = read_table(run / "metrics" / "volume_differences.tsv")
        again = table[table["scanner_a"] == "GE"].drop_duplicates(["method", "subject", "tissue"])
        again = again.drop(columns="scanner_b").rename(columns={"scanner_a": "scanner"})
        numbers = again.select_dtypes("number").columns
        again[numbers] *= 0.2
        write_table(run / "metrics" / "rescan_volume_differences.tsv", again)
    main(["statistics", str(run), "--bootstrap", "100"])
    write_sealed(RunFolder(run).planned, {})
    write_text(RunFolder(run).complete, "")
    return run


def set_parameters(run: Path, arm: str, parameters: str) -> None:
    """Say in a run's `arms.tsv` which parameters an arm has."""
    table = read_table(run / "arms.tsv")
    table["parameters"] = ["{}" if name != arm else parameters for name in table["arm"]]
    write_table(run / "arms.tsv", table)


def change_provenance(run: Path, **changes) -> None:
    """Set fields of a run's configuration in its `provenance.json`."""
    told = read_json(run / "provenance.json")
    told["config"] |= changes
    write_json(run / "provenance.json", told)
