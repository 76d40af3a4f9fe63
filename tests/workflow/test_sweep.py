"""A sweep's scores, its front, its table and figure."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import InputError
from core.images import save_image, save_labels
from core.study import Scan, Study
from evaluation.figures.sweep import plot
from evaluation.sweep import on_front, pairwise_difference, reconstruction_error, score_points

SHAPE = (6, 7, 8)


def test_scores_of_constructed_images():
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 1:4, 1:4] = True
    scan = np.where(mask, 1.0, 0.0)
    assert reconstruction_error(scan + 0.25, scan, mask) == pytest.approx(0.25)
    images = [np.where(mask, value, 0.0) for value in (1.0, 1.2, 1.6)]
    assert pairwise_difference(images, [mask] * 3) == pytest.approx((0.2 + 0.6 + 0.4) / 3)
    assert np.isnan(pairwise_difference(images[:1], [mask]))


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 4).map(float)))
def test_front_is_what_nothing_beats(scores):
    expected = [not any((other <= point).all() and (other < point).any() for other in scores) for point in scores]
    assert on_front(scores).tolist() == expected
    assert on_front(scores).any()


def study_of(folder, scanners=("a", "b", "c"), subjects=("01", "02")):
    """A study of small random images, and images of two points: the scans themselves, and everyone's mean."""
    random = np.random.default_rng(0)
    mask = np.zeros(SHAPE, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    save_labels(folder / "mask.nii.gz", mask.astype(np.uint8), np.eye(4))
    scans = []
    for subject, scanner in itertools.product(subjects, scanners):
        path = folder / f"{subject}{scanner}.nii.gz"
        save_image(path, np.where(mask, random.uniform(0.5, 1.5, SHAPE), 0).astype(np.float32), np.eye(4))
        scans.append(Scan(subject, scanner, path, folder / "mask.nii.gz"))
    study = Study(tuple(scans))
    for subject in subjects:
        own = study.of_subject(subject)
        mean = np.mean([scan.read() for scan in own], axis=0, dtype=np.float32)
        for scan in own:
            save_image(folder / "images" / "001" / f"{scan.name}_T1w.nii.gz", scan.read(), np.eye(4))
            save_image(folder / "images" / "002" / f"{scan.name}_T1w.nii.gz", mean, np.eye(4))
    return study


def test_table_and_figure(tmp_path):
    study = study_of(tmp_path)
    points = {"001": {"embeddings": 3, "preset": "demo"}, "002": {"embeddings": 6, "preset": "demo"}}
    table = score_points(study, points, tmp_path / "images").set_index("point")
    assert table.loc["001", "reconstruction_error"] == 0
    assert table.loc["001", "pairwise_difference"] == pytest.approx(table.loc["raw", "pairwise_difference"])
    assert table.loc["002", "pairwise_difference"] == 0
    assert table.loc["002", "reconstruction_error"] > 0
    assert table["on_front"].tolist() == [True, True, False]
    assert table["n"].tolist() == [2, 2, 2]
    figure = plot(table.reset_index(), points, method="mispel", simulated=True)
    assert any("1: embeddings 3. 2: embeddings 6." in text.get_text().replace("\n", " ") for text in figure.texts)


def test_people_with_one_scan_cannot_be_judged(tmp_path):
    study = study_of(tmp_path, scanners=("a",))
    with pytest.raises(InputError, match="fewer than two scans"):
        score_points(study, {"001": {}}, tmp_path / "images")
