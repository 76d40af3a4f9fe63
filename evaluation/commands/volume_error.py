"""`volume-error`: how far the volumes of a label image are from the true ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.errors import InputError
from core.images import voxel_volume_ml
from core.names import TISSUES
from evaluation.arms.images import load_fractions
from evaluation.commands._files import print_by_tissue, read_labels
from evaluation.measures.volumes import fraction_volumes, label_volumes

HELP = "volumes less the true ones in mL, by tissue"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which labels and truth."""
    parser.add_argument("labels", type=Path, metavar="LABELS")
    parser.add_argument("--fractions", type=Path, required=True, help="true fractions, 4-D NIfTI of CSF, GM, WM")


def main(arguments: argparse.Namespace) -> None:
    """Print how far the volumes of a label image are from the true ones, the sums of fractions."""
    (labels,), affine = read_labels(arguments.labels)
    true = load_fractions(arguments.fractions)
    if true.shape[:3] != labels.shape:
        raise InputError(
            f"{arguments.fractions}: shape {true.shape[:3]}, but {arguments.labels} has {labels.shape}; "
            "give those of that scan"
        )
    voxel_ml = voxel_volume_ml(affine)
    found, truth = label_volumes(labels, voxel_ml), fraction_volumes(true, voxel_ml)
    print_by_tissue("volume_error_ml", {tissue: found[tissue] - truth[tissue] for tissue in TISSUES})
