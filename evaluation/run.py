"""A run's files: what each arm's steps read and write, and how its parts come together.

The arithmetic is in `evaluation.measures`, `evaluation.intensities` and `evaluation.segmentation`; here
are the loops over scans, one or one subject's in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.intensities import (
    Intensities,
    map_to_reference,
    measure_intensities,
    on_reference_scale,
)
from evaluation.measures import registry
from evaluation.measures.interface import Measured, Person
from evaluation.measures.overlap import dice, dice_by_tissue
from evaluation.measures.similarity import bounding_box, pairwise
from evaluation.measures.truth import similarity_with_truth
from evaluation.measures.volumes import fraction_volumes, label_volumes, rmse_table, volume_differences
from evaluation.segmentation import TISSUES, labels_at, segment, volumes_ml
from studies import folds
from studies.commandline import progress
from studies.errors import InputError
from studies.files import read_json, read_table, write_beside, write_json, write_table
from studies.images import load_image, open_image, read_voxels, save_labels, voxel_sizes, voxel_volume_ml
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
IDS = ("method", "subject", "scanner", "scanner_a", "scanner_b", "tissue")
PARTS = {
    "volumes": VOLUME_COLUMNS,
    "ssim": SSIM_COLUMNS,
    "dice": DICE_COLUMNS,
    "truth": TRUTH_PART_COLUMNS,
    "truth_similarity": TRUTH_SIMILARITY_COLUMNS,
}
"""The tables that an arm's steps write a batch of subjects at a time: `<name>-<batch>.tsv`."""

FURTHER = ("further", "json")
ARRAYS = ("arrays", "npz")
"""Beside them what the files of `evaluation.measures` give of a batch: rows by table, arrays by module and scan."""


@dataclass
class PersonMeasures:
    """What the files of `evaluation.measures` give of some people: rows by table, and arrays by module and scan.

    An array's key is `<module>/<subject>/<scanner>`.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, person: Person, identity: Mapping[str, str]) -> None:
        """Measure one person; `identity` is method and subject."""
        for module in registry.modules():
            if hasattr(module, "of_person"):
                rows = [{**identity, **row} for row in module.of_person(person)]
                self.rows.setdefault(module.TABLE, []).extend(rows)
            if hasattr(module, "arrays_of_person"):
                name = module.__name__.rpartition(".")[2]
                for scanner, array in module.arrays_of_person(person).items():
                    self.arrays[f"{name}/{identity['subject']}/{scanner}"] = array

    def extend(self, others: PersonMeasures) -> None:
        """Add what was measured of other people."""
        for table, rows in others.rows.items():
            self.rows.setdefault(table, []).extend(rows)
        self.arrays |= others.arrays

    def write(self, folder: Path, batch: str) -> None:
        """Write `further-<batch>.json` and `arrays-<batch>.npz`; NaN becomes null."""
        finite = {
            table: [{name: None if value != value else value for name, value in row.items()} for row in rows]
            for table, rows in self.rows.items()
        }
        write_json(part_path(folder, FURTHER, batch), finite)
        with write_beside(part_path(folder, ARRAYS, batch)) as temporary:
            np.savez_compressed(temporary, **self.arrays)


def part_path(folder: Path, kind: tuple[str, str], batch: str) -> Path:
    """Where an arm's step puts a kind of part of a batch, such as `FURTHER`."""
    name, ending = kind
    return folder / f"{name}-{batch}.{ending}"


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


