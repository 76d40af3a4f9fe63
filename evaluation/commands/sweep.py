"""`sweep`: the points of a sweep of a method's parameters, judged on held-out people."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.files import write_table
from core.folds import held_out
from core.sheet import read_sheet
from evaluation.commands._run import print_paths
from evaluation.figures import style
from evaluation.figures.sweep import plot
from evaluation.runs.finished_run import says_simulated
from evaluation.sweep import score_points

HELP = "judge the points of a sweep of a method's parameters on held-out people"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which points and people."""
    parser.add_argument("--scans", type=Path, required=True, help="the study's sheet, with a column fold")
    parser.add_argument("--fold", required=True, help="the fold that no point was fitted on")
    parser.add_argument("--method", required=True, help="the method's id, for the figure's title")
    parser.add_argument("--points", type=json.loads, required=True, help="JSON: each point's parameters")
    parser.add_argument("--images", type=Path, required=True, help="folder with a folder of images a point")
    parser.add_argument("--out", type=Path, required=True, help="folder for sweep.tsv, sweep.png and sweep.svg")


def main(arguments: argparse.Namespace) -> None:
    """Write a sweep's table and figure."""
    study = held_out(read_sheet(arguments.scans, check=False), arguments.fold)
    table = score_points(study, arguments.points, arguments.images)
    simulated = says_simulated(scan.covariates.get("simulated") for scan in study.scans)
    figure = plot(table, arguments.points, method=arguments.method, simulated=simulated)
    write_table(arguments.out / "sweep.tsv", table)
    print_paths([arguments.out / "sweep.tsv", *style.save(figure, arguments.out, "sweep")])
