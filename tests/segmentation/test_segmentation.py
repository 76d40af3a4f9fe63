"""The door into the engines, the threshold rules, the Gaussian mixture, and compiling once."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError, in_words
from segmentation import Segmentation, check_segmentable, labels_at, segment, volumes_ml
from segmentation.interface import engines
from tests.support.made_up_study import AFFINE, made_up_brain, scanned
from tests.support.paths import ROOT

SIZES = tuple(np.diag(AFFINE)[:3])


@pytest.fixture(scope="module")
def brain():
    labels, mask = made_up_brain(0)
    return 700 * scanned(labels, mask, (0.3, 0.8, 1.3), 0), mask, labels


def with_value(value, count=1):
    def change(image, mask):
        image = image.copy()
        image[tuple(axis[:count] for axis in np.nonzero(mask))] = value
        return image, mask

    return change


REFUSED = {
    "empty": (lambda i, m: (i, np.zeros_like(m)), "mask is empty"),
    "constant": (lambda i, m: (np.where(m, 5.0, 0.0), m), "constant image, every voxel in the mask is 5"),
    "two values": (lambda i, m: (np.where(i > 500, 7.0, 3.0), m), "only 2 different intensities"),
    "negative": (with_value(-2.5, 3), "3 voxels in the mask are negative, down to -2.5"),
    "z-scored": (lambda i, m: (i / 100 - 8, m), "voxels in the mask are negative"),
    "wholly negative": (lambda i, m: (i - 1e5, m), "voxels in the mask are negative"),
    "NaN": (with_value(np.nan, 2), "2 voxels in the mask are NaN or infinite"),
    "infinite": (with_value(np.inf), "1 voxels in the mask are NaN or infinite"),
    "shape": (lambda i, m: (i, m[:-1]), "shape"),
    "four dimensions": (lambda i, m: (i[..., None], m[..., None]), "shape"),
    "integer mask": (lambda i, m: (i, m.astype(np.uint8)), "type uint8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_cannot_be_segmented(brain, case):
    change, reason = REFUSED[case]
    with pytest.raises(InputError, match=reason):
        segment(*change(*brain[:2]), SIZES, name="sub-01.nii.gz")
    with pytest.raises(InputError, match=reason):
        check_segmentable(*change(*brain[:2]), SIZES)


def test_refuses_less_than_a_brain(brain):
    image, mask, _ = brain
    with pytest.raises(InputError, match="mL in the mask.*less than any brain"):
        check_segmentable(image, mask, (1, 1, 1))
    assert check_segmentable(image, mask, (3, 3, 3)).sum() * 0.027 > 50


@pytest.mark.parametrize("sizes", [(1, 1), (0, 1, 1), (1, -1, 1), (1, 1, np.nan)])
def test_refuses_voxel_sizes(brain, sizes):
    with pytest.raises(InputError, match="voxel sizes"):
        check_segmentable(*brain[:2], sizes)


def test_zero_and_broken_voxels_outside_the_mask_are_no_matter(brain):
    image, mask, _ = brain
    image, holes = image.copy(), np.argwhere(mask)[::50]
    image[~mask] = np.nan
    image[tuple(holes.T)] = 0
    modeled = check_segmentable(image, mask, SIZES)
    assert not modeled[tuple(holes.T)].any()
    assert modeled.sum() == mask.sum() - len(holes)


def test_message_names_the_image(brain):
    with pytest.raises(InputError, match="^sub-01.nii.gz: the mask is empty"):
        segment(brain[0], np.zeros_like(brain[1]), SIZES, name="sub-01.nii.gz")


def test_unknown_engine_and_threads(brain):
    with pytest.raises(InputError, match="no segmentation engine 'hmfr'.*hmrf"):
        segment(*brain[:2], SIZES, engine="hmfr")
    with pytest.raises(InputError, match="0 threads"):
        segment(*brain[:2], SIZES, threads=0)


NEW_ENGINE = """
import numpy as np
from segmentation import Segmentation

def segment(image, mask, voxel_sizes, threads, partial_volumes):
    posteriors = np.zeros((3, *image.shape), np.float32)
    labels = np.where(mask, 1 + (image > 400) + (image > 700), 0).astype(np.uint8)
    for k in range(3):
        posteriors[k] = labels == k + 1
    {change}
    return Segmentation(posteriors, labels, None, np.arange(3.0), np.ones(3), None, "{name}")
