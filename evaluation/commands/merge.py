"""`merge`: several studies in one table and page."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._run import print_paths
from evaluation.merging.bundle import read_bundle
from evaluation.merging.merged import merge
from evaluation.merging.results import results_of_run
from evaluation.merging.writing import write_merged

HELP = "several studies' runs and bundles in one table and page: arm by study, pairwise wins, stability"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which runs and bundles, and where the page goes."""
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="RUN_OR_BUNDLE", help="folders of finished runs, or bundles (zip)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the page, such as results/merged")


def main(arguments: argparse.Namespace) -> None:
    """Write `FOLDER/index.html`, `README.md` and what they show."""
    found = [results_of_run(path) if path.is_dir() else read_bundle(path) for path in arguments.sources]
    print_paths(write_merged(merge(found), arguments.out))
