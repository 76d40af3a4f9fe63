"""A run's files: what each arm's steps read and write, and how its parts come together.

The arithmetic is in `evaluation.measures`, `evaluation.intensities` and `evaluation.segmentation`; here
are the loops over scans, one or one subject's in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from evaluation.intensities import (
    Intensities,
    map_to_reference,
    measure_intensities,
    on_reference_scale,
)
from evaluation.measures.overlap import dice, dice_by_tissue
from evaluation.measures.similarity import pairwise
from evaluation.measures.truth import similarity_with_truth
from evaluation.measures.volumes import fraction_volumes, label_volumes, rmse_table, volume_differences
from evaluation.segmentation import TISSUES, labels_at, segment, volumes_ml
from studies.commandline import progress
from studies.errors import InputError
from studies.files import read_table, write_table
from studies.images import load_image, save_labels, voxel_sizes, voxel_volume_ml
from studies.sheet import Scan, Study

SSIM_COLUMNS = ["method", "subject", "scanner_a", "scanner_b", "ssim", "ssim_common_scale", "pearson"]
DICE_COLUMNS = ["method", "subject", "scanner_a", "scanner_b", "tissue", "dice"]
VOLUME_COLUMNS = [
    "method",
    "subject",
    "scanner",
    "tissue",
    "volume_ml",
    "volume_ml_hard",
    "volume_ml_pve",
    "volume_ml_posterior",
    "volume_ml_pve_threshold",
    "engine",
    "rule",
]
TRUTH_PART_COLUMNS = ["method", "subject", "scanner", "tissue", "true_volume_ml", "dice_truth"]
TRUTH_COLUMNS = [
    "method",
    "subject",
    "scanner",
    "tissue",
    "true_volume_ml",
    "volume_error_ml",
    "volume_error_ml_hard",
    "volume_error_ml_pve",
    "dice_truth",
]
TRUTH_SIMILARITY_COLUMNS = [
    "method",
    "subject",
    "scanner",
    "ssim_truth",
    "ssim_truth_mean",
    "pearson_truth",
]
PARTS = {
    "volumes": VOLUME_COLUMNS,
    "ssim": SSIM_COLUMNS,
    "dice": DICE_COLUMNS,
    "truth": TRUTH_PART_COLUMNS,
    "truth_similarity": TRUTH_SIMILARITY_COLUMNS,
}
"""The tables that an arm's steps write a batch of subjects at a time: `<name>-<batch>.tsv`."""


def image_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's image of a scan lies."""
    return folder / f"{scan.name}_T1w.nii.gz"


def labels_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's labels of a scan lie."""
    return folder / f"{scan.name}_dseg.nii.gz"


def read_on_grid(path: Path, scan: Scan) -> np.ndarray:
    """Read an image (X, Y, Z) that must lie on the scan's grid, else `InputError`."""
    voxels, _ = load_image(path)
    if voxels.shape != scan.shape:
        raise InputError(f"{path}: shape {voxels.shape}, but the scan has {scan.shape}; apply the method again")
    return voxels


def read_arm_image(folder: Path, scan: Scan, mask: np.ndarray) -> np.ndarray:
    """An arm's image (X, Y, Z) of a scan; raises `InputError` where it is absent or has NaN or infinite voxels."""
    path = image_path(folder, scan)
    image = read_on_grid(path, scan)
    broken = int(np.count_nonzero(~np.isfinite(image[mask])))
    if broken:
        raise InputError(f"{path}: {broken} NaN or infinite voxels in the brain; apply the method again")
    return image


def arm_intensities(method: str, study: Study, images: Path) -> Intensities:
    """The range of an arm's brain voxels over all scans of `study`, two passes over its images."""

    def brains() -> Iterator[np.ndarray]:
        for scan in progress(study.scans, what=f"intensities of {method}"):
            mask = scan.read_mask()
            yield read_arm_image(images, scan, mask)[mask]

    return measure_intensities(method, brains, len(study.scans))


