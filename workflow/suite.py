"""`python -m workflow.suite config/suite.yaml`: the studies of a release, one run after another, then one page."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.documents import read_document
from core.errors import InputError
from core.files import write_text
from workflow.schema import check_keys

SCHEMA = Path(__file__).resolve().parent / "schemas" / "suite.schema.yaml"
RESULTS = Path("results")


@dataclass(frozen=True)
class PlannedRun:
    """A run of the suite: its name, its files of configuration, and what overlays them, in order."""

    name: str
    files: Sequence[str]
    overlays: Sequence[Mapping[str, Any]]


def plan(suite: Mapping[str, Any], anatomy: str | None) -> list[PlannedRun]:
    """The runs of a suite in order; those that want real brains are left out without `anatomy`, their folder.

    Raises `InputError` for a suite that isn't as `config/suite.yaml` describes.
    """
    check_keys(suite, read_document(SCHEMA))
    runs = []
    for name, study in suite["studies"].items():
        if study.get("anatomy") and anatomy is None:
            continue
        own = {"run": name} | ({"anatomy": anatomy} if study.get("anatomy") else {})
        overlays = (suite.get("configuration", {}), study.get("configuration", {}), own)
        runs.append(PlannedRun(name, study.get("files", []), [overlay for overlay in overlays if overlay]))
    return runs


def start(run: PlannedRun, folder: Path, cores: int) -> int:
    """Run a study, or go on with it; the exit status. Its overlays are written into `folder`."""
    written = []
    for number, overlay in enumerate(run.overlays, start=1):
        written.append(str(folder / f"{run.name}-{number}.yaml"))
        write_text(written[-1], yaml.safe_dump(dict(overlay), sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", *run.files, *written]
    return subprocess.run(command).returncode


def main(words: Sequence[str] | None = None) -> int:
    """Run every study, bundle each and merge them; 1 where a run didn't come to its end."""
    parser = argparse.ArgumentParser(prog="python -m workflow.suite", description=__doc__)
    parser.add_argument("suite", type=Path, help="such as config/suite.yaml")
    parser.add_argument("--cores", type=int, default=1, help="CPU cores of each run (default: 1)")
    parser.add_argument("--anatomy", help="a BIDS folder of skull-stripped brains, for the studies that want them")
    arguments = parser.parse_args(words)
    try:
        suite = read_document(arguments.suite)
        runs = plan(suite, arguments.anatomy)
        out = Path(suite["out"])
        for name in suite["studies"].keys() - {run.name for run in runs}:
            print(f"{name}: left out; it wants --anatomy FOLDER", file=sys.stderr)
        failed = [run.name for run in runs if start(run, out.with_name(f"{out.name}-configurations"), arguments.cores)]
        if failed:
            raise InputError(f"{', '.join(failed)}: not finished, see above; start the same command again")
        folders = [str(RESULTS / run.name) for run in runs]
        bundles = out.with_name(f"{out.name}-bundles")
        verbs = [["bundle", folder, "--out", str(bundles / f"{Path(folder).name}.zip")] for folder in folders]
        for verb in [*verbs, ["merge", *folders, "--out", str(out)]]:
            subprocess.run([sys.executable, "-m", "evaluation", *verb], check=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
