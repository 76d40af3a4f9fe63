"""`statistics`: paired tests, gains beyond controls, verdicts by each segmenter, equivalence, and the summary."""

from __future__ import annotations

import argparse

from core.files import write_table
from core.run_folder import RunFolder
from core.sheet import read_sheet
from evaluation.commands._run import add_bootstrap_options, add_primary_option, add_run_argument
from evaluation.equivalence import run_equivalence
from evaluation.segmenters import run_segmenters
from evaluation.statistics import run_statistics
from evaluation.summary import run_summary
from evaluation.verdicts.verdict import run_verdicts

HELP = "paired tests, gains beyond controls, verdicts, equivalence with rescans, and the summary"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and how people are resampled."""
    add_run_argument(parser)
    add_bootstrap_options(parser)
    add_primary_option(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write the tables of `RUN/statistics`."""
    run = RunFolder(arguments.run)
    study = read_sheet(run.sheet, check=False)
    write_table(run.statistic("paired_tests"), run_statistics(arguments.run, study.pairs))
    measure, _, tissue = arguments.primary.partition(":")
    gains, verdicts = run_verdicts(arguments.run, primary=measure, tissue=tissue)
    write_table(run.statistic("gains"), gains)
    write_table(run.statistic("verdicts"), verdicts)
    write_table(run.statistic("segmenters"), run_segmenters(arguments.run, study, measure, tissue))
    write_table(run.statistic("equivalence"), run_equivalence(arguments.run))
    write_table(
        run.statistic("summary"), run_summary(arguments.run, seed=arguments.seed, resamples=arguments.bootstrap)
    )