def segment_arm(
    study: Study,
    *,
    method: str,
    images: Path,
    intensities: Intensities,
    reference: Intensities,
    engine: str,
    rule: str,
    threshold: float,
    threads: int,
    out: Path,
) -> pd.DataFrame:
    """Segment an arm's images of every scan of `study`; writes labels into `out`, returns the volumes.

    Raises `InputError` for a scan that cannot be segmented; nothing stands for it.
    """
    rows = []
    for scan in progress(study.scans, what=f"segmentation of {method}"):
        mask = scan.read_mask()
        image = map_to_reference(read_arm_image(images, scan, mask), mask, intensities, reference)
        segmentation = segment(
            image,
            mask,
            voxel_sizes(scan.affine),
            engine=engine,
            threads=threads,
            partial_volumes=True,
            name=str(image_path(images, scan)),
        )
        labels = labels_at(segmentation, rule, threshold)
        save_labels(labels_path(out, scan), labels, scan.affine)
        voxel_ml = voxel_volume_ml(scan.affine)
        at_rule = label_volumes(labels, voxel_ml)
        by_rule = volumes_ml(segmentation, voxel_ml, threshold=threshold)
        rows += [
            {
                "method": method,
                "subject": scan.subject,
                "scanner": scan.scanner,
                "tissue": tissue,
                "volume_ml": at_rule[tissue],
                "volume_ml_hard": by_rule["hard"][tissue],
                "volume_ml_pve": by_rule["partial_volume_sum"][tissue],
                "volume_ml_posterior": by_rule["posterior"][tissue],
                "volume_ml_pve_threshold": by_rule["partial_volume"][tissue],
                "engine": segmentation.engine,
                "rule": rule if rule == "hard" else f"{rule} {threshold:g}",
            }
            for tissue in TISSUES
        ]
    return pd.DataFrame(rows, columns=VOLUME_COLUMNS)


def measure_arm(
    study: Study,
    subjects: Sequence[str],
    *,
    method: str,
    images: Path,
    segmentations: Path,
    intensities: Intensities,
    reference: Intensities,
    sheet_folder: Path,
) -> dict[str, pd.DataFrame]:
    """An arm's similarity, overlap and nearness to the truth for some subjects of `study`.

    Returns the tables `ssim`, `dice`, `truth` and `truth_similarity` (see `PARTS`); the last two have
    rows for the scans whose truth the sheet names (columns truth_image, truth_labels, truth_fractions,
    relative to `sheet_folder`); true images are on RAW's scale.
    """
    tables: dict[str, list[dict]] = {name: [] for name in PARTS if name != "volumes"}
    order = {scanner: position for position, scanner in enumerate(study.scanners)}
    for subject in progress(subjects, what=f"measures of {method}"):
        scans = sorted(study.of_subject(subject), key=lambda scan: order[scan.scanner])
        masks = {scan.scanner: scan.read_mask() for scan in scans}
        arm = {scan.scanner: read_arm_image(images, scan, masks[scan.scanner]) for scan in scans}
        labels = {scan.scanner: read_on_grid(labels_path(segmentations, scan), scan).astype(np.uint8) for scan in scans}
        identity = {"method": method, "subject": subject}
        similarities = pairwise(
            arm,
            masks,
            low=intensities.low,
            high=intensities.high,
            reference_low=reference.low,
            reference_high=reference.high,
        )
        for (scanner_a, scanner_b), found in similarities.items():
            pair = {**identity, "scanner_a": scanner_a, "scanner_b": scanner_b}
            tables["ssim"].append({**pair, **vars(found)})
            by_tissue = dice_by_tissue(labels[scanner_a], labels[scanner_b])
            tables["dice"] += [{**pair, "tissue": tissue, "dice": value} for tissue, value in by_tissue.items()]
        tables["truth"] += _truth_of_labels(scans, labels, sheet_folder, identity)
        tables["truth_similarity"] += _truth_of_images(
            scans, arm, masks, intensities, reference, sheet_folder, identity
        )
    return {name: pd.DataFrame(rows, columns=PARTS[name]) for name, rows in tables.items()}


def _truth_of_labels(
    scans: Sequence[Scan], labels: Mapping[str, np.ndarray], sheet_folder: Path, identity: dict
) -> list[dict]:
    rows = []
    for scan in scans:
        labels_file = truth_path(scan, "truth_labels", sheet_folder)
        fractions_file = truth_path(scan, "truth_fractions", sheet_folder)
        if labels_file is None or fractions_file is None:
            continue
        true_labels = read_on_grid(labels_file, scan).astype(np.uint8)
        true_volumes = fraction_volumes(load_fractions(fractions_file), voxel_volume_ml(scan.affine))
        rows += [
            {
                **identity,
                "scanner": scan.scanner,
                "tissue": tissue,
                "true_volume_ml": true_volumes[tissue],
                "dice_truth": dice(labels[scan.scanner] == label, true_labels == label),
            }
            for label, tissue in enumerate(TISSUES, start=1)
        ]
    return rows


def _truth_of_images(
    scans: Sequence[Scan],
    arm: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    intensities: Intensities,
    reference: Intensities,
    sheet_folder: Path,
    identity: dict,
) -> list[dict]:
    truths = {}
    for scan in scans:
        path = truth_path(scan, "truth_image", sheet_folder)
        if path is not None:
            truths[scan.scanner] = np.where(masks[scan.scanner], read_on_grid(path, scan), np.float32(0))
    mapped = {scanner: on_reference_scale(arm[scanner], masks[scanner], intensities, reference) for scanner in truths}
    found = similarity_with_truth(mapped, masks, truths, low=reference.low, high=reference.high)
    return [{**identity, "scanner": scanner, **vars(similarity)} for scanner, similarity in found.items()]


