"""What differs between two runs: their tables number by number, their images voxel by voxel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.files import checksum, read_table
from core.images import load_image
from core.run_folder import RunFolder
from core.sheet import read_rows
from evaluation.runs.provenance import read_provenance

KEYS = (
    "measure",
    "quantity",
    "method",
    "step",
    "reference",
    "subject",
    "scanner",
    "scanner_a",
    "scanner_b",
    "tissue",
    "covariate",
)
NOT_COMPARED = ("seconds", "peak_mb", "device")
"""Columns of `status.tsv` that tell of the machine."""

PATTERNS = ("scans.tsv", "status.tsv", "metrics/*.tsv", "statistics/*.tsv", "images/*/*.nii.gz")
OF_THE_MACHINE = ("logs", "benchmarks", "checkpoints", "status", "made", "taken-out")
"""Folders of a run that hold no results: what was said, timed and recorded on the way."""

TIMES_OF_THE_REPORT = re.compile(
    r'<section id="times">.*?</section>|<details[^>]*>\s*<summary>machine</summary>.*?</details>', re.DOTALL
)
LABEL_PATTERN = "segmentations/*/*.nii.gz"


@dataclass(frozen=True)
class Difference:
    """One thing that differs: a column of a table, or an image.

    `differing` of `compared` rows or voxels differ; the largest (or first) is at `where`, with `a` and
    `b` there.
    """

    file: str
    what: str
    differing: int
    compared: int
    where: str
    a: str
    b: str


def compare(run_a: Path, run_b: Path, *, relative: float, absolute: float) -> pd.DataFrame:
    """Everything that differs between two runs by more than `absolute + relative x |b|`; empty if nothing.

    Compared are the sheet, the metrics, the statistics, how the steps ended, the arms' images
    and their labels, and what was run (`provenance.json`); not times, memory and machines. An image's
    tolerance is relative to its largest intensity; a label differs or not. Raises `InputError`
    where a folder holds no run.
    """
    for run in (run_a, run_b):
        if not RunFolder(run).sheet.is_file():
            raise InputError(f"{RunFolder(run).sheet}: no such file; give the folders of two runs")
    found: list[Difference] = []
    for pattern in (*PATTERNS, LABEL_PATTERN):
        names = {str(path.relative_to(run)) for run in (run_a, run_b) for path in run.glob(pattern)}
        for name in sorted(names):
            missing = [str(run) for run in (run_a, run_b) if not (run / name).exists()]
            if missing:
                there = ["" if (run / name).exists() else "absent" for run in (run_a, run_b)]
                found.append(Difference(name, "file", 1, 1, "", *there))
            elif checksum(run_a / name) == checksum(run_b / name):
                continue
            elif name.endswith(".tsv"):
                tables = [_read(run / name) for run in (run_a, run_b)]
                found += compare_tables(name, *tables, relative=relative, absolute=absolute)
            else:
                images = [load_image(run / name) for run in (run_a, run_b)]
                tolerances = (0.0, 0.0) if pattern == LABEL_PATTERN else (relative, absolute)
                found += compare_images(name, *images, relative=tolerances[0], absolute=tolerances[1])
    found += compare_provenance(*(_provenance(run) for run in (run_a, run_b)))
    return pd.DataFrame([asdict(item) for item in found], columns=[field.name for field in fields(Difference)])


def same_files(run_a: Path, run_b: Path) -> list[str]:
    """The files of two runs' results that aren't the same byte for byte, or are in one run alone.

    Left out are logs, benchmarks and records, `status.tsv`'s times, `provenance.json`'s machine, what the
    report shows of these, and hidden files. Raises `InputError` where a folder holds no run.
    """
    for run in (run_a, run_b):
        if not RunFolder(run).sheet.is_file():
            raise InputError(f"{RunFolder(run).sheet}: no such file; give the folders of two runs")
    names = {
        path.relative_to(run)
        for run in (run_a, run_b)
        for path in run.rglob("*")
        if path.is_file() and not _is_no_result(path.relative_to(run))
    }
    return sorted(
        name.as_posix()
        for name in names
        if not all((run / name).is_file() for run in (run_a, run_b)) or _result(run_a, name) != _result(run_b, name)
    )


def _is_no_result(name: Path) -> bool:
    return name.parts[0] in OF_THE_MACHINE or any(part.startswith(".") for part in name.parts)


def _result(run: Path, name: Path) -> object:
    """What a file holds of the run's results, to be compared."""
    path = run / name
    if name == Path("status.tsv"):
        table = _read(path)
        return table.drop(columns=[column for column in NOT_COMPARED if column in table]).to_csv(index=False)
    if name == Path("provenance.json"):
        return _provenance(run)
    if name == Path("report.html"):
        return TIMES_OF_THE_REPORT.sub("", path.read_text(encoding="utf-8"))
    return checksum(path)


