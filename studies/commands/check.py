"""`check`: whether a source's scans can be used, before any long work."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.errors import kept_remarks
from core.files import checksum, write_json
from core.jobs.made import reads
from studies.sources import source, sources

HELP = "refuse a study that cannot be used, before any long work; then write its options for `prepare`"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which study, and where to write."""
    parser.add_argument("--source", required=True, help=f"one of {', '.join(sources())}")
    parser.add_argument("--options", required=True, type=json.loads, help="the options themselves, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="the file of options to write")
    parser.add_argument("--inputs", type=Path, help="JSON to write: checksums of the files that the source read")
    parser.add_argument("--card", type=Path, help="JSON to write: name, license and reference of the scans")
    parser.add_argument("--remarks", type=Path, help="JSON to write: what was told of scans that can be used")


def main(arguments: argparse.Namespace) -> None:
    """Check all that a source reads, then write its options and what it read."""
    chosen = source(arguments.source)
    files = chosen.inputs(arguments.options)
    reads(files)
    with kept_remarks() as remarks:
        settled = chosen.settle(arguments.options)
    if arguments.remarks is not None:
        write_json(arguments.remarks, remarks)
    if arguments.card is not None:
        write_json(arguments.card, chosen.card(arguments.options))
    if arguments.inputs is not None:
        write_json(arguments.inputs, {str(path): checksum(path) for path in files})
    write_json(arguments.out, settled)
