"""What MISPEL sees outside the brain, which pixels its losses count, and the watch at the brain's edge."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.interface import Context
from core.brain_edge import depth
from core.errors import Caution, InputError
from core.files import read_json, write_json
from core.images import load_image, save_image, save_labels
from mispel.batches import Batches
from mispel.compute import working_threads
from mispel.edge_watch import EdgeWatch, edge_caution
from mispel.method import Mispel
from mispel.model import load_model
from mispel.outside import surrounded
from mispel.parameters import Parameters, Settings
from mispel.slices import build_store, to_slices
from mispel.training import train
from tests.support.mispel_data import AFFINE, make_study

TINY = {"width": 4, "embeddings": 3, "step1_epochs": 2, "step2_epochs": 2, "precision": "float32"}
CPU = torch.device("cpu")


@given(
    seed=st.integers(0, 1000),
    spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 2.5])] * 3),
    filled=st.floats(0.02, 0.9),
)
@settings(deadline=None, max_examples=30)
def test_outside_is_the_nearest_brain_voxel_in_mm(seed, spacing, filled):
    random = np.random.default_rng(seed)
    inside = random.random((4, 6, 5)) < filled
    inside[tuple(random.integers(0, inside.shape))] = True
    stack = random.normal(size=inside.shape).astype(np.float32)
    made = surrounded(stack, inside, spacing, outside="nearest")
    places = np.argwhere(inside)
    for voxel in np.argwhere(~inside):
        distances = np.linalg.norm((places - voxel) * spacing, axis=1)
        nearest = places[np.isclose(distances, distances.min())]
        assert made[tuple(voxel)] in stack[tuple(nearest.T)]
    np.testing.assert_array_equal(made[inside], stack[inside])
    np.testing.assert_array_equal(surrounded(stack, inside, spacing, outside="zero"), stack * inside)


def test_training_and_application_see_the_whole_scans_surroundings(tmp_path):
    """A scan's slices continue its brain in three dimensions, whatever box they are cut to."""
    study = make_study(tmp_path, scanners=("GE", "Trio"), shape=(20, 24, 16))
    store = build_store(study, tmp_path / "store", outside="nearest")
    seen = []
    arm = Mispel(Parameters(**TINY, outside="nearest"), Context(device="cpu"))
    arm.fit(study)
    harmonize_slices = arm._model.harmonize_slices
    arm._model.harmonize_slices = lambda number, slices, each: (
        seen.append(slices) or harmonize_slices(number, slices, each)
    )
    for subject in study.subjects:
        for number, scanner in enumerate(study.scanners):
            scan = study.find(subject, scanner)
            mask = scan.read_mask()
            # the box may reach beyond the image
            wide = [(0, 0), (9, 9), (9, 9)]
            stack, inside = (np.pad(to_slices(volume, 2), wide) for volume in (scan.read(), mask))
            whole = surrounded(stack, inside, (2.0, 2.0, 2.0), outside="nearest")
            rows = store.subjects == subject
            expected = store.box.shifted(9, 9).cut(whole[store.positions[rows]])
            np.testing.assert_array_equal(store.images[number][rows], expected)
            np.testing.assert_array_equal(
                store.depths[number][rows], store.box.cut(to_slices(depth(mask), 2)[store.positions[rows]])
            )
            arm.transform(scan)
            np.testing.assert_array_equal(seen[-1], expected)


def test_a_missing_scan_and_masks_that_differ(tmp_path):
    """Where one scanner's mask ends sooner, its slices go on with its own nearest voxels."""
    study = make_study(tmp_path, missing=(("01", "Philips"),))
    scan = study.find("00", "GE")
    mask = scan.read_mask()
    mask[:, :, int(np.flatnonzero(mask.any(axis=(0, 1)))[-3]) :] = False
    save_labels(tmp_path / "short_mask.nii.gz", mask, AFFINE)
    shorter = dataclasses.replace(scan, mask=tmp_path / "short_mask.nii.gz")
    study = dataclasses.replace(study, scans=tuple(shorter if found == scan else found for found in study.scans))
    store = build_store(study, tmp_path / "store", outside="nearest")
    rows = store.subjects == "00"
    assert (store.images[0][rows] > 0).all()
    assert not store.depths[0][rows][-3:].any()
    assert store.depths[1][rows][-3:].any()
    gone = (store.subjects == "01") & ~store.present[:, 1]
    assert gone.any()
    assert not store.images[1][gone].any()
    made = train(
        store,
        Settings(**TINY, outside="nearest", loss_region="brain"),
        seed=0,
        threads=1,
        device=CPU,
        folder=tmp_path / "training",
    )
    assert all(np.isfinite(row["total"]) for row in made.history)


