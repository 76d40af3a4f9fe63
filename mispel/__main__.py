"""`python -m mispel`: MISPEL for people who want just that."""

from __future__ import annotations

import argparse
from pathlib import Path

from baselines.harness.commands import add_apply_options, add_fit_options, fit_from, harmonize_from
from core.jobs.command import run
from mispel.parameters import PRESETS


def main() -> None:
    """Parse the command line and do what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m mispel", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    fit = verbs.add_parser("fit", help="train on a sheet of paired scans and save the model")
    add_fit_options(fit)
    fit.add_argument("--preset", choices=sorted(PRESETS), help="the same as --param preset=...")

    harmonize = verbs.add_parser(
        "harmonize", help="harmonize scans, also of people never seen in training, from scanners seen"
    )
    add_apply_options(harmonize)

    measure = verbs.add_parser("bench", help="measure what the speed-ups bring, as a table")
    measure.add_argument("--rounds", type=int, default=3, help="medians are taken over so many (default: 3)")
    measure.add_argument("--small", action="store_true", help="fewer and smaller measurements, in two minutes")
    measure.add_argument("--out", type=Path, help="write the table as TSV too")

    given = parser.parse_args()
    if given.verb == "bench":
        print_bench(given)
    elif given.verb == "fit":
        if given.preset is not None:
            given.param.insert(0, f"preset={given.preset}")
        fit_from(given, "mispel")
    else:
        harmonize_from(given, "mispel")


def print_bench(given: argparse.Namespace) -> None:
    """Measure, print the table and write it where asked."""
    from core.files import write_table
    from mispel.bench import bench

    table = bench(rounds=given.rounds, small=given.small)
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3g}"))
    if given.out is not None:
        write_table(given.out, table)


if __name__ == "__main__":
    run(main)
