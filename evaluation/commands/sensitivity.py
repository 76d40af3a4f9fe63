"""`sensitivity`: the arms' scores in several studies, such as the phantom's variants, and whether their order holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import write_table
from evaluation.commands._run import print_paths
from evaluation.runs.finished_run import read_run

HELP = "the arms' scores in several studies, and whether their order holds"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which runs, and where to write."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="runs of one list of arms, with rescans")
    parser.add_argument("--out", type=Path, required=True, help="folder for sensitivity.tsv, .png and .svg")


def main(arguments: argparse.Namespace) -> None:
    """Write the table, the agreement of orders and the figure."""
    from evaluation.figures import sensitivity as drawing
    from evaluation.figures import style
    from evaluation.sensitivity import agreement_of_order, scores, sentence
    from evaluation.verdicts.endpoints import endpoint_label

    table = scores(arguments.runs)
    agreement = agreement_of_order(table)
    write_table(arguments.out / "sensitivity.tsv", table)
    write_table(arguments.out / "sensitivity_order.tsv", agreement)
    opened = [read_run(run) for run in arguments.runs]
    gains = opened[0].table("statistics/gains.tsv", ["measure", "tissue"])
    assert gains is not None, "scores read it"
    first = gains.iloc[0]
    figure = drawing.plot(
        table,
        labels={arm: run.label(arm) for run in opened for arm in run.arms},
        endpoint=endpoint_label(first["measure"], first["tissue"]),
        simulated=any(run.simulated for run in opened),
        notes=[sentence(agreement), "Filled: arms that are compared; hollow: controls. Lines: 95 % intervals."],
    )
    paths = [arguments.out / name for name in ("sensitivity.tsv", "sensitivity_order.tsv")]
    print_paths([*paths, *style.save(figure, arguments.out, "sensitivity")])