def test_the_losses_region_is_the_masks(tmp_path):
    """A voxel of the brain counts though it is 0, and one outside doesn't though it is filled."""
    study = make_study(tmp_path, subjects=1, scanners=("GE", "Trio"))
    for scan in study.scans:
        image, mask = load_image(scan.image)[0], scan.read_mask()
        dark = tuple(np.argwhere(mask)[len(np.argwhere(mask)) // 2])
        image[dark] = 0
        save_image(scan.image, image, AFFINE)
    for outside in ("zero", "nearest"):
        store = build_store(study, tmp_path / outside, outside=outside)
        batches = Batches(store, CPU, region="brain")
        region = batches.region(batches.depths(np.arange(len(store)))).numpy()
        expected = store.box.cut(to_slices(study.scans[0].read_mask(), 2)[store.positions])
        np.testing.assert_array_equal(region, expected)
        assert Batches(store, CPU, region="box").region(batches.depths(np.arange(len(store)))) is None


def test_the_watch_measures_the_edge_alone():
    mask = np.ones((12, 14, 16), bool)
    depths = torch.from_numpy(depth(mask))[:, None].repeat(1, 2, 1, 1)
    images = 2 + torch.rand(depths.shape, generator=torch.Generator().manual_seed(0))
    mean = images.mean(dim=(0, 2, 3))
    # another contrast is no bias
    outputs = 5 + 0.7 * images
    outputs[:, 1] -= 0.1 * mean[1] * (depths[:, 1] == 1)
    watch = EdgeWatch(("a", "b"), CPU)
    for half in (slice(0, 5), slice(5, 12)):
        watch.add(images[half], outputs[half], depths[half])
    biases = watch.biases()
    assert biases == {"a": pytest.approx(0, abs=1e-6), "b": pytest.approx(-0.1, abs=1e-6)}
    assert "-0.10 (b)" in edge_caution(biases, Settings())
    assert "outside=nearest" in edge_caution(biases, Settings())
    assert "outside" not in edge_caution(biases, Settings(outside="nearest"))
    assert edge_caution({"a": -0.04, "b": None}, Settings()) is None
    # a brain too thin to have an inside has no bias to tell
    thin = EdgeWatch(("a", "b"), CPU)
    thin.add(images, outputs, torch.ones_like(depths))
    assert thin.biases() == {"a": None, "b": None}


@pytest.mark.slow
def test_a_short_training_darkens_the_edge_before_zeros_and_says_so(tmp_path):
    study = make_study(tmp_path, scanners=("GE", "Trio"), shape=(24, 28, 20))
    short = Settings(width=4, embeddings=3, learning_rate=3e-3, step1_epochs=10, step2_solver="exact")
    biases = {}
    for outside in ("zero", "nearest"):
        store = build_store(study, tmp_path / outside, outside=outside)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            parameters = dataclasses.replace(short, outside=outside)
            made = train(store, parameters, seed=0, threads=1, device=CPU, folder=tmp_path / "training")
        biases[outside] = made.facts["edge_biases"]
        cautions = [str(warning.message) for warning in told if issubclass(warning.category, Caution)]
        assert any("outside=nearest" in caution for caution in cautions) == (outside == "zero")
    assert all(biases["zero"][scanner] < -0.1 for scanner in study.scanners)
    assert all(abs(bias) < 0.05 for bias in biases["nearest"].values())


def test_a_saved_model_carries_its_surroundings_and_an_old_one_is_refused(tmp_path):
    study = make_study(tmp_path, subjects=1, scanners=("GE", "Trio"))
    images = {}
    for outside in ("zero", "nearest"):
        arm = Mispel(Parameters(**TINY, outside=outside), Context(device="cpu"))
        arm.fit(study)
        arm.save(tmp_path)
        with working_threads(1):
            loaded = Mispel(Parameters(), Context(device="cpu"))
        loaded.load(tmp_path)
        assert loaded._model.outside == outside
        images[outside] = loaded.transform(study.scans[0])
        np.testing.assert_array_equal(images[outside], arm.transform(study.scans[0]))
    assert not np.array_equal(images["zero"], images["nearest"])
    described = read_json(tmp_path / "model.json")
    for change in ({"format": "mispel 1"}, {"parameters": described["parameters"] | {"outside": "mirror"}}):
        write_json(tmp_path / "model.json", described | change)
        with pytest.raises(InputError, match=r"model\.json"):
            load_model(tmp_path, CPU)
