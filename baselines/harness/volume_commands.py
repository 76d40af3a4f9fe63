"""The options of `fit` and `apply` that methods of volumes take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from baselines.harness.commands import refuse_overwriting
from baselines.harness.fitting import check_processes
from baselines.harness.parameters import named, parse_parameters
from baselines.harness.registry import volume_method
from baselines.harness.volumes import VolumeFiles, apply_volumes, apply_volumes_by_fold, fit_volumes
from baselines.harness.withheld import Withheld
from baselines.interface import Context
from core import folds
from core.errors import InputError
from core.files import write_table
from core.jobs.record import run_step
from core.paths import check_writable
from core.sheet import read_sheet


def add_volume_options(parser: argparse.ArgumentParser) -> None:
    """Which volumes a method of volumes is about."""
    parser.add_argument(
        "--volumes",
        type=Path,
        nargs="+",
        default=[],
        metavar="TSV",
        help="for a method of volumes: the tissue volumes of the scans, such as metrics/volumes.tsv of a run",
    )
    parser.add_argument(
        "--regions",
        type=Path,
        nargs="+",
        default=[],
        metavar="TSV",
        help="with parts=regions: those in regions too, such as parts/raw/regions-0000.tsv of a run",
    )


def refuse_volumes(given: argparse.Namespace, name: str) -> None:
    """Raise `InputError` where a method of images is given volumes."""
    if given.volumes or given.regions:
        raise InputError(f"'{name}' harmonizes images, not volumes; leave --volumes and --regions out")


def fit_volumes_from(given: argparse.Namespace, name: str) -> None:
    """Fit the method of volumes `name` as the command line says."""
    parameters = parse_parameters(volume_method(name), given.param)
    check_processes(volume_method(name)(parameters), given.processes)
    check_writable(given.model)
    context = Context(given.seed, given.threads)
    files = _files(given, name)

    def work() -> None:
        study = read_sheet(given.scans, check=False)
        withheld = Withheld(given.without_fold, given.without_scanner)
        fit_volumes(name, study, files, given.model, withheld=withheld, parameters=parameters, context=context)

    run_step(work, step="fit", **_recorded(given, name))
    given.model.mkdir(parents=True, exist_ok=True)


def apply_volumes_from(given: argparse.Namespace, name: str) -> None:
    """Apply the saved model of the method of volumes `name`: tables of the names of those given, in another folder."""
    files = _files(given, name)
    again = named(given.param)
    check_writable(given.out)
    written = [given.out / path.name for path in files.tissues]
    by_region = [given.out / path.name for path in files.regions]
    if set(written + by_region) & set(files.tissues + files.regions):
        raise InputError(f"--out {given.out}: the volumes given lie there; name another folder")
    refuse_overwriting(given, [*written, *by_region])

    def work() -> None:
        study = read_sheet(given.scans, check=False)
        if given.only_fold is not None:
            study = folds.held_out(study, given.only_fold)
        if given.subjects is not None:
            study = study.select(given.subjects)
        applied = apply_volumes_by_fold if any(given.model.glob(folds.folder_name("*"))) else apply_volumes
        found = applied(name, given.model, study, files, given=again)
        # how far the tissues' intensities reach is said of the images that were segmented
        tissues = found.tissues.drop(columns="reach", errors="ignore")
        for table, paths in ((tissues, written), (found.regions, by_region)):
            if table is not None:
                table = table.assign(method=given.arm or name)
                for place, out in enumerate(paths):
                    write_table(out, table[table["table"] == place].drop(columns="table"))

    run_step(work, step="apply", placeholders=written, **_recorded(given, name))


def _recorded(given: argparse.Namespace, name: str) -> dict[str, Any]:
    """How a step is recorded, as the command line says."""
    return {
        "status_file": given.status,
        "method": given.arm or name,
        "on_failure": given.on_failure,
        "minutes": given.minutes,
        "requires": given.requires,
    }


def _files(given: argparse.Namespace, name: str) -> VolumeFiles:
    if not given.volumes:
        raise InputError(f"'{name}' harmonizes volumes: give them, as --volumes RUN/metrics/volumes.tsv")
    return VolumeFiles(tuple(given.volumes), tuple(given.regions))
