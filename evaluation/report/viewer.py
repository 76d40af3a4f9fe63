"""The slice viewer's images: every slice of a few people's images and labels, small enough to lie in the page.

A person's images share one grid of cubes, and one gray scale an arm. The browser cuts slices out of them, lays two
beside each other or over each other, and subtracts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.names import TISSUES
from core.run_folder import labels_name, scan_name
from evaluation import scan_outliers
from evaluation.figures import slices
from evaluation.report import mosaic
from evaluation.report.content import as_script
from evaluation.runs.finished_run import FinishedRun

MOST_IMAGES = 96
"""More scans than this don't enter the page; then fewer people can be chosen."""

MOST_VOXELS = 14e6
"""Of all images together, some 5 MB of the page; where they have more, their cubes are larger than their voxels."""

LABELS = tuple(zip(TISSUES, ("#56b4e9", "#009e73", "#e69f00"), strict=True))
"""Tissues in the order of their labels, with the color that lies over them."""


@dataclass(frozen=True)
class Person:
    """A person's images on one grid: pictures of `mosaic.sheet` by "arm/scanner", labels likewise."""

    shape: tuple[int, ...]
    columns: int
    images: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Viewer:
    """What can be chosen, and what there is of each person; `edge_mm` is that of the cubes.

    flagged: how many of the people, the first ones, are here for a scan that should be looked at.
    """

    subjects: Sequence[str]
    flagged: int
    left_out: int
    arms: Sequence[tuple[str, str]]
    scanners: Sequence[str]
    tissues: Sequence[tuple[str, str]]
    edge_mm: float
    people: Mapping[str, Person]


def build(run: FinishedRun) -> Viewer | None:
    """The images of as many people of a run as `MOST_IMAGES` allows, first those to look at; None without images."""
    arms = run.with_images()
    if not arms:
        return None
    looked_at = _to_look_at(run)
    ordered = [*looked_at, *(subject for subject in run.subjects if subject not in looked_at)]
    subjects = ordered[: max(1, MOST_IMAGES // (len(arms) * len(run.scanners)))]
    count = len(subjects) * len(arms) * len(run.scanners)
    edge_mm = 0.0
    people: dict[str, Person] = {}
    for subject in subjects:
        box = None
        images: dict[str, str] = {}
        labels: dict[str, str] = {}
        shape: tuple[int, ...] = ()
        for arm in arms:
            found, edges_mm = _images(run, arm, subject)
            if not found:
                continue
            if box is None:
                # one box a person, so that pictures stay in place when arms and scanners are changed
                box = slices.brain_box(np.any([image != 0 for image in found.values()], axis=0))
            gray = slices.gray_range(found.values())
            for scanner, image in found.items():
                cut = image[box]
                # the same for everyone, by the first image: people differ little in their size
                edge_mm = edge_mm or edge_for(cut.shape, edges_mm, count)
                volume = mosaic.cubes(cut, edges_mm, edge_mm)
                brain = mosaic.cubes_of_labels(cut != 0, edges_mm, edge_mm)
                shape = volume.shape
                key = f"{arm}/{scanner}"
                images[key] = mosaic.jpeg(mosaic.sheet(mosaic.to_bytes(np.where(brain, volume, 0), gray)))
                path = run.files.segmentations(arm) / labels_name(scan_name(subject, scanner))
                if path.is_file() and path.stat().st_size:
                    tissue = mosaic.cubes_of_labels(slices.read_canonical(path)[0][box], edges_mm, edge_mm)
                    labels[key] = mosaic.png(mosaic.sheet(tissue.astype(np.uint8)))
        if images:
            people[subject] = Person(shape, mosaic.columns(shape[2]), images, labels)
    return Viewer(
        subjects=list(people),
        flagged=len(people.keys() & set(looked_at)),
        left_out=len(run.subjects) - len(subjects),
        arms=[(arm, run.label(arm)) for arm in arms],
        scanners=run.scanners,
        tissues=LABELS,
        edge_mm=edge_mm,
        people=people,
    )


def _to_look_at(run: FinishedRun) -> list[str]:
    """The people with a scan that was kept though it was flagged, or that stands out, the farthest first."""
    quality = run.table("study/quality.tsv", ["subject", "status"])
    kept: list[str] = [] if quality is None else quality.loc[quality["status"] == "kept", "subject"].tolist()
    found = scan_outliers.of_run(run)
    apart: list[str] = [] if found is None else found["subject"].tolist()
    return [subject for subject in dict.fromkeys([*kept, *apart]) if subject in run.subjects]


def edge_for(shape: Sequence[int], edges_mm: np.ndarray, images: int) -> float:
    """The edge of the cubes in mm for so many images (X, Y, Z): their smallest, or more where they'd be too large."""
    volume_mm3 = float(np.prod(shape) * np.prod(edges_mm))
    return max(float(edges_mm.min()), (volume_mm3 * images / MOST_VOXELS) ** (1 / 3))


def _images(run: FinishedRun, arm: str, subject: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """An arm's canonical images of a person by scanner, with the edges of their voxels in mm."""
    found: dict[str, np.ndarray] = {}
    edges_mm = np.ones(3)
    for scanner in run.scanners:
        path = run.image_path(arm, subject, scanner)
        if path is not None:
            found[scanner], edges_mm = slices.read_canonical(path)
    return found, edges_mm


def as_json(viewer: Viewer | None) -> dict[str, Any] | None:
    """The viewer's parts for the page: its JSON, safe inside a script element, and what the text needs."""
    if viewer is None:
        return None
    return {
        "json": as_script(asdict(viewer)),
        "subjects": len(viewer.subjects),
        "flagged": viewer.flagged,
        "left_out": viewer.left_out,
        "edge": f"{viewer.edge_mm:.2g}",
        "tissues": viewer.tissues,
    }
