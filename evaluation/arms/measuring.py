"""An arm's measures, one person's scans in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.files import write_beside, write_json
from core.images import voxel_sizes, voxel_volume_ml
from core.jobs.command import progress
from core.study import Scan, Study
from evaluation.arms.images import labels_path, load_fractions, read_arm_image, read_on_grid
from evaluation.arms.intensities import Intensities, on_reference_scale
from evaluation.arms.parts import ARRAYS, FURTHER, PARTS, part_path
from evaluation.measures import registry
from evaluation.measures.interface import Person
from evaluation.measures.overlap import dice, dice_by_tissue
from evaluation.measures.similarity import bounding_box, pairwise
from evaluation.measures.truth import similarity_with_truth
from evaluation.measures.volumes import fraction_volumes
from segmentation import TISSUES


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
