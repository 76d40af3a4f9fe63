"""The options of `fit` and of `apply`, shared with `python -m mispel`."""

from __future__ import annotations

import argparse
from pathlib import Path

from baselines.interface import Context
from baselines.registry import method
from baselines.running import apply_method, fit_method, model_scale, parse_parameters
from studies.sheet import read_sheet
from studies.status import run_step


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options that fitting and applying share."""
    parser.add_argument("--scans", type=Path, required=True, help="the sheet of scans, a TSV")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fitted model")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to use")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--arm", help="what to call it in the record (default: the method's id)")
    parser.add_argument("--status", type=Path, help="record here how the step ended")
    parser.add_argument("--requires", type=Path, nargs="*", default=[], help="records of the steps before")
    parser.add_argument("--on-failure", choices=["stop", "record"], default="stop", help="with --status")


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Options of `fit`."""
    add_run_options(parser)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scale",
        choices=["brain", "volume", "none"],
        default="brain",
        help="divide every image by its mean over the brain or the volume; none: they come scaled",
    )
    parser.add_argument("--checkpoint", type=Path, help="folder that lets a killed fit go on where it was")


def fit_from(given: argparse.Namespace, name: str) -> None:
    """Fit method `name` as the command line says."""
    parameters = parse_parameters(method(name), given.param)
    context = Context(given.seed, given.threads, given.device, given.checkpoint)

    def work() -> str:
        study = read_sheet(given.scans, scale=given.scale)
        return fit_method(name, study, given.model, parameters=parameters, context=context)

    run_step(
        work,
        status_file=given.status,
        method=given.arm or name,
        step="fit",
        on_failure=given.on_failure,
        requires=given.requires,
    )
    given.model.mkdir(parents=True, exist_ok=True)


def harmonize_from(given: argparse.Namespace, name: str) -> None:
    """Apply the saved model of method `name` as the command line says."""
    context = Context(threads=given.threads, device=given.device)

    def work() -> str:
        study = read_sheet(given.scans, scale=model_scale(given.model))
        return apply_method(name, given.model, study, given.out, context=context)

    run_step(
        work,
        status_file=given.status,
        method=given.arm or name,
        step="apply",
        on_failure=given.on_failure,
        requires=given.requires,
    )
    given.out.mkdir(parents=True, exist_ok=True)
