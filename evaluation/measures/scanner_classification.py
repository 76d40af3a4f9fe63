"""Whether a classifier still sees which scanner an image is from: trained anew on each arm.

It gets plain features of an image and never a person whom it was trained on. An arm without a trace of
the scanner leaves it guessing, right once in M scanners.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from evaluation.measures.interface import Measure, Measured, Person, Summary

TABLE = "image_features"
CLASSIFIED = "scanner_classification"
PERCENTILES = (5, 25, 50, 75, 95)
FOLDS = 10
MEASURES = (
    Measure(
        name="scanner_accuracy",
        label="Scanner recognized",
        lowest=0.0,
        highest=1.0,
        better="lower",
        definition=(
            "Share of scans whose scanner a logistic regression names right, from percentiles, roughness and low-"
            "frequency shading of the tissues' intensities on RAW's scale; trained on each arm anew, on other people "
            "than it is asked about. A guess is right once in M scanners."
        ),
        reference="Fortin et al. 2018; Dewey et al. 2019",
        table=CLASSIFIED,
        column="correct",
        summary=Summary(asks="removed", guess="scanners"),
    ),
)


def of_person(person: Person) -> list[dict]:
    """A row of features a scan."""
    places = {tissue: np.flatnonzero(region) for tissue, region in person.tissues.items()}
    corners = octants(person.tissues["WM"])
    steps = neighbors(person.tissues["WM"])
    rows = []
    for scanner, image in person.images.items():
        flat = image.ravel()
        samples = {tissue: flat[chosen] for tissue, chosen in places.items()}
        found = {"scanner": scanner, **shading(samples["WM"], corners), **roughness(flat, steps)}
        for name, values in {**samples, "brain": image[person.masks[scanner]]}.items():
            found |= percentiles(name, values)
        rows.append(found)
    return rows


def percentiles(name: str, values: np.ndarray) -> dict[str, float]:
    """`PERCENTILES` of intensities (N,) by nearest rank, which is many times faster than interpolating; 0 if empty."""
    ordered = np.sort(values)
    ranks = [round(percent / 100 * (ordered.size - 1)) for percent in PERCENTILES]
    return {
        f"{name}_p{percent}": float(ordered[rank]) if ordered.size else 0.0
        for percent, rank in zip(PERCENTILES, ranks, strict=True)
    }


def octants(region: np.ndarray) -> np.ndarray:
    """Of a region's voxels (N,), in their order in memory, which eighth each is in: 0 to 7.

    Planes through the medians of their places cut the region (X, Y, Z).
    """
    places = np.argwhere(region)
    return (places > np.median(places, axis=0)) @ np.array([4, 2, 1]) if len(places) else np.empty(0, dtype=int)


def shading(values: np.ndarray, corners: np.ndarray) -> dict[str, float]:
    """Mean of WM's intensities (N,) in each of its `octants` (N,); 0 for one without a voxel."""
    counts = np.bincount(corners, minlength=8)
    sums = np.bincount(corners, weights=values, minlength=8)
    return {f"WM_octant{number}": float(sums[number] / max(counts[number], 1)) for number in range(8)}


def neighbors(region: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Along each axis, the voxels (flattened) of a region (X, Y, Z) whose next one is of it too, and the step to it."""
    found = []
    for axis, stride in enumerate((region.shape[1] * region.shape[2], region.shape[2], 1)):
        both = region & np.roll(region, -1, axis=axis)
        np.moveaxis(both, axis, 0)[-1] = False
        found.append((np.flatnonzero(both), stride))
    return found


def roughness(flat: np.ndarray, steps: list[tuple[np.ndarray, int]]) -> dict[str, float]:
    """Standard deviation of neighboring WM voxels' differences along each axis of an image, flattened; 0 if none."""
    return {
        f"WM_roughness_{axis}": float((flat[places] - flat[places + step]).std()) if places.size else 0.0
        for axis, (places, step) in zip("xyz", steps, strict=True)
    }


def classify(values: np.ndarray, scanners: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The scanner that is named for each scan, from features (N, F) of scans of `people` (N,) on `scanners` (N,).

    Features are standardized and a logistic regression (L2, C = 1) is fitted without the people asked
    about: one left out in turn, or a tenth of them where there are more than ten. Raises nothing: with
    one person, nobody is left to learn from, and the names are empty.
    """
    # imported here: it takes a second, which other measures needn't wait for
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    named = np.full(len(scanners), "", dtype=object)
    groups = len(np.unique(people))
    if groups < 2:
        return named
    for train, test in GroupKFold(min(groups, FOLDS)).split(values, scanners, people):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        named[test] = classifier.fit(values[train], scanners[train]).predict(values[test])
    return named


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Each scan's scanner as the classifier names it, and whether that is right (1) or not (0)."""
    features = measured.tables[TABLE]
    tables = []
    for _, scans in features.groupby("method", sort=False):
        ids = scans[["method", "subject", "scanner"]]
        values = scans.drop(columns=ids.columns).to_numpy(dtype=float)
        scanners = ids["scanner"].to_numpy(dtype=object).astype(str)
        named = classify(values, scanners, ids["subject"].to_numpy(dtype=object).astype(str))
        correct = np.where(named == "", math.nan, (named == scanners).astype(float))
        tables.append(ids.assign(named=named, correct=correct))
    columns = ["method", "subject", "scanner", "named", "correct"]
    return {CLASSIFIED: pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)}
