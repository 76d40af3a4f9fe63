"""`learning`: how many travelling people an arm needs, from the trials of a learning curve."""

from __future__ import annotations

import argparse
import json

from core.files import write_table
from core.run_folder import RunFolder
from evaluation.commands._run import add_primary_option, add_run_argument, print_paths

HELP = "how many travelling people an arm needs: the tables and the figure of a learning curve"
LONGEST_NOTE = 160
"""Of a sentence in the figure: what a failed fit says may be long, and the tables have all of it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which trials, judged on whom."""
    add_run_argument(parser)
    parser.add_argument("--fold", required=True, help="the fold of the judged in the trials' sheets")
    parser.add_argument("--arms", nargs="+", required=True, metavar="ARM", help="whose curves")
    parser.add_argument("--points", type=json.loads, required=True, help="JSON: [people, draw] of each point")
    parser.add_argument("--batches", nargs="+", required=True, metavar="BATCH", help="those of RAW's parts")
    add_primary_option(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write the tables and the figure, and say from how many people on each arm surely gains."""
    from evaluation.figures import style
    from evaluation.figures.learning import plot
    from evaluation.learning import answers, read_curve, summary_table, trial_table
    from evaluation.runs.finished_run import read_run, shorten

    run, opened = RunFolder(arguments.run), read_run(arguments.run)
    measure, _, tissue = arguments.primary.partition(":")
    curve = read_curve(
        run,
        {arm: opened.described[arm].gives for arm in arguments.arms},
        arguments.points,
        fold=arguments.fold,
        batches=arguments.batches,
        primary=measure,
        tissue=tissue,
    )
    trials = trial_table(curve)
    summary = summary_table(curve, trials)
    labels = {arm: opened.label(arm) for arm in arguments.arms}
    told = answers(summary, labels)
    figure = plot(
        summary,
        trials,
        labels=labels,
        endpoint=curve.endpoint,
        simulated=opened.simulated,
        notes=[shorten(sentence, LONGEST_NOTE) for sentence in told],
    )
    paths = {"learning": trials, "learning_summary": summary}
    for name, table in paths.items():
        write_table(run.learning / f"{name}.tsv", table)
    print(*told, sep="\n")
    print_paths([*(run.learning / f"{name}.tsv" for name in paths), *style.save(figure, run.learning, "learning")])
