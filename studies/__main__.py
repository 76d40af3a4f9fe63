"""`python -m studies`: make or import scans.

Each verb is a function that adds its parser and names what runs it; `VERBS` lists them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError, nearest
from core.files import read_json, write_json
from core.jobs.command import run
from core.jobs.run_lock import check_writable
from studies.bids.options import SCANNER_WAYS, BidsOptions
from studies.part_sheets import gather
from studies.preprocessing.options import BRAINS, REGISTRATIONS
from studies.simulation.options import PhantomOptions
from studies.simulation.physics import shipped_scanners
from studies.source_jobs import do_step, prepare_subjects, take_steps
from studies.sources import PlannedScan, settle, source, sources

Verbs = Any  # argparse's own type for a set of sub-commands has no public name


def add_phantom(verbs: Verbs) -> None:
    """`phantom`: made-up people on simulated scanners."""
    parser = verbs.add_parser(
        "phantom",
        help="simulated: made-up people on simulated scanners, with the truth beside each scan",
        description="Make a digital travelling-subject phantom. Without --out, say what it would be.",
    )
    parser.add_argument("--subjects", type=int, help="how many people to make up (default: 6)")
    add_scan_options(parser)
    add_writing_options(parser)
    parser.set_defaults(main=lambda arguments: make("phantom", arguments))


def add_simulate(verbs: Verbs) -> None:
    """`simulate`: real people's brains on simulated scanners."""
    parser = verbs.add_parser(
        "simulate",
        help="simulated scanners on real brains: a BIDS folder of skull-stripped T1-weighted images",
        description="Scan real people's brains on simulated scanners. Without --out, say what it would be.",
    )
    parser.add_argument("--anatomy", required=True, help="a BIDS folder, or a TSV with the columns subject and image")
    parser.add_argument("--subjects", type=int, help="how many of the people found (default: all)")
    add_scan_options(parser)
    add_writing_options(parser)
    parser.set_defaults(main=lambda arguments: make("simulate", arguments))


def add_bids(verbs: Verbs) -> None:
    """`bids`: what a BIDS dataset would give a study."""
    parser = verbs.add_parser(
        "bids",
        help="a BIDS dataset: what it holds, what is missing or ambiguous, what a study would need",
        description="Preview a BIDS dataset of T1-weighted images: subjects by scanners, gaps, and what to decide.",
    )
    add_dataset_options(parser)
    parser.set_defaults(main=preview_bids)


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Which images of a dataset, see `studies.bids.options.BidsOptions`."""
    parser.add_argument("dataset", help="the folder with dataset_description.json and the sub-* folders")
    parser.add_argument("--scanner", help=f"what tells scanners apart: {SCANNER_WAYS} (default: what tells the most)")
    parser.add_argument("--scanners", nargs="+", metavar="VALUE[=NAME]", help="the values to use, and names for them")
    parser.add_argument("--subjects", nargs="+", metavar="LABEL", help="only these, without sub-")
    parser.add_argument("--select", nargs="+", metavar="ENTITY=VALUE", help="only images whose name says so: run=1")
    parser.add_argument(
        "--repeats", choices=("refuse", "first", "last"), default="refuse", help="of several images of one scan"
    )


def add_preprocess(verbs: Verbs) -> None:
    """`preprocess`: native scans of a BIDS dataset onto the atlas's grid."""
    parser = verbs.add_parser(
        "preprocess",
        help="scans of a BIDS dataset: registered to an atlas, bias corrected, brain extracted, on one grid",
        description="Preprocess a BIDS dataset as the paper does. Without --out, say what it would be.",
    )
    add_dataset_options(parser)
    parser.add_argument("--voxel-size-mm", type=float, help="of the common grid (default: 2)")
    parser.add_argument("--atlas", metavar="IMAGE", help="another atlas than nilearn's ICBM152")
    parser.add_argument("--atlas-mask", metavar="MASK", help="its brain, where it has its skull")
    parser.add_argument("--brain", choices=BRAINS, help="where the brain mask comes from (default: atlas)")
    parser.add_argument(
        "--masks", metavar="FOLDER", help="for --brain given: *_desc-brain_mask, laid out as the dataset"
    )
    parser.add_argument("--no-n4", dest="n4", action="store_false", default=None, help="leave the bias field as it is")
    parser.add_argument("--registration", choices=REGISTRATIONS, help="default: syn")
    parser.add_argument("--scale", choices=("brain", "volume", "none"), default="brain", help="default: brain")
    parser.add_argument("--out", type=Path, help="write images, masks, transforms and scans.tsv into this folder")
    parser.add_argument("--jobs", type=int, default=1, help="subjects at once, in separate processes (default: 1)")
    parser.set_defaults(main=preprocess)