def _provenance(run: Path) -> dict[str, Any]:
    """What was run, but for the machine's part."""
    told = read_provenance(run) if RunFolder(run).provenance.is_file() else {}
    return {name: value for name, value in told.items() if name != "machine"}


def compare_provenance(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """What was run differently: configuration (but for the run's name), seed, versions, code and inputs."""
    left, right = (dict(_leaves(content)) for content in (a, b))
    for name in sorted(left.keys() | right.keys()):
        cells = [json.dumps(side[name]) if name in side else "absent" for side in (left, right)]
        if name != "config.run" and cells[0] != cells[1]:
            yield Difference("provenance.json", name, 1, 1, "", *cells)


def _leaves(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _read(path: Path) -> pd.DataFrame:
    if path.name == "scans.tsv":
        return read_rows(path)  # of which a user's columns may be of words and numbers
    return read_table(path) if path.stat().st_size else pd.DataFrame()


def compare_tables(
    name: str, a: pd.DataFrame, b: pd.DataFrame, *, relative: float, absolute: float
) -> Iterator[Difference]:
    """What differs between two tables, a column at a time; rows are matched by their ids, not their order."""
    keys = [key for key in KEYS if key in a and key in b]
    for column in a.columns.symmetric_difference(b.columns):
        there = ["absent" if column not in table else "" for table in (a, b)]
        yield Difference(name, column, len(a), max(len(a), len(b)), "", *there)
    if not keys:
        if not a.equals(b):
            yield Difference(name, "rows", 1, max(len(a), len(b)), "", str(len(a)), str(len(b)))
        return
    a, b = (table.assign(**{key: table[key].fillna("n/a").astype(str) for key in keys}) for table in (a, b))
    joined = a.merge(b, on=keys, how="outer", suffixes=("_of_a", "_of_b"), indicator="in_which", sort=False)
    places = joined[keys].agg(", ".join, axis=1)
    for side, words in (("left_only", ("", "absent")), ("right_only", ("absent", ""))):
        alone = joined["in_which"] == side
        if alone.any():
            yield Difference(name, "row", int(alone.sum()), len(joined), places[alone].iloc[0], *words)
    both = joined["in_which"] == "both"
    matched, places = joined[both], places[both]
    for column in a.columns:
        if column in keys or column not in b or column in NOT_COMPARED:
            continue
        left, right = matched[f"{column}_of_a"], matched[f"{column}_of_b"]
        size = differences(left, right, relative=relative, absolute=absolute)
        if (size > 0).any():
            worst = int(np.argmax(size))
            cells = [str(values.iloc[worst]) for values in (left, right)]
            yield Difference(name, column, int((size > 0).sum()), len(matched), places.iloc[worst], *cells)


def differences(a: pd.Series, b: pd.Series, *, relative: float, absolute: float) -> np.ndarray:
    """How far values differ beyond the tolerance (N,): 0 within it, infinite for text or one missing."""
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        left, right = a.to_numpy(dtype=float), b.to_numpy(dtype=float)
        both = np.isfinite(left) & np.isfinite(right)
        size = np.where(np.isnan(left) & np.isnan(right), 0.0, np.inf)
        apart = np.abs(left[both] - right[both])
        size[both] = np.where(apart > absolute + relative * np.abs(right[both]), apart, 0.0)
        return size
    same = (a == b) | (a.isna() & b.isna())
    return np.where(same, 0.0, np.inf)


def compare_images(
    name: str,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    *,
    relative: float,
    absolute: float,
) -> Iterator[Difference]:
    """What differs between two images (voxels (X, Y, Z), affine (4, 4))."""
    (voxels_a, affine_a), (voxels_b, affine_b) = a, b
    if voxels_a.shape != voxels_b.shape:
        yield Difference(name, "shape", 1, 1, "", str(voxels_a.shape), str(voxels_b.shape))
        return
    if not np.allclose(affine_a, affine_b, atol=1e-6):
        yield Difference(name, "affine", 1, 1, "", str(affine_a.tolist()), str(affine_b.tolist()))
    apart = np.abs(voxels_a - voxels_b)
    apart[np.isnan(apart)] = np.inf
    differing = apart > absolute + relative * np.abs(voxels_b).max()
    if differing.any():
        worst = np.unravel_index(np.argmax(apart), apart.shape)
        where = f"voxel {', '.join(map(str, worst))}"
        cells = (f"{voxels_a[worst]:g}", f"{voxels_b[worst]:g}")
        yield Difference(name, "voxels", int(differing.sum()), apart.size, where, *cells)
