"""The slice viewer's pictures: a few slices of every image, small enough to lie in the page.

One sprite holds the slices of one person and arm: a column a scanner, a row a view. The browser cuts
the cell out that was asked for, so that scanners and arms can be flipped through in place.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from evaluation.figures import slices
from evaluation.runs.finished_run import FinishedRun

MOST_IMAGES = 160
"""More scans than this don't enter the page; then fewer people can be chosen."""

LARGEST_SIDE = 144
QUALITY = 88
VIEWS = (
    ("axial, low", 2, 0.38),
    ("axial, middle", 2, 0.52),
    ("axial, high", 2, 0.68),
    ("coronal", 1, 0.5),
    ("sagittal", 0, 0.46),
)
"""Name, axis of the slice (in right, front, top order), and its place within the brain's box."""


@dataclass(frozen=True)
class Viewer:
    """What can be chosen, and the sprites by subject and arm; `missing` are scans with no image."""

    subjects: Sequence[str]
    left_out: int
    arms: Sequence[tuple[str, str]]
    scanners: Sequence[str]
    views: Sequence[str]
    cell: tuple[int, int]
    sprites: Mapping[str, str]
    missing: Sequence[str]


def views_of(image: np.ndarray, edges_mm: np.ndarray, box: Sequence[slice]) -> list[np.ndarray]:
    """The slices of `VIEWS` of a canonical image (X, Y, Z), cut to `box`, in square pixels.

    Pixels are as large as the smallest voxel edge.
    """
    cut = image[tuple(box)]
    found = []
    for _, axis, place in VIEWS:
        pixels = slices.upright(cut, axis, int(place * (cut.shape[axis] - 1)))
        tall, wide = [edges_mm[other] for other in range(3) if other != axis][::-1]
        smallest = edges_mm.min()
        rows = _nearest(pixels.shape[0], round(pixels.shape[0] * tall / smallest))
        columns = _nearest(pixels.shape[1], round(pixels.shape[1] * wide / smallest))
        found.append(pixels[np.ix_(rows, columns)])
    return found


def _nearest(before: int, after: int) -> np.ndarray:
    return ((np.arange(after) + 0.5) * before / after).astype(int)


def to_bytes(pixels: np.ndarray, gray: tuple[float, float]) -> np.ndarray:
    """Pixels as 0..255 between the ends of a gray scale; exact zeros, the background, are black."""
    scaled = np.clip((pixels - gray[0]) / (gray[1] - gray[0]), 0, 1)
    return np.where(pixels == 0, 0, np.round(255 * scaled)).astype(np.uint8)


def sprite(pictures: Mapping[tuple[int, int], np.ndarray], columns: int, cell: tuple[int, int]) -> bytes:
    """A JPEG of pictures (rows, columns), uint8, by (scanner, view), each in the middle of its cell.

    `cell` is a cell's height and width; larger pictures are shrunk so that all fit.
    """
    height, width = cell
    sheet = Image.new("L", (columns * width, len(VIEWS) * height))
    for (scanner, view), pixels in pictures.items():
        picture = Image.fromarray(pixels)
        picture.thumbnail((width, height), Image.Resampling.BOX)
        left = scanner * width + (width - picture.width) // 2
        sheet.paste(picture, (left, view * height + (height - picture.height) // 2))
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def build(run: FinishedRun) -> Viewer | None:
    """Sprites of the first people of a run, as many as `MOST_IMAGES` allows; None without images."""
    arms = run.with_images()
    if not arms:
        return None
    people = run.subjects[: max(1, MOST_IMAGES // (len(arms) * len(run.scanners)))]
    sprites: dict[str, str] = {}
    missing: list[str] = []
    cell: tuple[int, int] | None = None
    for subject in people:
        box = None
        for arm in arms:
            images: dict[int, np.ndarray] = {}
            for place, scanner in enumerate(run.scanners):
                path = run.image_path(arm, subject, scanner)
                if path is None:
                    missing.append(f"{subject}/{arm}/{scanner}")
                else:
                    images[place], edges_mm = slices.read_canonical(path)
            if not images:
                continue
            if box is None:
                # one box a person, so that pictures stay in place when arms and scanners are flipped
                box = slices.brain_box(np.any([image != 0 for image in images.values()], axis=0))
            gray = slices.gray_range(images.values())
            pictures = {
                (place, view): to_bytes(pixels, gray)
                for place, image in images.items()
                for view, pixels in enumerate(views_of(image, edges_mm, box))
            }
            if cell is None:
                largest = max(max(pixels.shape) for pixels in pictures.values())
                shrink = min(1.0, LARGEST_SIDE / largest)
                tallest = max(pixels.shape[0] for pixels in pictures.values())
                widest = max(pixels.shape[1] for pixels in pictures.values())
                cell = (int(np.ceil(tallest * shrink / 8) * 8), int(np.ceil(widest * shrink / 8) * 8))
            content = sprite(pictures, len(run.scanners), cell)
            sprites[f"{subject}/{arm}"] = base64.b64encode(content).decode("ascii")
    return Viewer(
        subjects=people,
        left_out=len(run.subjects) - len(people),
        arms=[(arm, run.label(arm)) for arm in arms],
        scanners=run.scanners,
        views=[name for name, _, _ in VIEWS],
        cell=cell or (1, 1),
        sprites=sprites,
        missing=missing,
    )


def as_json(viewer: Viewer | None) -> dict[str, Any] | None:
    """The viewer's parts for the page: its JSON, safe inside a script element, and what the text needs."""
    if viewer is None:
        return None
    content = json.dumps(vars(viewer), sort_keys=True).replace("<", "\\u003c")
    return {"json": Markup(content), "subjects": len(viewer.subjects), "left_out": viewer.left_out}