def fold_intensities(method: str, study: Study, images: Path, training: Path) -> dict[str, Intensities]:
    """The arm's range for each fold, from everyone but the fold's people.

    Their images by the fold's own model are in `training/fold-<fold>`; an arm that learns nothing from a
    study has none there, since those in `images` are the same.
    """
    found = {}
    for fold, _ in folds.by_fold(study):
        own = training / folds.folder_name(fold)
        found[fold] = arm_intensities(method, folds.training(study, fold), own if own.is_dir() else images)
    return found


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns under each other; empty ones, whose columns have no type, left out."""
    filled = [table for table in tables if not table.empty] or tables[:1]
    return pd.concat(filled, ignore_index=True)


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
    reference_segmentations: Path,
    intensities: Intensities,
    reference: Intensities,
) -> tuple[dict[str, pd.DataFrame], PersonMeasures]:
    """An arm's similarity, overlap and nearness to the truth for some subjects of `study`, and further measures.

    Returns the tables `ssim`, `dice`, `truth` and `truth_similarity` (see `PARTS`); the last two have
    rows for the scans whose truth the sheet names (columns truth_image, truth_labels, truth_fractions); true
    images are on RAW's scale.  And what the files of `evaluation.measures` give of each person;
    `reference_segmentations` is the folder of RAW's labels.
    """
    further = PersonMeasures()
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
        tables["truth"] += _truth_of_labels(scans, labels, identity)
        mapped = {
            scanner: on_reference_scale(image, masks[scanner], intensities, reference) for scanner, image in arm.items()
        }
        tables["truth_similarity"] += _truth_of_images(scans, mapped, masks, reference, identity)
        if reference_segmentations != segmentations:
            labels = {
                scan.scanner: read_on_grid(labels_path(reference_segmentations, scan), scan).astype(np.uint8)
                for scan in scans
            }
        further.add(make_person(mapped, masks, labels, voxel_sizes(scans[0].affine)), identity)
    return {name: pd.DataFrame(rows, columns=PARTS[name]) for name, rows in tables.items()}, further


def make_person(
    images: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    sizes: Sequence[float],
) -> Person:
    """A person's scans in the box around the masks: images on RAW's scale and RAW's labels (X, Y, Z) by scanner."""
    box = bounding_box(np.logical_or.reduce(list(masks.values())))
    boxed = [found[box] for found in labels.values()]
    counts = [
        np.sum([found == label for found in boxed], axis=0, dtype=np.int16) for label in range(1, 1 + len(TISSUES))
    ]
    most = np.maximum.reduce(counts)
    tops = [count == most for count in counts]
    decided = (2 * most >= len(boxed)) & (np.sum(tops, axis=0, dtype=np.int16) == 1)
    return Person(
        images={scanner: np.ascontiguousarray(image[box]) for scanner, image in images.items()},
        masks={scanner: np.ascontiguousarray(mask[box]) for scanner, mask in masks.items()},
        tissues={tissue: top & decided for tissue, top in zip(TISSUES, tops, strict=True)},
        origin=tuple(edge.start for edge in box),
        voxel_sizes=tuple(float(size) for size in sizes),
    )


def _truth_of_labels(scans: Sequence[Scan], labels: Mapping[str, np.ndarray], identity: dict) -> list[dict]:
    rows = []
    for scan in scans:
        labels_file = scan.file("truth_labels")
        fractions_file = scan.file("truth_fractions")
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
    mapped: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    reference: Intensities,
    identity: dict,
) -> list[dict]:
    truths = {}
    for scan in scans:
        path = scan.file("truth_image")
        if path is not None:
            truths[scan.scanner] = np.where(masks[scan.scanner], read_on_grid(path, scan), np.float32(0))
    known = {scanner: mapped[scanner] for scanner in truths}
    found = similarity_with_truth(known, masks, truths, low=reference.low, high=reference.high)
    return [{**identity, "scanner": scanner, **vars(similarity)} for scanner, similarity in found.items()]


def load_fractions(path: Path) -> np.ndarray:
    """True fractions of CSF, GM and WM (X, Y, Z, 3), float32; raises `InputError` for another shape."""
    fractions = read_voxels(path, open_image(path, dimensions=4))
    if fractions.shape[3] != len(TISSUES):
        raise InputError(f"{path}: shape {fractions.shape}; true fractions have a fourth axis of CSF, GM, WM")
    return fractions


