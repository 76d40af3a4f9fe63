"""`harmonize`: a trained MISPEL applied to scans, or to one image."""

from __future__ import annotations

import argparse
import copy
import shutil
import tempfile
from pathlib import Path

from baselines.harness.commands import add_apply_options, harmonize_from
from core.errors import InputError
from core.files import write_beside
from core.libraries import check_libraries
from core.run_folder import image_name
from core.sheet import write_sheet
from core.study import Scan, Study
from mispel.method import Mispel

HELP = "harmonize scans, or one image, also of people never seen in training, from scanners seen"
ENDINGS = (".nii", ".nii.gz")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which scans, with which model."""
    parser.add_argument("image", nargs="?", type=Path, help="one brain-extracted image, instead of --scans")
    parser.add_argument("--mask", type=Path, help="the image's brain mask")
    parser.add_argument("--scanner", help="the image's scanner, as the model calls it")
    add_apply_options(parser, sheet_required=False, by_hand=True)


def main(arguments: argparse.Namespace) -> None:
    """Harmonize."""
    if (arguments.image is None) == (arguments.scans is None):
        raise InputError("give one image, or --scans with a sheet of several")
    if arguments.image is None:
        harmonize_from(arguments, "mispel")
    else:
        _harmonize_image(arguments)


def _harmonize_image(arguments: argparse.Namespace) -> None:
    """Harmonize one image into the file `--out`, by way of a sheet of one row."""
    if arguments.mask is None:
        raise InputError("give the image's brain mask: --mask MASK")
    if not str(arguments.out).endswith(ENDINGS):
        raise InputError(f"--out {arguments.out}: of one image it is a file; let it end in .nii.gz")
    if arguments.out.exists() and not arguments.overwrite:
        raise InputError(f"--out {arguments.out}: is there already; name another file, or replace it with --overwrite")
    if arguments.scanner is None:
        raise InputError(f"say which scanner the image is from: --scanner, one of {', '.join(_scanners(arguments))}")
    scan = Scan("image", arguments.scanner, arguments.image.absolute(), arguments.mask.absolute())
    with tempfile.TemporaryDirectory() as folder:
        sheet, out = Path(folder) / "scans.tsv", Path(folder) / "harmonized"
        write_sheet(sheet, Study((scan,)), absolute=True)
        of_sheet = copy.copy(arguments)
        of_sheet.scans, of_sheet.out = sheet, out
        try:
            harmonize_from(of_sheet, "mispel")
        except InputError as error:
            # nobody wrote that sheet
            raise InputError(str(error).replace(f"{sheet}, row 2: ", "")) from None
        with write_beside(arguments.out) as temporary:
            shutil.copyfile(out / image_name(scan.name), temporary)
    print(arguments.out)


def _scanners(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Those that the model knows."""
    check_libraries(Mispel.libraries, "mispel")
    import torch

    from mispel.model import load_model

    return load_model(arguments.model, torch.device("cpu"))[0].scanners
