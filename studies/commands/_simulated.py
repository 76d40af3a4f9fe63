"""What the two verbs that simulate scanners share: options, preview, and the writing of a study."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from core.errors import InputError, nearest
from core.files import read_json
from core.names import Scale
from studies.part_sheets import gather
from studies.simulation.grid import SHAPE
from studies.simulation.options import PhantomOptions
from studies.simulation.physics import CALIBRATED, make_scanners, shipped_scanners, tissues, variants
from studies.simulation.signal import contrast
from studies.source_jobs import prepare_subjects
from studies.sources import PlannedScan, source


def add_scan_options(parser: argparse.ArgumentParser) -> None:
    """Options of every simulated study, see `studies.simulation.options.ScanOptions`."""
    known = ", ".join(shipped_scanners())
    parser.add_argument("--scanners", nargs="+", help=f"names out of {known} (default: all four)")
    parser.add_argument("--voxel-size-mm", type=int, choices=(1, 2), help="default: 2")
    parser.add_argument("--seed", type=int, help="of every random number (default: 0)")
    parser.add_argument("--scale", choices=get_args(Scale), help="what images are divided by")
    parser.add_argument("--failed-scan", action="store_true", default=None, help="the first subject's GE scan fails")
    parser.add_argument(
        "--contrast-only", action="store_true", default=None, help="scanners differ in contrast alone (calibration)"
    )
    parser.add_argument("--t2", action="store_true", default=None, help="a T2-weighted image beside each scan")
    parser.add_argument("--variant", help=f"of the scanners: {', '.join(variants())} (default: {CALIBRATED})")
    parser.add_argument("--missing", nargs="+", metavar="SUBJECT:SCANNER", help="scans to leave out")
    parser.add_argument(
        "--options", type=Path, help="JSON with any of these, and scanners of your own (options above win)"
    )
    parser.add_argument("--out", type=Path, help="write images, truth and scans.tsv into this folder")
    parser.add_argument("--subject", nargs="+", metavar="ID", help="only these subjects, with a part sheet each")
    parser.add_argument("--jobs", type=int, default=1, help="subjects made at once, in separate processes (default: 1)")


def scan_options(arguments: argparse.Namespace, further: Sequence[str] = ()) -> dict[str, Any]:
    """The options given, those of the file first; what isn't given is left to its default."""
    options = read_json(arguments.options) if arguments.options else {}
    if not isinstance(options, dict):
        raise InputError(f"{arguments.options}: not a mapping of options; see studies/simulation/options.py")
    for key in (
        "scanners",
        "voxel_size_mm",
        "seed",
        "scale",
        "failed_scan",
        "contrast_only",
        "variant",
        "t2",
        *further,
    ):
        if (value := getattr(arguments, key)) is not None:
            options[key] = value
    if arguments.missing:
        options["missing"] = [text.rsplit(":", 1) for text in arguments.missing]
    return options


def make(name: str, arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    """Preview a simulated study from the source `name`, or write it."""
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
    subjects = list(dict.fromkeys(scan.subject for scan in planned))
    voxel_size = options.get("voxel_size_mm", PhantomOptions().voxel_size_mm)
    shape = " x ".join(str(n // voxel_size) for n in SHAPE)
    print(f"Simulated: {len(planned)} scans of {len(subjects)} subjects, {shape} voxels of {voxel_size} mm")
    print(f"subjects: {', '.join(subjects[:30])}{', ...' if len(subjects) > 30 else ''}")
    variant = options.get("variant", PhantomOptions().variant)
    print(f"scanner ({variant}), its signal over white matter's:")
    for scanner in make_scanners(options.get("scanners", PhantomOptions().scanners), variant):
        ratios = contrast(tissues(), scanner)
        count = sum(scan.scanner == scanner.name for scan in planned)
        print(f"  {scanner.name:<12} {count:>4} scans   GM {ratios['cortical_gm']:.3f}   CSF {ratios['csf']:.3f}")
    print("Nothing was written; give --out DIR to write images, truth and scans.tsv.")