def read_parts(run: Path, name: str, methods: Sequence[str], batches: Sequence[str] | None) -> pd.DataFrame:
    """Join an arm's parts `RUN/parts/<method>/<name>-<batch>.tsv`; an empty file holds no rows.

    Without `batches`, all that are there.  Raises `InputError` where a row comes twice, as it does
    when parts of an earlier division into batches are left.
    """
    tables = [pd.DataFrame(columns=PARTS[name])]
    for method in methods:
        tables += [read_table(path) for path in part_files(run, (name, "tsv"), method, batches)]
    joined = join(tables)
    refuse_doubles(joined, name, run)
    return joined


def part_files(run: Path, kind: tuple[str, str], method: str, batches: Sequence[str] | None) -> list[Path]:
    """An arm's parts of a kind that hold anything; without `batches`, all that are there.

    Raises `InputError` where a batch's isn't there.
    """
    folder = run / "parts" / method
    if batches is None:
        files = sorted(folder.glob(part_path(folder, kind, "*").name))
    else:
        files = [part_path(folder, kind, batch) for batch in batches]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such part; run the arm's steps for that batch")
    return [path for path in files if path.stat().st_size]


def refuse_doubles(joined: pd.DataFrame, name: str, run: Path) -> None:
    """Raise `InputError` where a table of parts names the same scan, or pair, and tissue twice."""
    keys = [column for column in joined.columns if column in ("method", "subject", "scanner", "scanner_a", "scanner_b")]
    keys += ["tissue"] if "tissue" in joined.columns else []
    doubled = joined[joined.duplicated(keys)]
    if not doubled.empty:
        what = ", ".join(str(doubled.iloc[0][key]) for key in keys)
        raise InputError(f"{run / 'parts'}: {name} holds {what} twice; remove the parts of an earlier run")


def read_further(run: Path, methods: Sequence[str], batches: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """The tables of the files of `evaluation.measures` with an `of_person`, from the arms' parts."""
    rows = {module.TABLE: [] for module in registry.modules() if hasattr(module, "of_person")}
    for method in methods:
        for path in part_files(run, FURTHER, method, batches):
            for table, found in read_json(path).items():
                rows.setdefault(table, []).extend(found)
    tables = {}
    for name, found in rows.items():
        table = pd.DataFrame(found, columns=None if found else ["method", "subject"])
        ids = [column for column in IDS if column in table]
        values = [column for column in table if column not in IDS]
        tables[name] = table[[*ids, *values]].astype(dict.fromkeys(values, float))
        refuse_doubles(tables[name], name, run)
    return tables


def read_arrays(
    run: Path, module: str, method: str, batches: Sequence[str] | None
) -> dict[tuple[str, str], np.ndarray]:
    """What a file of `evaluation.measures` kept of an arm's scans, by subject and scanner."""
    found = {}
    for path in part_files(run, ARRAYS, method, batches):
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                name, subject, scanner = key.split("/")
                if name == module:
                    found[subject, scanner] = stored[key]
    return found


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

    `seed` and `resamples` are those of the bootstrap, which the intervals of some tables are from.  Where
    people are divided into folds, tables by subject end in the column `fold`.
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
    tables |= {name: in_order(table, study, methods) for name, table in read_further(run, methods, batches).items()}
    measured = Measured(
        study=study,
        methods=methods,
        tables=tables,
        arrays=lambda module, method: read_arrays(run, module, method, batches),
        seed=seed,
        resamples=resamples,
    )
    for module in registry.modules():
        if hasattr(module, "of_study"):
            tables |= module.of_study(measured)
    fold_of = {scan.subject: folds.fold_of(scan) for scan in study.scans}
    written = []
    for name, table in tables.items():
        if any(fold_of.values()) and "subject" in table:
            table[folds.COLUMN] = table["subject"].map(fold_of)
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
