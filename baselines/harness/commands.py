"""The options of `fit` and of `apply`, shared with `python -m mispel`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from baselines.harness.applying import apply_by_fold, apply_method
from baselines.harness.fitting import check_processes, fit_method
from baselines.harness.parameters import named, parse_parameters
from baselines.harness.registry import image_method
from baselines.harness.saved import model_scale
from baselines.harness.withheld import Withheld
from baselines.interface import Context
from core import folds
from core.errors import InputError
from core.jobs.made import reads
from core.jobs.record import run_step
from core.paths import check_writable
from core.run_folder import image_name, scan_name
from core.sheet import read_sheet


def add_run_options(parser: argparse.ArgumentParser, *, sheet_required: bool = True, by_hand: bool = False) -> None:
    """Options that fitting and applying share; `by_hand` leaves those that only a run gives out of the help."""
    of_a_run = partial(_in_a_run, by_hand)
    parser.add_argument("--scans", type=Path, required=sheet_required, help="the sheet of scans, a TSV")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fitted model")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to use")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--arm", help=of_a_run("what to call it in the record (default: the method's id)"))
    parser.add_argument("--status", type=Path, help=of_a_run("record here how the step ended"))
    parser.add_argument("--requires", type=Path, nargs="*", default=[], help=of_a_run("records of the steps before"))
    parser.add_argument("--on-failure", choices=["stop", "record"], default="stop", help=of_a_run("with --status"))
    parser.add_argument(
        "--minutes", type=float, default=0, help=of_a_run("with --status: fail after this long (0: never)")
    )


def _in_a_run(by_hand: bool, words: str) -> str:
    """What the help says of an option that only a run gives."""
    return argparse.SUPPRESS if by_hand else words


def add_fit_options(parser: argparse.ArgumentParser, *, by_hand: bool = False) -> None:
    """Options of `fit`."""
    add_run_options(parser, by_hand=by_hand)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scale",
        choices=["brain", "volume", "none"],
        default="brain",
        help="divide every image by its mean over the brain or the volume; none: they come scaled",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        help="folder of the scans' labels, SCAN_hard.nii.gz (`python -m evaluation segment-arm --hard` writes them), "
        "for a method that would segment the scans itself",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="fit by so many processes of this machine together, each on its own GPU or its share of the threads, for "
        "a method that can be (MISPEL, ESPA)",
    )
    parser.add_argument("--checkpoint", type=Path, help="folder that lets a killed fit go on where it was")
    parser.add_argument(
        "--without-fold", metavar="FOLD", help="leave out the people of this fold (column fold of the sheet)"
    )
    parser.add_argument("--without-scanner", metavar="SCANNER", help="leave out the scans from this scanner")


def add_apply_options(parser: argparse.ArgumentParser, *, sheet_required: bool = True, by_hand: bool = False) -> None:
    """Options of `apply`."""
    of_a_run = partial(_in_a_run, by_hand)
    add_run_options(parser, sheet_required=sheet_required, by_hand=by_hand)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help=f"folder for the harmonized images{', of one image the file' if by_hand else ''}",
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=of_a_run(
            "a parameter of the fit, again: needed for those that are command lines, which no model's folder brings"
        ),
    )
    parser.add_argument(
        "--by-fold",
        type=Path,
        metavar="TRAINING",
        help=of_a_run(
            "the model's folder holds one a fold, fold-1, ...: everyone is harmonized by the one fitted without "
            "them; TRAINING/fold-1, ... get the images of those with them, from which the arm's range is taken"
        ),
    )
    parser.add_argument("--subjects", nargs="+", metavar="SUBJECT", help="harmonize only these (default: all)")
    parser.add_argument(
        "--without-rescans", action="store_true", help="leave out rescans (column session) and follow-ups (column time)"
    )
    parser.add_argument("--only-fold", metavar="FOLD", help="harmonize the people of this fold alone")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the files of these scans at --out (a run's steps always do)"
    )


def fit_from(given: argparse.Namespace, name: str) -> None:
    """Fit method `name` as the command line says."""
    parameters = parse_parameters(image_method(name), given.param)
    threads = max(1, given.threads // max(1, given.processes))
    context = Context(given.seed, threads, given.device, given.checkpoint, given.labels)
    made = image_method(name)(parameters, context)
    if given.labels is not None and made.labels_by is None:
        raise InputError(f"--labels: the fit of '{name}' with these parameters looks at none; leave it out")
    check_processes(made, given.processes)
    check_writable(given.model)
    reads(made.reads(read_sheet(given.scans, check=False)))
    run_step(
        partial(_fit, name, parameters, context, given),
        status_file=given.status,
        method=given.arm or name,
        step="fit",
        on_failure=given.on_failure,
        minutes=given.minutes,
        requires=given.requires,
        processes=given.processes,
    )
    given.model.mkdir(parents=True, exist_ok=True)


def _fit(name: str, parameters: Any, context: Context, given: argparse.Namespace) -> str:
    """Fit and save; the device that was used. It can be pickled, for several processes."""
    study = read_sheet(given.scans, scale=given.scale)
    withheld = Withheld(given.without_fold, given.without_scanner)
    return fit_method(name, study, given.model, withheld=withheld, parameters=parameters, context=context)


def harmonize_from(given: argparse.Namespace, name: str) -> None:
    """Apply the saved model of method `name` as the command line says."""
    context = Context(threads=given.threads, device=given.device)
    again = named(given.param)
    check_writable(given.out)

    def work() -> str:
        study = read_sheet(given.scans, scale=model_scale(given.model))
        if given.without_rescans:
            study = study.where(lambda scan: not scan.visit)
        if given.only_fold is not None:
            study = folds.held_out(study, given.only_fold)
        if given.by_fold is not None:
            folders = given.model, study, given.out, given.by_fold
            return apply_by_fold(name, *folders, subjects=given.subjects, context=context, given=again)
        chosen = study if given.subjects is None else study.select(given.subjects)
        refuse_overwriting(given, [given.out / image_name(scan.name) for scan in chosen.every])
        return apply_method(name, given.model, chosen, given.out, context=context, given=again)

    ended = run_step(
        work,
        status_file=given.status,
        method=given.arm or name,
        step="apply",
        on_failure=given.on_failure,
        minutes=given.minutes,
        requires=given.requires,
    )
    if ended != "ok":
        # some of these people's images would pass for all of them
        for path in images_of(given.out, given.subjects):
            path.unlink()
        if given.by_fold is not None:
            shutil.rmtree(given.by_fold, ignore_errors=True)
    for folder in (given.out, given.by_fold):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)


def refuse_overwriting(given: argparse.Namespace, paths: Sequence[Path]) -> None:
    """Raise `InputError` where one of the files to be written is there: by hand, without --overwrite.

    A step of a run, which has a record, owns its files and does them again.
    """
    if given.status is not None or given.overwrite:
        return
    there = [path for path in paths if path.exists()]
    if there:
        raise InputError(
            f"{there[0]}: is there already ({len(there)} of the {len(paths)} files to be written are); name another "
            "folder with --out, or replace them with --overwrite"
        )


def images_of(folder: Path, subjects: Sequence[str] | None) -> list[Path]:
    """The images in a folder, or those of these subjects."""
    stems = ["*"] if subjects is None else [scan_name(subject, "*") for subject in subjects]
    return [path for stem in stems for path in folder.glob(image_name(stem))]