def add_step(verbs: Verbs) -> None:
    """`step`: one step of one scan, as a study run does it."""
    parser = verbs.add_parser("step", help="one step of the preprocessing of one scan, as a study run does it")
    parser.add_argument("name", help="the step: register or resample")
    parser.add_argument("--source", required=True, help=f"one of {', '.join(sources())}")
    parser.add_argument("--options", required=True, type=Path, help="JSON: the source's options, seed and scale")
    parser.add_argument("--scan", required=True, nargs=2, metavar=("SUBJECT", "SCANNER"), help="which scan")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write into")
    parser.add_argument("--status", type=Path, help="JSON to write how it ended into")
    parser.add_argument(
        "--requires", type=Path, nargs="*", default=[], help="records of steps that must have gone well"
    )
    parser.set_defaults(main=step)


def add_quality(verbs: Verbs) -> None:
    """`quality`: of all preprocessed scans of a run."""
    parser = verbs.add_parser("quality", help="numbers and flags of every preprocessed scan, in one table")
    parser.add_argument("folder", type=Path, help="the folder that was preprocessed into: RUN/study")
    parser.add_argument("--scans", required=True, nargs="+", metavar="SUBJECT:SCANNER", help="every scan planned")
    parser.add_argument("--out", required=True, type=Path, help="TSV to write; a .md is written beside it")
    parser.set_defaults(main=quality)


def add_native(verbs: Verbs) -> None:
    """`native`: harmonized scans back on the scanners' own grids."""
    parser = verbs.add_parser(
        "native",
        help="take images on the atlas's grid, such as harmonized ones, back to the scanners' own grids",
        description="Invert the preprocessing's transforms: IMAGES/sub-*_scanner-*_T1w.nii.gz onto native grids.",
    )
    parser.add_argument("images", type=Path, help="a folder of images: results/RUN/images/METHOD")
    parser.add_argument("--study", required=True, type=Path, help="the folder that was preprocessed into: RUN/study")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write into")
    parser.set_defaults(main=native)


