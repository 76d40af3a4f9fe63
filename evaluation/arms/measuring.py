"""An arm's measures, one person's scans in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core.files import write_beside, write_json
from core.images import voxel_sizes, voxel_volume_ml
from core.jobs.command import progress
from core.names import TISSUES
from core.study import Scan, Study
from evaluation.arms.images import image_path, labels_path, load_fractions, read_arm_image
from evaluation.arms.intensities import Intensities, on_reference_scale
from evaluation.arms.parts import ARRAYS, MEASURES, part_path
from evaluation.measures import registry
from evaluation.measures.interface import Person, Range, Truth, rescan_table
from evaluation.measures.similarity import bounding_box
from evaluation.measures.volumes import fraction_volumes

Box = tuple[slice, ...]


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

    def add_rescans(self, visits: Person, identity: Mapping[str, str]) -> None:
        """Measure the pairs of one person's scans on one scanner, by session; `identity` names the scanner too."""
        for module in registry.paired():
            rows = []
            for row in module.of_person(visits):
                sessions = {f"session_{end}": row.pop(f"scanner_{end}") for end in ("a", "b")}
                rows.append({**identity, **sessions, **row})
            self.rows.setdefault(rescan_table(module.TABLE), []).extend(rows)

    def write(self, folder: Path, batch: str) -> None:
        """Write `measures-<batch>.json` and `arrays-<batch>.npz`; NaN becomes null."""
        finite = {
            table: [{name: None if value != value else value for name, value in row.items()} for row in rows]
            for table, rows in self.rows.items()
        }
        write_json(part_path(folder, MEASURES, batch), finite)
        with write_beside(part_path(folder, ARRAYS, batch)) as temporary:
            np.savez_compressed(temporary, **self.arrays)  # type: ignore[arg-type]  # none is called allow_pickle


def measure_arm(
    measures: PersonMeasures,
    study: Study,
    subjects: Sequence[str],
    *,
    arm: str,
    images: Path,
    segmentations: Path,
    reference_segmentations: Path,
    intensities: Intensities,
    reference: Intensities,
) -> None:
    """Add to `measures` what every file of `evaluation.measures` gives of an arm's scans of some subjects.

    `reference_segmentations` is the folder of RAW's labels, `intensities` and `reference` are the arm's range
    and RAW's. Raises `InputError` for an image or labels that aren't there or can't be used.
    """
    order = {scanner: position for position, scanner in enumerate(study.scanners)}

    def read(scans: Mapping[str, Scan]) -> Person:
        return read_person(
            scans,
            images,
            segmentations,
            reference_segmentations,
            arm=arm,
            intensities=intensities,
            reference=reference,
        )

    for subject in progress(subjects, what=f"measures of {arm}"):
        scans = sorted(study.of_subject(subject), key=lambda scan: order[scan.scanner])
        identity = {"method": arm, "subject": subject}
        measures.add(read({scan.scanner: scan for scan in scans}), identity)
        for scan in scans:
            again = [
                rescan
                for rescan in study.rescans_of(subject)
                if rescan.scanner == scan.scanner and image_path(images, rescan).is_file()
            ]
            if again:
                visits = read({found.session: found for found in (scan, *again)})
                measures.add_rescans(visits, identity | {"scanner": scan.scanner})


def read_person(
    named: Mapping[str, Scan],
    images: Path,
    segmentations: Path,
    reference_segmentations: Path,
    *,
    arm: str,
    intensities: Intensities,
    reference: Intensities,
) -> Person:
    """A subject's scans of an arm, by scanner or by session, in the box around their masks."""
    whole = {name: scan.read_mask() for name, scan in named.items()}
    box = bounding_box(np.logical_or.reduce(list(whole.values())))
    masks = {scanner: np.ascontiguousarray(mask[box]) for scanner, mask in whole.items()}
    own = {name: cut(read_arm_image(images, scan, whole[name]), box) for name, scan in named.items()}
    labels = read_labels(segmentations, named, box)
    raw = labels if reference_segmentations == segmentations else read_labels(reference_segmentations, named, box)
    first = next(iter(named.values()))
    return Person(
        images={
            scanner: on_reference_scale(image, masks[scanner], intensities, reference) for scanner, image in own.items()
        },
        own_images=own,
        masks=masks,
        labels=labels,
        tissues=common_tissues(list(raw.values())),
        own_range=Range(intensities.low, intensities.high),
        reference_range=Range(reference.low, reference.high),
        truth=read_truths(named, masks, box),
        origin=tuple(edge.start for edge in box),
        voxel_sizes=tuple(voxel_sizes(first.affine).tolist()),
        grid_shape=first.shape,
        arm=arm,
    )


def cut(image: np.ndarray, box: Box) -> np.ndarray:
    """The box of an image (X, Y, Z), as an array of its own."""
    return np.ascontiguousarray(image[box])


def read_labels(folder: Path, named: Mapping[str, Scan], box: Box) -> dict[str, np.ndarray]:
    """An arm's labels of some scans, uint8, by what they are named."""
    return {name: cut(scan.load(labels_path(folder, scan)).astype(np.uint8), box) for name, scan in named.items()}


def common_tissues(labels: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """By tissue the voxels (X, Y, Z) that at least half of the labels (X, Y, Z) give to it, and no other as often."""
    counts = [
        np.sum([found == label for found in labels], axis=0, dtype=np.int16) for label in range(1, 1 + len(TISSUES))
    ]
    most = np.maximum.reduce(counts)
    tops = [count == most for count in counts]
    decided = (2 * most >= len(labels)) & (np.sum(tops, axis=0, dtype=np.int16) == 1)
    return {tissue: top & decided for tissue, top in zip(TISSUES, tops, strict=True)}


def read_truths(named: Mapping[str, Scan], masks: Mapping[str, np.ndarray], box: Box) -> dict[str, Truth]:
    """What the sheet's columns truth_image, truth_labels and truth_fractions name; true images are on RAW's scale.

    A file that several of a person's scans name, as they name their labels, is read once.
    """
    first = next(iter(named.values()))
    labels_of = cache(lambda path: cut(first.load(path).astype(np.uint8), box))
    volumes_of = cache(lambda path: fraction_volumes(load_fractions(path), voxel_volume_ml(first.affine)))
    found = {}
    for name, scan in named.items():
        image, labels, fractions = (scan.file(f"truth_{what}") for what in ("image", "labels", "fractions"))
        true_image = None if image is None else np.where(masks[name], cut(scan.load(image), box), np.float32(0))
        known = labels is not None and fractions is not None
        found[name] = Truth(
            image=true_image,
            labels=labels_of(labels) if known else None,
            volumes_ml=volumes_of(fractions) if known else None,
        )
    return found
