"""How far two scanners' images are apart as distributions, by maximum mean discrepancy of their features.

The features are those by which a classifier is asked for the scanner (`scanner_classification`). The classifier
finds one direction that gives the scanner away; this adds up all of them, and takes no person to be held out.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from evaluation.measures.interface import Measure, Measured

FEATURES = "image_features"
TABLE = "feature_discrepancy"
COLUMNS = ["method", "scanner_a", "scanner_b", "n", "mmd2"]
RESOLUTION = 1e-6
"""A feature that varies by less than this share of its size is constant: float32 holds no more."""

MEASURES = (
    Measure(
        name="mmd2",
        label="Squared MMD of image features",
        lowest=-2.0,
        highest=2.0,
        better="lower",
        definition=(
            "Squared maximum mean discrepancy between scanners a and b of the features of images that the classifier "
            "of scanners gets, of n people on both. Every feature over its standard deviation in the pair's scans of "
            "the arm; a Gaussian kernel as wide as the median distance of these scans. Unbiased, with no term of a "
            "person's own two scans: 0 on average where a and b are alike, by chance below 0. There is no test of it; "
            "read it beside RAW's."
        ),
        reference="Gretton et al. 2012, Eq. 4 and section 8",
        table=TABLE,
        column="mmd2",
    ),
)


def standardized(values: np.ndarray) -> np.ndarray:
    """Features (N, F) with mean 0 and standard deviation 1 each; 0 of a feature that doesn't vary."""
    means, spreads = values.mean(axis=0), values.std(axis=0)
    varies = spreads > RESOLUTION * np.abs(means)
    return np.where(varies, (values - means) / np.where(varies, spreads, 1), 0.0)


def discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased MMD^2 of features (N, F) of the same N people on two scanners; from -2 to 2, of no unit.

    k(x, y) = exp(-|x - y|^2 / 2 s^2), s the median distance of the 2 N scans; the mean over people i and j != i of
    k(a_i, a_j) + k(b_i, b_j) - k(a_i, b_j) - k(a_j, b_i): Gretton et al. 2012, Eq. 4. Their Eq. 3 also has k(a_i, b_i),
    which is of one person and would take people's likeness to themselves for that of scanners. 0 where all scans are
    the same; NaN of fewer than two people, and where more than half of the distances are 0 and others aren't.
    """
    count = len(a)
    if count < 2:
        return math.nan
    # imported here: gathering alone needs it
    from scipy.spatial.distance import pdist, squareform

    distances = pdist(np.concatenate([a, b]))
    width = float(np.median(distances))
    if not width > 0:
        return math.nan if distances.any() else 0.0
    kernel = np.exp(-(squareform(distances / width) ** 2) / 2)
    cross = kernel[:count, count:]
    terms = kernel[:count, :count] + kernel[count:, count:] - cross - cross.T
    np.fill_diagonal(terms, 0)
    return float(terms.sum() / (count * (count - 1)))


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method and pair of scanners, of the n people with both."""
    features = measured.tables[FEATURES]
    rows = []
    for method, scans in features.groupby("method", sort=False):
        by_scanner = {name: part.drop(columns="method") for name, part in scans.groupby("scanner", sort=False)}
        for a, b in measured.study.pairs:
            if a not in by_scanner or b not in by_scanner:
                continue
            wide = [by_scanner[name].set_index("subject").drop(columns="scanner").astype(float) for name in (a, b)]
            people = wide[0].index.intersection(wide[1].index, sort=False)
            values = standardized(np.concatenate([table.loc[people].to_numpy() for table in wide]))
            rows.append((method, a, b, len(people), discrepancy(values[: len(people)], values[len(people) :])))
    return {TABLE: measured.in_order(pd.DataFrame(rows, columns=COLUMNS))}