def add_check(verbs: Verbs) -> None:
    """`check`: whether a source's scans can be used, before any long work."""
    parser = verbs.add_parser(
        "check",
        help="refuse a study that cannot be used, before any long work",
        description="Check a source's options and files; then write the options for `prepare`.",
    )
    parser.add_argument("--source", required=True, help=f"one of {', '.join(sources())}")
    parser.add_argument("--options", required=True, type=json.loads, help="the options themselves, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="the file of options to write")
    parser.set_defaults(main=check)


def add_prepare(verbs: Verbs) -> None:
    """`prepare`: subjects of any source, as a study run does it."""
    parser = verbs.add_parser(
        "prepare",
        help="write the scans of some subjects of a source, and a part sheet for each",
        description="Write the scans of some subjects, their truth, and a part sheet for each.",
    )
    parser.add_argument("--source", required=True, help=f"one of {', '.join(sources())}")
    parser.add_argument("--options", required=True, type=Path, help="JSON: the source's options, seed and scale")
    parser.add_argument("--subject", required=True, nargs="+", metavar="ID", help="which subjects")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write into")
    parser.set_defaults(main=prepare)


def add_gather(verbs: Verbs) -> None:
    """`gather`: part sheets into one."""
    parser = verbs.add_parser("gather", help="join part sheets into one sheet")
    parser.add_argument("--parts", required=True, nargs="+", type=Path, help="part sheets, in order")
    parser.add_argument("--out", required=True, type=Path, help="the sheet to write")
    parser.add_argument("--folds", type=int, help="divide the people into so many folds (column fold)")
    parser.add_argument("--stratify", metavar="COLUMN", help="a covariate that the folds share alike")
    parser.add_argument("--seed", type=int, default=0, help="of the division into folds (default: 0)")
    parser.set_defaults(main=gather_parts)


VERBS: tuple[Callable[[Verbs], None], ...] = (
    add_phantom,
    add_simulate,
    add_bids,
    add_preprocess,
    add_step,
    add_quality,
    add_native,
    add_check,
    add_prepare,
    add_gather,
)


def add_scan_options(parser: argparse.ArgumentParser) -> None:
    """Options of every simulated study, see `studies.simulation.options.ScanOptions`."""
    known = ", ".join(shipped_scanners())
    parser.add_argument("--scanners", nargs="+", help=f"names out of {known} (default: all four)")
    parser.add_argument("--voxel-size-mm", type=int, choices=(1, 2), help="default: 2")
    parser.add_argument("--seed", type=int, help="of every random number (default: 0)")
    parser.add_argument("--scale", choices=("brain", "volume", "none"), help="what images are divided by")
    parser.add_argument("--failed-scan", action="store_true", default=None, help="the first subject's GE scan fails")
    parser.add_argument(
        "--contrast-only", action="store_true", default=None, help="scanners differ in contrast alone (calibration)"
    )
    parser.add_argument("--missing", nargs="+", metavar="SUBJECT:SCANNER", help="scans to leave out")
    parser.add_argument(
        "--options", type=Path, help="JSON with any of these, and scanners of your own (options above win)"
    )


def add_writing_options(parser: argparse.ArgumentParser) -> None:
    """Where to write, which subjects, and how many at once."""
    parser.add_argument("--out", type=Path, help="write images, truth and scans.tsv into this folder")
    parser.add_argument("--subject", nargs="+", metavar="ID", help="only these subjects, with a part sheet each")
    parser.add_argument("--jobs", type=int, default=1, help="subjects made at once, in separate processes (default: 1)")


def scan_options(arguments: argparse.Namespace, further: Sequence[str] = ()) -> dict[str, Any]:
    """The options given, those of the file first; what isn't given is left to its default."""
    options = read_json(arguments.options) if arguments.options else {}
    if not isinstance(options, dict):
        raise InputError(f"{arguments.options}: not a mapping of options; see studies/phantom/options.py")
    for key in ("scanners", "voxel_size_mm", "seed", "scale", "failed_scan", "contrast_only", *further):
        if (value := getattr(arguments, key)) is not None:
            options[key] = value
    if arguments.missing:
        options["missing"] = [text.rsplit(":", 1) for text in arguments.missing]
    return options


def make(name: str, arguments: argparse.Namespace) -> None:
    """Preview a simulated study, or write it."""
    options = scan_options(arguments, [key for key in ("subjects", "anatomy") if hasattr(arguments, key)])
    planned = source(name).plan(options)
    subjects = list(dict.fromkeys(scan.subject for scan in planned))
    for subject in arguments.subject or ():
        if subject not in subjects:
            raise InputError(f"--subject {subject}: not in this study{nearest(subject, subjects)}")
    chosen = arguments.subject or subjects
    if arguments.out is None:
        preview(options, [scan for scan in planned if scan.subject in chosen])
        return
    parts = prepare_subjects(name, options, chosen, arguments.out, jobs=arguments.jobs)
    if arguments.subject is None:
        gather(parts, arguments.out / "scans.tsv")
        print(f"{len(planned)} simulated scans of {len(subjects)} subjects: {arguments.out / 'scans.tsv'}")


def preview(options: Mapping[str, Any], planned: Sequence[PlannedScan]) -> None:
    """Say what would be made."""
    from studies.simulation.grid import SHAPE
    from studies.simulation.physics import make_scanners, tissues
    from studies.simulation.signal import contrast

    subjects = list(dict.fromkeys(scan.subject for scan in planned))
    voxel_size = options.get("voxel_size_mm", 2)
    shape = " x ".join(str(n // voxel_size) for n in SHAPE)
    print(f"Simulated: {len(planned)} scans of {len(subjects)} subjects, {shape} voxels of {voxel_size} mm")
    print(f"subjects: {', '.join(subjects[:30])}{', ...' if len(subjects) > 30 else ''}")
    print("scanner, its signal over white matter's:")
    for scanner in make_scanners(options.get("scanners", PhantomOptions().scanners)):
        ratios = contrast(tissues(), scanner)
        count = sum(scan.scanner == scanner.name for scan in planned)
        print(f"  {scanner.name:<12} {count:>4} scans   GM {ratios['cortical_gm']:.3f}   CSF {ratios['csf']:.3f}")
    print("Nothing was written; give --out DIR to write images, truth and scans.tsv.")


def preview_bids(arguments: argparse.Namespace) -> None:
    """Say what a dataset would give a study; images that can't be used are errors."""
    from studies.bids.checking import check_images
    from studies.bids.images import read_images
    from studies.bids.preview import describe

    options = BidsOptions.from_json(dataset_options(arguments))
    images = read_images(options.dataset)
    for line in describe(options, images):
        print(line)
    check_images([Path(options.dataset) / image.path for image in images])


def dataset_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that the command line gives of a dataset."""
    scanners = [text.partition("=") for text in arguments.scanners or ()]
    select: dict[str, list[str | None]] = {}
    for text in arguments.select or ():
        entity, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--select {text}: give ENTITY=VALUE, such as run=1")
        select.setdefault(entity, []).append(None if value == "null" else value)
    return {
        "dataset": arguments.dataset,
        "scanner": arguments.scanner,
        "scanners": {value: name or value for value, _, name in scanners},
        "subjects": arguments.subjects,
        "select": select,
        "repeats": arguments.repeats,
    }


def preprocess(arguments: argparse.Namespace) -> int | None:
    """Preprocess a dataset, or preview it; one scan a person and no scanners will do."""
    from studies.sources.bids import check_preprocessing, split

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
    check_preprocessing(split(options)[1])
    if arguments.out is None:
        preview_bids(arguments)
        print("Nothing was written; give --out DIR to preprocess these images.")
        return None
    check_place(arguments.out, Path(arguments.dataset))
    planned = source("bids").plan(options)
    settled = settle("bids", options)
    start_or_go_on(arguments.out, settled)
    failed = take_steps("bids", settled, planned, arguments.out, jobs=arguments.jobs)
    gather_quality(arguments.out, [(scan.subject, scan.scanner) for scan in planned], arguments.out / "quality.tsv")
    for scan, reason in failed.items():
        print(f"failed: subject {scan.subject} on scanner {scan.scanner}: {reason}", file=sys.stderr)
    subjects = list(dict.fromkeys(scan.subject for scan in planned if scan not in failed))
    if not subjects:
        raise InputError(f"{arguments.dataset}: no scan could be preprocessed; see {arguments.out / 'quality.tsv'}")
    gather(prepare_subjects("bids", settled, subjects, arguments.out), arguments.out / "scans.tsv")
    print(f"{len(planned) - len(failed)} of {len(planned)} scans: {arguments.out / 'scans.tsv'}")
    return 1 if failed else None


def check_place(out: Path, dataset: Path) -> None:
    """Refuse a folder that can't be written, and one within a dataset, which would become part of that."""
    check_writable(out)
    inside = out.resolve().is_relative_to(dataset.resolve())
    if inside and out.resolve().relative_to(dataset.resolve()).parts[:1] != ("derivatives",):
        raise InputError(f"--out {out}: lies within the dataset; give another folder, or one under its derivatives/")


def start_or_go_on(out: Path, options: dict[str, Any]) -> None:
    """Keep the steps that were recorded in `out` with these options, and forget those of others."""
    kept = out / "options.json"
    if not kept.exists() or read_json(kept) != json.loads(json.dumps(options)):
        shutil.rmtree(out / "status", ignore_errors=True)
    write_json(kept, options)


def step(arguments: argparse.Namespace) -> None:
    """Do a step of a scan."""
    subject, scanner = arguments.scan
    do_step(
        arguments.source,
        arguments.name,
        read_json(arguments.options),
        subject,
        scanner,
        arguments.out,
        arguments.status,
        requires=arguments.requires,
    )


def quality(arguments: argparse.Namespace) -> None:
    """Write the quality of every planned scan."""
    gather_quality(arguments.folder, [tuple(text.split(":", 1)) for text in arguments.scans], arguments.out)


def gather_quality(folder: Path, scans: Sequence[tuple[str, str]], out: Path) -> None:
    """Write the table of quality, and as Markdown beside it."""
    from studies.preprocessing.quality_table import gather as gather_scans
    from studies.preprocessing.quality_table import write

    write(gather_scans(folder, scans), out)


def native(arguments: argparse.Namespace) -> None:
    """Take a folder of images back to native grids."""
    from studies.preprocessing.native import take_back

    for path in take_back(arguments.images, arguments.study, arguments.out):
        print(path)


def check(arguments: argparse.Namespace) -> None:
    """Check all that a source reads, then write its options."""
    write_json(arguments.out, settle(arguments.source, arguments.options))


def prepare(arguments: argparse.Namespace) -> None:
    """Write the subjects asked for."""
    options = read_json(arguments.options)
    if not isinstance(options, dict):
        raise InputError(f"{arguments.options}: not a mapping of options")
    prepare_subjects(arguments.source, options, arguments.subject, arguments.out)


def gather_parts(arguments: argparse.Namespace) -> None:
    """Join part sheets, and divide their people where that is asked for."""
    gather(arguments.parts, arguments.out, fold_count=arguments.folds, seed=arguments.seed, stratify=arguments.stratify)


def main(argv: Sequence[str] | None = None) -> int | None:
    """Parse the command line and do what it says; the exit status, None where all went well."""
    parser = argparse.ArgumentParser(prog="python -m studies", description="Make or import scans.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add in VERBS:
        add(verbs)
    arguments = parser.parse_args(argv)
    return arguments.main(arguments)


if __name__ == "__main__":
    run(main)
