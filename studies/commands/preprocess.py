"""`preprocess`: native scans of a BIDS dataset onto the atlas's grid."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import get_args

from core.errors import InputError
from core.files import read_json, read_table, write_json
from core.names import Scale
from core.paths import check_writable
from core.run_folder import StudyFolder
from core.scan_quality import PRESENT, sentences
from studies.commands._dataset import add_dataset_options, dataset_options, preview
from studies.commands._flagged import add_flagged
from studies.part_sheets import gather
from studies.preprocessing.options import Brain, Registration
from studies.source_jobs import prepare_subjects, take_steps
from studies.sources import source
from studies.sources.bids import check_preprocessing, quality

HELP = "scans of a BIDS dataset registered to an atlas, bias corrected, brain extracted; previewed without --out"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which dataset, how it is preprocessed, and where to write."""
    add_dataset_options(parser)
    parser.add_argument("--voxel-size-mm", type=float, help="of the common grid (default: 1)")
    parser.add_argument("--atlas", metavar="IMAGE", help="another atlas than nilearn's ICBM152")
    parser.add_argument("--atlas-mask", metavar="MASK", help="its brain, where it has its skull")
    parser.add_argument("--brain", choices=get_args(Brain), help="where the brain mask comes from (default: auto)")
    parser.add_argument(
        "--masks", metavar="FOLDER", help="for --brain given: *_desc-brain_mask, laid out as the dataset"
    )
    parser.add_argument("--no-n4", dest="n4", action="store_false", default=None, help="leave the bias field as it is")
    parser.add_argument("--registration", choices=get_args(Registration), help="default: syn")
    parser.add_argument("--scale", choices=get_args(Scale), default="brain", help="default: brain")
    add_flagged(parser)
    parser.add_argument("--out", type=Path, help="write images, masks, transforms and scans.tsv into this folder")
    parser.add_argument("--jobs", type=int, default=1, help="subjects at once, in separate processes (default: 1)")


def main(arguments: argparse.Namespace) -> int | None:
    """Preprocess a dataset, or preview it; one scan a person and no scanners will do."""
    options = dataset_options(arguments)
    # somebody's scans of one scanner can be preprocessed too
    options["scanner"] = options["scanner"] or "one"
    for key in ("voxel_size_mm", "brain", "masks", "n4", "registration", "scale"):
        if (value := getattr(arguments, key)) is not None:
            options[key] = value
    if arguments.atlas_mask and not arguments.atlas:
        raise InputError("--atlas-mask: give --atlas too, the image that it belongs to")
    if arguments.atlas:
        options["atlas"] = {"image": arguments.atlas} | ({"mask": arguments.atlas_mask} if arguments.atlas_mask else {})
    bids = source("bids")
    check_preprocessing(bids.options(options))
    if arguments.out is None:
        preview(arguments, bids.options(options).brain)
        print("Nothing was written; give --out DIR to preprocess these images.")
        return None
    check_place(arguments.out, Path(arguments.dataset))
    planned = bids.plan(options)
    settled = bids.settle(options)
    start_or_go_on(arguments.out, settled)
    failed = take_steps("bids", settled, planned, arguments.out, jobs=arguments.jobs)
    quality(arguments.out, planned, StudyFolder(arguments.out).quality, arguments.flagged)
    table = read_table(StudyFolder(arguments.out).quality)
    for sentence in sentences(table, "failed", "left_out", "kept"):
        print(sentence, file=sys.stderr)
    # refused scans stop the first of these
    there = table[table["status"].isin([*PRESENT, "refused"])]
    subjects = list(dict.fromkeys(there["subject"]))
    if not subjects:
        raise InputError(
            f"{arguments.dataset}: no scan could be preprocessed; see {StudyFolder(arguments.out).quality}"
        )
    gather(prepare_subjects("bids", settled, subjects, arguments.out), arguments.out / "scans.tsv")
    print(f"{len(there)} of {len(planned)} scans: {arguments.out / 'scans.tsv'}")
    return 1 if failed else None


def check_place(out: Path, dataset: Path) -> None:
    """Refuse a folder that can't be written, and one within a dataset, which would become part of that."""
    check_writable(out)
    inside = out.resolve().is_relative_to(dataset.resolve())
    if inside and out.resolve().relative_to(dataset.resolve()).parts[:1] != ("derivatives",):
        raise InputError(f"--out {out}: lies within the dataset; give another folder, or one under its derivatives/")


def start_or_go_on(out: Path, options: dict) -> None:
    """Keep the steps that were recorded in `out` with these options, and forget those of others."""
    kept = StudyFolder(out).options
    if not kept.exists() or read_json(kept) != json.loads(json.dumps(options)):
        shutil.rmtree(out / "status", ignore_errors=True)
    write_json(kept, options)