"""


@pytest.fixture
def new_engine(tmp_path, monkeypatch, request):
    """A further engine: one file, in a folder of engines."""
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(NEW_ENGINE.format(change=getattr(request, "param", "pass"), name=name))
    folder = importlib.import_module("segmentation.engines")
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    return name


def test_an_engine_is_one_file(brain, new_engine):
    assert new_engine in engines()
    found = segment(*brain[:2], SIZES, engine=new_engine)
    assert found.engine == new_engine
    assert set(np.unique(found.labels)) == {0, 1, 2, 3}


@pytest.mark.parametrize("new_engine", ["posteriors[1, 12, 14, 11] = np.nan"], indirect=True)
def test_nan_posteriors_raise(brain, new_engine):
    with pytest.raises(InputError, match="NaN posteriors"):
        segment(*brain[:2], SIZES, engine=new_engine)


@pytest.mark.parametrize("new_engine", ["labels[labels == 3] = 2"], indirect=True)
def test_a_class_without_voxels_raises(brain, new_engine):
    with pytest.raises(InputError, match="found no voxel of WM"):
        segment(*brain[:2], SIZES, engine=new_engine)


# ---------------------------------------------------------------------------------------------- #


def segmentation_of(posteriors, partial_volumes=None) -> Segmentation:
    posteriors = np.asarray(posteriors, dtype=np.float32).reshape(3, -1, 1, 1)
    if partial_volumes is not None:
        partial_volumes = np.asarray(partial_volumes, dtype=np.float32).reshape(3, -1, 1, 1)
    labels = np.where(posteriors.sum(axis=0) > 0, posteriors.argmax(axis=0) + 1, 0).astype(np.uint8)
    return Segmentation(posteriors, labels, None, np.arange(3.0), np.ones(3), partial_volumes, "made up")


NEAR_POINT_8 = [0.79999995, 0.8, 0.80000001, 0.80000007, np.nextafter(np.float32(0.8), np.float32(0))]


@pytest.mark.parametrize("value", NEAR_POINT_8)
def test_exact_about_the_threshold(value):
    found = segmentation_of([[0, 0], [value, 0.802], [1 - value, 0.198]], [[0, 0], [value, 0.798], [1 - value, 0.202]])
    # above 0.8 means above it: 0.8, however it was rounded, isn't
    assert labels_at(found).ravel().tolist() == [0, 2]
    # at least 0.8: 0.8, however it was rounded, is
    assert labels_at(found, "partial_volume").ravel().tolist() == [2, 0]
    assert labels_at(found, "hard").ravel().tolist() == [2, 2]


@given(st.lists(st.tuples(*[st.floats(1e-3, 1)] * 3), min_size=1), st.floats(0.51, 0.99))
def test_threshold_labels_are_the_hard_ones_or_none(shares, threshold):
    shares = np.array(shares).T
    found = segmentation_of(shares / shares.sum(axis=0))
    labels = labels_at(found, threshold=threshold)
    assert np.all((labels == 0) | (labels == found.labels))
    above = found.posteriors.max(axis=0) > threshold + 1e-5
    assert np.array_equal(labels[above], found.labels[above])


def test_no_partial_volumes():
    found = segmentation_of([[0.1], [0.9], [0]])
    with pytest.raises(InputError, match="no partial volumes"):
        labels_at(found, "partial_volume")
    volumes = volumes_ml(found, 1.0)
    assert volumes["posterior"] == {"CSF": 0, "GM": 1, "WM": 0}
    assert all(np.isnan(v) for rule in ("partial_volume", "partial_volume_sum") for v in volumes[rule].values())


@pytest.mark.parametrize("threshold", [0.5, 1.0, 80, -1])
def test_refuses_thresholds(threshold):
    with pytest.raises(InputError, match="threshold"):
        labels_at(segmentation_of([[1], [0], [0]]), threshold=threshold)
    with pytest.raises(InputError, match="'soft'"):
        labels_at(segmentation_of([[1], [0], [0]]), "soft")


def test_volumes_by_each_rule_at_any_voxel_size():
    posteriors = [[0.9, 0.3, 0.1, 0], [0.1, 0.7, 0.05, 0], [0, 0, 0.85, 0]]
    fractions = [[0.8, 0.25, 0, 0], [0.2, 0.75, 0.5, 0], [0, 0, 0.5, 0]]
    coarse = segmentation_of(posteriors, fractions)
    expected = {
        "posterior": (8, 0, 8),
        "partial_volume": (8, 0, 0),
        "hard": (8, 8, 8),
        "partial_volume_sum": (8.4, 11.6, 4),
    }
    fine = replace(
        coarse,
        posteriors=np.repeat(coarse.posteriors, 8, axis=1),
        labels=np.repeat(coarse.labels, 8, axis=0),
        partial_volumes=np.repeat(coarse.partial_volumes, 8, axis=1),
    )
    for found, voxel_ml in ((coarse, 8.0), (fine, 1.0)):
        for rule, volumes in volumes_ml(found, voxel_ml).items():
            assert tuple(volumes.values()) == pytest.approx(expected[rule], rel=1e-6), rule


# ---------------------------------------------------------------------------------------------- #


def test_gaussian_mixture(brain):
    image, mask, truth = brain
    first = segment(image, mask, SIZES, engine="gmm")
    again = segment(image, mask, SIZES, engine="gmm", threads=2)
    assert first.posteriors.tobytes() == again.posteriors.tobytes()
    assert np.mean(first.labels[mask] == truth[mask]) > 0.85
    assert np.all(np.diff(first.means) > 0)
    assert not first.posteriors[:, ~mask].any()
    assert first.posteriors.dtype == np.float32
    assert first.labels.dtype == np.uint8


KERNEL = """
from core.kernels import announced, kernel

@kernel
def total(values):
    found = 0.0
    for value in values:
        found += value
    return found

if __name__ == "__main__":
    import numpy as np
    for _ in range(2):
        with announced("the sum"):
            assert total(np.arange(4.0)) == 6
"""


@pytest.mark.slow
def test_says_that_it_compiles_only_when_it_does(tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(KERNEL)
    root = str(ROOT)

    def run() -> str:
        command = [sys.executable, str(script)]
        environment = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stderr

    assert run().count("compiling the sum") == 1
    assert run() == ""


def test_compiles_without_a_folder_to_keep_the_code_in():
    from core.kernels import kernel

    # A function that comes from no file has no place for its machine code.
    namespace = {}
    exec(compile("def double(x):\n    return 2 * x\n", "<nowhere>", "exec"), namespace)
    assert kernel(namespace["double"])(3) == 6


def test_what_an_engine_raises_names_engine_and_image(brain, monkeypatch):
    def broken(*_: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr("segmentation.engines.gmm.segment", broken)
    image, mask, _ = brain
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix") as raised:
        segment(image, mask, SIZES, engine="gmm", name="images/raw/sub-02.nii.gz")
    told = "LinAlgError: Singular matrix (in engine gmm, images/raw/sub-02.nii.gz)"
    assert in_words(raised.value) == told
