"""`mispel-benchmark BIDS OUT participant|group`: a run of a BIDS dataset, from its images to a BIDS derivative.

The command line is that of BIDS Apps (Gorgolewski et al., PLoS Comput Biol 13 (2017) e1005209). Beneath it is
Snakemake, with this project's workflow and a configuration that is written into the working folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from core.errors import InputError
from core.files import write_text
from core.jobs.command import run
from core.run_folder import RunFolder
from mispel.parameters import PRESETS
from studies.bids.options import SCANNER_WAYS
from studies.export import check_free, export
from studies.sources import PlannedScan, source
from workflow.configuration_files import read_configuration

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = "configuration.yaml"


def console() -> None:
    """The installed command."""
    run(main)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="mispel-benchmark",
        description="Harmonize the T1-weighted images of a BIDS dataset of the same people on several scanners, by "
        "every arm, judge the arms, and write images and labels as BIDS derivatives.",
    )
    made.add_argument("bids", type=Path, metavar="BIDS", help="the dataset's folder")
    made.add_argument("out", type=Path, metavar="OUT", help="the derivative's folder; written by group")
    made.add_argument(
        "level",
        choices=("participant", "group"),
        help="participant: images onto the atlas's grid, person by person; group: that, where it is still to be done, "
        "and all the rest",
    )
    made.add_argument(
        "--participant-label",
        "--participant_label",  # as the BIDS Apps' paper spells it
        nargs="+",
        metavar="LABEL",
        help="only these people, without sub-",
    )
    made.add_argument("--scanner", required=True, help=f"what tells scanners apart: {SCANNER_WAYS}")
    made.add_argument("--preset", choices=sorted(PRESETS), default="laptop", help="of MISPEL (default: laptop)")
    made.add_argument("--configfile", type=Path, help="further keys, or other arms, as in config/config.yaml")
    made.add_argument("--work-dir", type=Path, default=Path("work"), help="of the run itself (default: work)")
    made.add_argument("--cores", type=int, default=1, help="(default: 1)")
    made.add_argument("--dry-run", action="store_true", help="say what would be done")
    made.add_argument("--version", action="version", version=version("mispel-benchmark"))
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status. Raises `InputError` for what can't be used."""
    given = parser().parse_args(words)
    configuration = configuration_of(given)
    at = RunFolder(given.work_dir / "results" / configuration["run"])
    targets: list[str] = []
    if given.level == "group":
        check_free(given.out)
    else:
        targets = targets_of(configuration, given.participant_label, at)
    write_text(given.work_dir / CONFIGURATION, yaml.safe_dump(configuration, sort_keys=False))
    status = snakemake(given, targets)
    if status == 0 and not given.dry_run:
        if given.level == "group":
            print(export(at.root, given.out))
            # the workflow named it as seen from the working folder
            print(f"Report: {at.report}")
        else:
            print(f"Scans are prepared in {at.study.root}; next: mispel-benchmark {given.bids} {given.out} group")
    return status


def configuration_of(given: argparse.Namespace) -> dict[str, Any]:
    """The configuration that a command line asks for: a file's keys, and over them those of the command line."""
    configuration = read_configuration(given.configfile) if given.configfile else {}
    study = dict(configuration.get("study") or {})
    block = dict(study.get("bids") or {}) | {"dataset": str(given.bids.absolute()), "scanner": given.scanner}
    if given.level == "group" and given.participant_label:
        block["subjects"] = given.participant_label
    methods = dict(configuration.get("methods") or {})
    methods.setdefault("mispel", {"preset": given.preset})
    return {
        "run": "benchmark",
        **configuration,
        "study": {**study, "source": "bids", "bids": block},
        "methods": methods,
    }


def targets_of(configuration: dict[str, Any], labels: Sequence[str] | None, at: RunFolder) -> list[str]:
    """The records of the last step of some people's scans, or of everybody's, from the working folder.

    Raises `InputError` for a label that the dataset hasn't.
    """
    bids = source("bids")
    scans: list[PlannedScan] = bids.plan(configuration["study"]["bids"])
    for label in labels or ():
        if label not in {scan.subject for scan in scans}:
            raise InputError(f"--participant-label {label}: no scan of that person")
    chosen = [scan for scan in scans if not labels or scan.subject in labels]
    folder = RunFolder(at.root.relative_to(at.root.parents[1]))
    return [str(folder.made(f"{bids.steps[-1].name}/{scan.name}")) for scan in chosen]


def snakemake(given: argparse.Namespace, targets: Sequence[str]) -> int:
    """Run the workflow in the working folder; Snakemake's exit status."""
    words = [*targets, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(given.work_dir)]
    words += ["--configfile", str(given.work_dir / CONFIGURATION), "--cores", str(given.cores)]
    words += ["--quiet", "rules", "host", "reason", *(["--dry-run"] if given.dry_run else [])]
    return subprocess.run([sys.executable, "-m", "snakemake", *words]).returncode