def truth_path(scan: Scan, column: str, sheet_folder: Path) -> Path | None:
    """The file that the sheet's column names for a scan's truth, or None where it names none."""
    name = scan.covariates.get(column, "")
    return sheet_folder / name if name not in ("", "n/a") else None


def load_fractions(path: Path) -> np.ndarray:
    """True fractions of CSF, GM and WM (X, Y, Z, 3), float32; raises `InputError` for another shape."""
    try:
        fractions = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    if fractions.ndim != 4 or fractions.shape[3] != len(TISSUES):
        raise InputError(f"{path}: shape {fractions.shape}; true fractions have a fourth axis of CSF, GM, WM")
    return fractions


def read_parts(run: Path, name: str, methods: Sequence[str], batches: Sequence[str] | None) -> pd.DataFrame:
    """Join an arm's parts `RUN/parts/<method>/<name>-<batch>.tsv`; an empty file holds no rows.

    Without `batches`, all that are there.  Raises `InputError` where a row comes twice, as it does
    when parts of an earlier division into batches are left.
    """
    tables = [pd.DataFrame(columns=PARTS[name])]
    for method in methods:
        folder = run / "parts" / method
        if batches is None:
            files = sorted(folder.glob(f"{name}-*.tsv"))
        else:
            files = [folder / f"{name}-{batch}.tsv" for batch in batches]
        for path in files:
            if not path.is_file():
                raise InputError(f"{path}: no such part; run the arm's steps for that batch")
            if path.stat().st_size:
                tables.append(read_table(path))
    filled = [table for table in tables if not table.empty] or tables[:1]
    joined = pd.concat(filled, ignore_index=True)
    keys = [column for column in joined.columns if column in ("method", "subject", "scanner", "scanner_a", "scanner_b")]
    keys += ["tissue"] if "tissue" in joined.columns else []
    doubled = joined[joined.duplicated(keys)]
    if not doubled.empty:
        what = ", ".join(str(doubled.iloc[0][key]) for key in keys)
        raise InputError(f"{run / 'parts'}: {name} holds {what} twice; remove the parts of an earlier run")
    return joined


def in_order(table: pd.DataFrame, study: Study, methods: Sequence[str]) -> pd.DataFrame:
    """Rows by method, subject, scanners and tissue, each in the order of the config and the sheet.

    Rows of subjects or scanners that the sheet doesn't hold are left out.
    """
    orders = {
        "method": list(methods),
        "subject": study.subjects,
        "scanner": study.scanners,
        "scanner_a": study.scanners,
        "scanner_b": study.scanners,
        "tissue": list(TISSUES),
    }
    positions = {
        column: table[column].map({name: position for position, name in enumerate(order)})
        for column, order in orders.items()
        if column in table.columns
    }
    ranks = pd.DataFrame(positions, index=table.index).dropna()
    return table.loc[ranks.sort_values(list(positions), kind="stable").index].reset_index(drop=True)


def gather(
    run: Path, study: Study, methods: Sequence[str], *, batches: Sequence[str] | None, seed: int, resamples: int
) -> list[Path]:
    """Join the arms' parts into `RUN/metrics/*.tsv`; returns the files written.

    `seed` and `resamples` are those of the bootstrap of the RMSE's interval.
    """
    parts = {name: in_order(read_parts(run, name, methods, batches), study, methods) for name in PARTS}
    differences = in_order(volume_differences(parts["volumes"], study.pairs), study, methods)
    tables = {
        "ssim": parts["ssim"],
        "volumes": parts["volumes"],
        "volume_differences": differences,
        "dice": parts["dice"],
        "rmse": in_order(rmse_table(differences, seed=seed, resamples=resamples), study, methods),
        "truth": truth_table(parts["truth"], parts["volumes"]),
        "truth_similarity": parts["truth_similarity"],
    }
    written = []
    for name, table in tables.items():
        path = run / "metrics" / f"{name}.tsv"
        write_table(path, table)
        written.append(path)
    return written


def truth_table(truth: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Signed errors of the volumes by each rule (estimate minus truth, mL), beside Dice with the true labels."""
    keys = ["method", "subject", "scanner", "tissue"]
    joined = truth.merge(volumes, on=keys, how="left", validate="one_to_one")
    for ending in ("", "_hard", "_pve"):
        joined[f"volume_error_ml{ending}"] = joined[f"volume_ml{ending}"] - joined["true_volume_ml"]
    return joined[TRUTH_COLUMNS]
