"""The preprocessing: its arithmetic on made-up arrays, one scan through all steps, quality and its flags."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from core.errors import InputError
from core.files import read_table
from core.images import load_image, load_mask, save_image, save_labels
from core.options import make
from core.run_folder import StudyFolder
from core.sheet import read_sheet, row_names
from core.statistics import correlation
from studies.__main__ import main
from studies.bids.images import read_images
from studies.bids.scans import study_scans
from studies.preprocessing import arrays, quality
from studies.preprocessing import scan as scan_steps
from studies.preprocessing.atlas import load_atlas
from studies.preprocessing.brain import own_mask
from studies.preprocessing.native import take_back
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.quality_table import gather, markdown
from studies.preprocessing.registration import Transforms, carry, carry_back, register_beside, register_brain
from studies.source_jobs import take_steps
from studies.sources import PlannedScan, bids, source
from tests.support.bids_dataset import make_dataset, t1w, t2w
from tests.support.heads import whole_head
from tests.support.travelling import rotation, store

AXES = np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 44, 36)), indexing="ij")
RADIUS = np.sqrt(sum(axis**2 for axis in AXES))
BRAIN = RADIUS < 0.8
AFFINE = np.array([[4.0, 0, 0, -80], [0, 4, 0, -90], [0, 0, 4, -70], [0, 0, 0, 1]])


def phantom() -> np.ndarray:
    return np.where(BRAIN, np.where(RADIUS < 0.5, 1.0, 0.7), 0).astype(np.float32)


@pytest.mark.parametrize("orientation", ["RAS", "LIA", "PSR", "ILP"])
@pytest.mark.parametrize("stored", ["float", "int16", "big-endian"])
def test_however_a_scan_is_stored_it_is_the_same(tmp_path, orientation, stored):
    voxels = np.random.default_rng(0).gamma(2, 50, (6, 7, 8)).astype(np.float32)
    store(tmp_path / "a.nii.gz", voxels, AFFINE, orientation, stored)
    found, affine = arrays.reorient(*load_image(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(found, voxels, atol=voxels.max() / 32000 if stored == "int16" else 0)
    np.testing.assert_allclose(affine, AFFINE, atol=1e-4)


def test_coarser_voxels_fill_the_same_box():
    grid = arrays.coarser((41, 30, 20), np.diag([1.0, 2.0, 5.0, 1.0]), 4.0)
    assert grid.shape == (10, 15, 20)
    corner, far = (nib.affines.apply_affine(grid.affine, place) for place in ([-0.5] * 3, np.array(grid.shape) - 0.5))
    np.testing.assert_allclose(corner, [-0.5, -1, -2.5], atol=1e-6)
    np.testing.assert_allclose(far, [40.5, 59, 97.5], atol=1e-6)


def test_grid_around_a_tilted_mask():
    tilted = AFFINE.copy()
    tilted[:3, :3] = rotation((5, 10, -8)) @ AFFINE[:3, :3]
    grid = arrays.brain_grid(BRAIN, tilted, 3)
    places = nib.affines.apply_affine(np.linalg.inv(grid.affine) @ tilted, np.argwhere(BRAIN))
    assert (places > 1.5).all()
    assert (places < np.array(grid.shape) - 2.5).all()
    assert all(n % 8 == 0 for n in grid.shape)


def test_a_known_bias_field_is_found():
    bias = np.exp(0.25 * (AXES[0] + 0.5 * AXES[1] * AXES[2]))
    field = arrays.bias_field((phantom() * bias).astype(np.float32), BRAIN, AFFINE)
    left = np.log(bias[BRAIN] / field[BRAIN])
    assert left.std() < 0.35 * np.log(bias[BRAIN]).std()
    assert field[BRAIN].mean() == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="mask holds next to nothing"):
        arrays.bias_field(np.zeros_like(field), BRAIN, AFFINE)


def test_noise_is_measured():
    noisy = 100 * BRAIN + np.random.default_rng(0).normal(0, 3, BRAIN.shape)
    assert arrays.noise_sd(noisy, BRAIN) == pytest.approx(3, rel=0.05)


def test_masks_of_the_scan_itself(tmp_path):
    stripped = PreprocessOptions(brain="stripped")
    image = phantom()
    assert (own_mask(tmp_path / "a.nii", image, AFFINE, stripped, None) == BRAIN).all()
    given = PreprocessOptions(brain="given")
    store(tmp_path / "mask.nii.gz", BRAIN.astype(np.float32), AFFINE, "LPS", "float")
    assert (own_mask(tmp_path / "a.nii", image, AFFINE, given, tmp_path / "mask.nii.gz") == BRAIN).all()
    save_labels(tmp_path / "other.nii.gz", BRAIN[:-1], AFFINE)
    with pytest.raises(InputError, match="not on the grid"):
        own_mask(tmp_path / "a.nii", image, AFFINE, given, tmp_path / "other.nii.gz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"brain": "atlass"}, "did you mean 'atlas'"),
        ({"registration": "none", "brain": "atlas"}, "brain: atlas needs a registration"),
        ({"voxel_size_mm": 9}, "0.5 to 4"),
        ({"atlas": {"img": "a"}}, "give `image`"),
        ({"voxelsize": 2}, "unknown option"),
    ],
)
def test_refused_options(changes, message):
    with pytest.raises(InputError, match=message):
        make(PreprocessOptions, changes)


def test_an_atlas_with_its_skull_wants_a_mask(tmp_path):
    save_image(tmp_path / "head.nii.gz", phantom() + 0.1, AFFINE)
    options = PreprocessOptions(voxel_size_mm=4, atlas={"image": str(tmp_path / "head.nii.gz")})
    with pytest.raises(InputError, match="give atlas.mask"):
        load_atlas(options)
    save_labels(tmp_path / "brain.nii.gz", BRAIN, AFFINE)
    atlas = load_atlas(dataclasses.replace(options, atlas=options.atlas | {"mask": str(tmp_path / "brain.nii.gz")}))
    assert atlas.mask.sum() == pytest.approx(BRAIN.sum(), rel=0.03)
    assert (atlas.image[~atlas.mask] == 0).all()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One made-up person on two scanners, one turned and shifted, through all steps; the second atlas-masked."""
    folder = tmp_path_factory.mktemp("preprocessed")
    dataset = make_dataset(folder / "set", t1w("01", "a"), t1w("01", "b"))
    blob = np.where((AXES[0] - 0.3) ** 2 + AXES[1] ** 2 + (AXES[2] + 0.2) ** 2 < 0.03, 0.3, 0).astype(np.float32)
    image = (phantom() - blob) * 300 + 5 * BRAIN * np.random.default_rng(0).standard_normal(BRAIN.shape)
    save_image(folder / "atlas.nii.gz", phantom() - blob, AFFINE)
    turned = AFFINE.copy()
    turned[:3, :3] = rotation((4, -5, 6)) @ AFFINE[:3, :3]
    turned[:3, 3] += [6, -5, 4]
    for name, affine in (("a", AFFINE), ("b", turned)):
        store(dataset / t1w("01", name), np.where(BRAIN, image, 0).astype(np.float32), affine, "LIA", "int16")
    options = {
        "dataset": str(dataset),
        "scanner": "ses",
        "voxel_size_mm": 4,
        "atlas": {"image": str(folder / "atlas.nii.gz")},
        "brain": "stripped",
        "registration": "affine",
        "n4": False,
    }
    source("bids").check(options)
    return folder / "study", options, source("bids").prepare(options, "01", folder / "study")


@pytest.mark.slow
def test_turned_scans_come_to_lie_together(study):
    folder, _, sheet = study
    first, second = (load_image(folder / f"sub-01_scanner-{name}_T1w.nii.gz")[0] for name in "ab")
    both = (first > 0) & (second > 0)
    assert np.corrcoef(first[both], second[both])[0, 1] > 0.97
    assert 2 * both.sum() / ((first > 0).sum() + (second > 0).sum()) > 0.97
    assert first[first > 0].mean() == pytest.approx(1, abs=1e-3)
    rows = pd.read_csv(sheet, sep="\t", dtype=str)
    assert list(rows["subject"]) == ["01", "01"]
    assert list(rows["scanner"]) == ["a", "b"]


def test_back_to_native(study, tmp_path):
    folder, options, _ = study
    images = tmp_path / "images"
    images.mkdir()
    for name in "ab":
        (images / f"sub-01_scanner-{name}_T1w.nii.gz").symlink_to(folder / f"sub-01_scanner-{name}_T1w.nii.gz")
    for path, name in zip(take_back(images, folder, tmp_path / "out"), "ab", strict=True):
        image, affine = load_image(path)
        native, native_affine = arrays.reorient(*load_image(f"{options['dataset']}/{t1w('01', name)}"))
        mask = load_mask(StudyFolder(folder).native_mask(f"sub-01_scanner-{name}"))[0]
        np.testing.assert_allclose(affine, native_affine, atol=1e-3)
        assert (image[~mask] == 0).all()
        assert np.corrcoef(image[mask], native[mask])[0, 1] > 0.93
    with pytest.raises(InputError, match="no sub-"):
        take_back(tmp_path, folder, tmp_path / "out")


@pytest.fixture(scope="module")
def stored_three_ways(tmp_path_factory):
    """One deformed person through every step, SyN and N4 too, stored as float, scaled int16 and big-endian."""
    folder = tmp_path_factory.mktemp("stored")
    dataset = make_dataset(folder / "set", t1w("01", "float"), t1w("01", "int16"), t1w("01", "big"))
    blob = np.where((AXES[0] - 0.3) ** 2 + AXES[1] ** 2 + (AXES[2] + 0.2) ** 2 < 0.03, 0.3, 0).astype(np.float32)
    save_image(folder / "atlas.nii.gz", phantom() - blob, AFFINE)
    places = np.indices(BRAIN.shape).astype(float)
    places[1] += 3 * np.sin(4 * AXES[0])
    image = ndimage.map_coordinates(phantom() - blob, places, order=1) * 300 * np.exp(0.1 * AXES[2])
    image[image < 60] = 0
    for name in ("float", "int16", "big"):
        way = "big-endian" if name == "big" else name
        store(dataset / t1w("01", name), image.astype(np.float32), AFFINE, "LIA", way)
    options = {"dataset": str(dataset), "scanner": "ses", "voxel_size_mm": 4, "brain": "stripped"}
    options["atlas"] = {"image": str(folder / "atlas.nii.gz")}
    source("bids").prepare(options, "01", folder / "study")
    return folder / "study", make(PreprocessOptions, {k: options[k] for k in ("voxel_size_mm", "brain", "atlas")})


@pytest.mark.slow
def test_however_it_is_stored_the_whole_chain_gives_the_same(stored_three_ways):
    folder, _ = stored_three_ways
    found = {name: load_image(folder / f"sub-01_scanner-{name}_T1w.nii.gz")[0] for name in ("float", "int16", "big")}
    np.testing.assert_array_equal(found["big"], found["float"])
    # a registration turns rounding into hundredths of a voxel
    first, second = found["float"], found["int16"]
    both = (first > 0) & (second > 0)
    assert 2 * both.sum() > 0.99 * ((first > 0).sum() + (second > 0).sum())
    assert np.abs(first - second)[both].mean() < 0.01


def test_the_warp_lays_the_scan_on_the_atlas_and_its_inverse_takes_it_back(stored_three_ways):
    folder, options = stored_three_ways
    atlas, name = load_atlas(options), "sub-01_scanner-float"
    transforms = Transforms.of_folder(folder / "transforms" / name)
    affine_only = Transforms(transforms.affine, folder / "none", folder / "none")
    brain, affine = load_mask(StudyFolder(folder).native_mask(name))
    image, _ = arrays.reorient(*load_image(folder.parent / "set" / t1w("01", "float")))
    similar = [
        correlation(carry(image, affine, way, atlas.grid)[atlas.mask], atlas.image[atlas.mask])
        for way in (affine_only, transforms)
    ]
    assert similar[1] > similar[0] + 0.02
    inner = ndimage.binary_erosion(brain > 0, iterations=4)
    for axis in range(3):
        ramp = nib.affines.apply_affine(affine, np.moveaxis(np.indices(brain.shape), 0, -1))[..., axis]
        there = carry(ramp.astype(np.float32), affine, transforms, atlas.grid)
        back = carry_back(there, atlas.grid, transforms, arrays.Grid(brain.shape, affine))
        assert np.abs(back - ramp)[inner].mean() < 0.5


@pytest.mark.slow
def test_syn_by_local_correlation_too(stored_three_ways, tmp_path):
    folder, options = stored_three_ways
    atlas = load_atlas(options)
    brain, affine = arrays.reorient(*load_image(folder.parent / "set" / t1w("01", "float")))
    by_correlation = dataclasses.replace(options, syn_metric="cc", syn_iterations=(20, 10))
    found = register_brain(brain, affine, atlas, by_correlation, tmp_path)
    affine_only = Transforms(found.affine, tmp_path / "none", tmp_path / "none")
    similar = [
        correlation(carry(brain, affine, way, atlas.grid)[atlas.mask], atlas.image[atlas.mask])
        for way in (affine_only, found)
    ]
    assert similar[1] > similar[0] + 0.02


@pytest.mark.slow
def test_a_failed_scan_is_left_out_and_told(study):
    folder, options, _ = study
    status = StudyFolder(folder).record("sub-01_scanner-b", "register")
    for which, ending in (("register", "failed"), ("resample", "failed")):
        path = StudyFolder(folder).record("sub-01_scanner-b", which)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"status": ending, "reason": "no brain was found"}))
    try:
        sheet = source("bids").prepare(options, "01", folder)
        assert list(pd.read_csv(sheet, sep="\t")["scanner"]) == ["a"]
        table = gather(folder, [("01", "a"), ("01", "b")])
        assert list(table["status"]) == ["ok", "failed"]
        assert table["flags"].iloc[1] == "no brain was found"
        assert "**failed**: no brain was found" in markdown(table)
    finally:
        for path in status.parent.glob("*.json"):
            path.unlink()


def test_quality_is_gathered(study):
    folder, _, _ = study
    table = gather(folder, [("01", "a"), ("01", "b")])
    assert (table["similarity_own"] > 0.95).all()
    assert (table["coverage"] > 0.99).all()
    assert StudyFolder(folder).preprocessed("sub-01_scanner-a", "quality.json").exists()


def quality_table(**changes) -> pd.DataFrame:
    rows = [
        {
            "subject": f"{place // 3}",
            "scanner": "abc"[place % 3],
            "status": "ok",
            "mask_ml": 1400.0 + place,
            "snr": 20.0,
            "coverage": 1.0,
            "similarity_atlas": 0.9 + 0.001 * place,
            "similarity_own": 0.95 - 0.001 * place,
            "flags": "",
        }
        for place in range(9)
    ]
    rows[4] |= changes
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"mask_ml": 2600.0}, "brain mask of 2600 mL"),
        ({"coverage": 0.9}, "10% of the brain lies outside"),
        ({"snr": 3.0}, "signal-to-noise 3.0"),
        ({"similarity_atlas": 0.7}, "unlike the atlas: similarity 0.70"),
        ({"similarity_own": 0.6}, "the odd one out of this person's scans"),
        ({"similarity_own": float("nan")}, ""),
    ],
)
def test_flags(changes, reason):
    told = quality.flag(quality_table(**changes))
    assert told[4].startswith(reason)
    assert bool(told[4]) == bool(reason)
    assert not any(told.drop(4))


def test_no_registration_keeps_the_grid(tmp_path):
    dataset = make_dataset(tmp_path / "set", t1w("01", "a"), t1w("01", "b"))
    for name, factor in (("a", 1), ("b", 3)):
        store(dataset / t1w("01", name), phantom() * factor, AFFINE, "RAS", "float")
    options = {"dataset": str(dataset), "scanner": "ses", "brain": "stripped", "registration": "none", "n4": False}
    source("bids").check(options)
    source("bids").prepare(options, "01", tmp_path / "study")
    first, affine = load_image(tmp_path / "study" / "sub-01_scanner-a_T1w.nii.gz")
    np.testing.assert_allclose(first[BRAIN], phantom()[BRAIN] / phantom()[BRAIN].mean(), rtol=1e-5)
    np.testing.assert_array_equal(affine, AFFINE)
    store(dataset / t1w("01", "b"), phantom()[:-1], AFFINE, "RAS", "float")
    with pytest.raises(InputError, match="has shape .* resample it"):
        source("bids").check(options)


@pytest.fixture
def by_hand(tmp_path):
    """A dataset of two people on two scanners, one scan not stripped, and the words that preprocess it here."""
    names = [t1w(person, session) for person in ("01", "02") for session in ("a", "b")]
    dataset = make_dataset(tmp_path / "set", *names)
    for name in names:
        store(dataset / name, phantom(), AFFINE, "RAS", "float")
    words = ["preprocess", str(dataset), "--scanner", "ses", "--brain", "stripped", "--registration", "none", "--no-n4"]
    return dataset, words


@pytest.mark.slow
def test_a_failing_scan_stops_no_other_and_a_second_start_goes_on(by_hand, tmp_path, capsys, monkeypatch):
    _dataset, words = by_hand
    out = tmp_path / "out"
    done = []

    def step(name, options, scan, folder):
        if scan == PlannedScan("02", "b") and not (tmp_path / "mended").exists():
            raise InputError("its brain was not found")
        (tmp_path / f"did-{scan.subject}-{scan.scanner}-{name}").touch()
        return do(name, options, scan, folder)

    do = bids.step
    monkeypatch.setattr(bids, "step", step)
    assert main([*words, "--out", str(out)]) == 1
    assert "subject 02 on b failed: its brain was not found" in capsys.readouterr().err
    assert len(pd.read_csv(out / "scans.tsv", sep="\t")) == 3
    assert list(pd.read_csv(out / "quality.tsv", sep="\t")["status"]) == ["ok", "ok", "ok", "failed"]
    for path in tmp_path.glob("did-*"):
        path.unlink()
        done.append(path.name)
    assert len(done) == 6
    (tmp_path / "mended").touch()
    assert main([*words, "--out", str(out)]) == 0
    assert sorted(path.name for path in tmp_path.glob("did-*")) == ["did-02-b-register", "did-02-b-resample"]
    assert len(pd.read_csv(out / "scans.tsv", sep="\t")) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", "{set}/pre"], "lies within the dataset"),
        (["--out", "{set}/participants.tsv"], "not a folder"),
        (["--voxel-size-mm", "99"], "0.5 to 4"),
        (["--atlas-mask", "mask.nii"], "give --atlas too"),
        (["--masks", "elsewhere"], "used with brain: given alone"),
    ],
)
def test_places_and_options_are_refused_before_any_work(by_hand, more, message):
    dataset, words = by_hand
    (dataset / "participants.tsv").write_text("participant_id\nsub-01\n")
    with pytest.raises(InputError, match=message):
        main([*words, *(word.format(set=dataset) for word in more)])


def test_an_unstripped_image_and_a_mask_of_another_grid_are_refused_before_any_work(by_hand, tmp_path):
    dataset, _ = by_hand
    options = {"dataset": str(dataset), "scanner": "ses", "registration": "none", "n4": False}
    for scan in source("bids").plan(options | {"brain": "stripped"}):
        stem = t1w(scan.subject, scan.scanner).replace("_T1w.nii.gz", "")
        save_labels(tmp_path / "masks" / f"{stem}_desc-brain_mask.nii.gz", BRAIN, AFFINE)
    masked = options | {"brain": "given", "masks": str(tmp_path / "masks")}
    source("bids").check(masked)
    save_labels(tmp_path / "masks" / f"{stem}_desc-brain_mask.nii.gz", BRAIN[:-1], AFFINE)
    with pytest.raises(InputError, match="not on the grid"):
        source("bids").check(masked)
    noise = np.random.default_rng(0).random(BRAIN.shape, np.float32)
    store(dataset / t1w("02", "b"), phantom() + noise, AFFINE, "RAS", "float")
    with pytest.raises(InputError, match="isn't skull-stripped"):
        source("bids").check(options | {"brain": "stripped"})


def test_a_derivative_has_its_mask_under_its_own_name(tmp_path):
    name = t1w("01", "a").replace("_T1w", "_desc-preproc_T1w")
    dataset = make_dataset(tmp_path, name, name.replace("preproc_T1w", "brain_mask"))
    options = source("bids").options({"dataset": str(dataset), "scanner": "ses", "brain": "given"})
    (scan,) = study_scans(options, read_images(dataset))
    assert bids.given_mask(scan, options).name == "sub-01_ses-a_desc-brain_mask.nii.gz"


def test_a_settled_study_is_not_looked_for_again(by_hand):
    dataset, _ = by_hand
    options = {"dataset": str(dataset), "scanner": "ses", "brain": "stripped", "registration": "none", "n4": False}
    settled = json.loads(json.dumps(source("bids").settle(options)))
    shutil.rmtree(dataset)
    assert [(scan.subject, scan.scanner) for scan in source("bids").plan(settled)] == [
        ("01", "a"),
        ("01", "b"),
        ("02", "a"),
        ("02", "b"),
    ]


def test_an_empty_atlas_is_refused(tmp_path):
    save_image(tmp_path / "zero.nii.gz", np.zeros(BRAIN.shape), AFFINE)
    with pytest.raises(InputError, match="zero.nii.gz: no voxel of its brain is above 0"):
        load_atlas(PreprocessOptions(voxel_size_mm=4, atlas={"image": str(tmp_path / "zero.nii.gz")}))


@pytest.fixture
def rescanned_twice(tmp_path):
    """One person scanned three times on scanner a and once on b, images of different contrast, and the options."""
    names = [t1w("01", "a", middle=f"run-{run}_") for run in (1, 2, 3)] + [t1w("01", "b")]
    dataset = make_dataset(tmp_path / "set", *names)
    for power, name in enumerate(names, start=1):
        store(dataset / name, phantom() ** power, AFFINE, "RAS", "float")
    options = {"dataset": str(dataset), "scanner": "ses", "brain": "stripped", "registration": "none", "n4": False}
    return options | {"repeats": "rescans"}, tmp_path / "study"


def contrasts(study: Path) -> list[float]:
    """Of each scan of a study's sheet, scans before rescans, the power that its image was raised to."""
    read = [scan.read() for scan in read_sheet(study).every]
    inner, outer = RADIUS < 0.5, BRAIN & (RADIUS >= 0.5)
    return [float(np.log(np.median(image[outer]) / np.median(image[inner])) / np.log(0.7)) for image in read]


def test_rescans_are_preprocessed_as_scans_of_their_own(rescanned_twice):
    options, folder = rescanned_twice
    settled = json.loads(json.dumps(source("bids").settle(options)))
    assert source("bids").plan(settled) == source("bids").plan(options)
    sheet = source("bids").prepare(settled, "01", folder)
    rows = pd.read_csv(sheet, sep="\t", dtype=str)
    assert list(zip(rows["scanner"], rows["session"], strict=True)) == [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")]
    read = read_sheet(sheet)
    assert [scan.name for scan in read.scans] == ["sub-01_scanner-a", "sub-01_scanner-b"]
    assert [scan.name for scan in read.rescans] == ["sub-01_scanner-a_session-2", "sub-01_scanner-a_session-3"]
    assert contrasts(sheet) == pytest.approx([1, 4, 2, 3], rel=1e-3)
    assert [scan.name for scan in source("bids").plan(options)] == row_names(rows)
    for scan in read.every:
        assert scan.image == folder / f"{scan.name}_T1w.nii.gz"
        assert StudyFolder(folder).preprocessed(scan.name, "quality.json").is_file()


@pytest.fixture
def followed_up(tmp_path):
    """One person scanned on scanners a and b, and two years later on b, and the options."""
    visits = (("1", "a"), ("1", "b"), ("2", "b"))
    names = [t1w("01", session, middle=f"acq-{scanner}_") for session, scanner in visits]
    times = "session_id\tacq_time\tage\nses-1\t2012-01-01T09:00:00\t71\nses-2\t2014-01-01T09:00:00\t73\n"
    dataset = make_dataset(tmp_path / "set", *names, **{"sub-01/sub-01_sessions.tsv": times})
    for power, name in enumerate(names, start=1):
        store(dataset / name, phantom() ** power, AFFINE, "RAS", "float")
    options = {"dataset": str(dataset), "scanner": "acq", "brain": "stripped", "registration": "none", "n4": False}
    return options | {"follow_up": {}}, tmp_path / "study"


def test_follow_ups_are_preprocessed_and_stand_in_the_sheet(followed_up):
    options, folder = followed_up
    settled = json.loads(json.dumps(source("bids").settle(options)))
    assert source("bids").plan(settled) == source("bids").plan(options)
    sheet = source("bids").prepare(settled, "01", folder)
    read = read_sheet(sheet)
    assert [(scan.name, scan.time, scan.covariates["age"]) for scan in read.every] == [
        ("sub-01_scanner-a", 0, "71"),
        ("sub-01_scanner-b", 0, "71"),
        ("sub-01_scanner-b_session-2", 2.0014, "73"),
    ]
    assert [scan.time for scan in read.follow_ups] == [2.0014]
    assert contrasts(sheet) == pytest.approx([1, 2, 3], rel=1e-3)


def test_whose_first_scans_all_failed_has_no_follow_up_either(followed_up, monkeypatch):
    options, folder = followed_up
    do = scan_steps.register

    def register(image_file, *others):
        if "ses-1" in image_file.name:
            raise InputError("its brain was not found")
        do(image_file, *others)

    monkeypatch.setattr(scan_steps, "register", register)
    take_steps("bids", options, source("bids").plan(options), folder)
    with pytest.raises(InputError, match="none of the first scans can be used .a: its brain was not found; b: "):
        source("bids").prepare(options, "01", folder)


def test_a_rescan_takes_the_place_of_a_scan_that_failed(rescanned_twice, tmp_path, monkeypatch):
    options, folder = rescanned_twice
    do = scan_steps.register

    def register(image_file, *others):
        if "run-1" in image_file.name:
            raise InputError("its brain was not found")
        do(image_file, *others)

    monkeypatch.setattr(scan_steps, "register", register)
    planned = source("bids").plan(options)
    failed = take_steps("bids", options, planned, folder)
    assert {scan.words: why for scan, why in failed.items()} == {"subject 01 on scanner a": "its brain was not found"}
    sheet = source("bids").prepare(options, "01", folder)
    read = read_sheet(sheet)
    assert [(scan.name, scan.session) for scan in read.every] == [
        ("sub-01_scanner-a", "2"),
        ("sub-01_scanner-b", "1"),
        ("sub-01_scanner-a_session-3", "3"),
    ]
    assert contrasts(sheet) == pytest.approx([2, 4, 3], rel=1e-3)
    # back to the grid of the image that it is, which is the rescan's
    images = tmp_path / "images"
    save_image(images / "sub-01_scanner-a_T1w.nii.gz", read.scans[0].read(), AFFINE)
    (back,) = take_back(images, folder, tmp_path / "native")
    np.testing.assert_array_equal(load_image(back)[0], read.scans[0].read())
    # what failed and what didn't stays told under the session that it is
    main(["quality", str(folder), "--out", str(folder / "quality.tsv"), "--scans", "01:a", "01:a:2", "01:a:3", "01:b"])
    told = read_table(folder / "quality.tsv")
    assert list(told["session"]) == ["", "2", "3", ""]
    assert list(told["status"]) == ["failed", "ok", "ok", "ok"]
    assert "| 01 | a | 3 |" in (folder / "quality.md").read_text(encoding="utf-8")


def test_a_step_of_a_rescan_by_hand(rescanned_twice, tmp_path):
    options, folder = rescanned_twice
    (tmp_path / "options.json").write_text(json.dumps(options))
    words = ["step", "register", "--source", "bids", "--options", str(tmp_path / "options.json"), "--out", str(folder)]
    record = tmp_path / "ended.json"
    main([*words, "--status", str(record), "--scan", "01", "a", "3"])
    assert json.loads(record.read_text())["status"] == "ok"
    assert StudyFolder(folder).native_mask("sub-01_scanner-a_session-3").is_file()
    main([*words, "--status", str(record), "--scan", "01", "a", "4"])
    assert "no scan of subject 01 on scanner a, session 4" in json.loads(record.read_text())["reason"]
    for ids in (["01"], ["01", "a", "2", "3"]):
        with pytest.raises(InputError, match="give SUBJECT SCANNER, and the SESSION of a rescan"):
            main([*words, "--scan", *ids])
    with pytest.raises(InputError, match="--scans 01: give SUBJECT:SCANNER"):
        main(["quality", str(folder), "--out", str(tmp_path / "q.tsv"), "--scans", "01"])


def test_a_flipped_bit_of_a_warp_is_refused_by_name(tmp_path):
    """ITK read 40 of 40 without a word."""
    save_image(tmp_path / "warp.nii.gz", phantom(), AFFINE)
    transforms = Transforms.of_folder(tmp_path)
    assert transforms.to_atlas() == [str(tmp_path / "warp.nii.gz")]
    content = bytearray((tmp_path / "warp.nii.gz").read_bytes())
    content[-6] ^= 4  # of the checksum: a bit among the voxels' may be one that says nothing
    (tmp_path / "warp.nii.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"warp\.nii\.gz: cannot be read"):
        transforms.to_atlas()


@pytest.mark.slow
def test_the_t2w_of_a_head_that_moved_is_laid_on_it(tmp_path):
    """Found within half a millimeter of a known turn and shift, on voxels of 2 mm, noise and skull included."""
    head, affine, brain = whole_head()
    t2 = np.where(head > 20, 260 - head, head)
    t2 = (t2 + np.random.default_rng(1).normal(0, 4, head.shape)).astype(np.float32)
    moved = np.eye(4)
    moved[:3, :3] = rotation((3, -2, 4))
    moved[:3, 3] = [4, -3, 5]
    grid = arrays.Grid(head.shape, affine)
    rigid = register_beside(t2, moved @ affine, head, brain, grid, tmp_path / "rigid.mat")
    inner = ndimage.binary_erosion(brain, iterations=4)
    unlike = Transforms(tmp_path / "none", tmp_path / "none", tmp_path / "none")
    places = nib.affines.apply_affine(affine, np.moveaxis(np.indices(head.shape), 0, -1)).astype(np.float32)
    off, before = (
        np.sqrt(
            sum(
                (carry(places[..., axis], moved @ affine, way, grid) - places[..., axis])[inner] ** 2
                for axis in range(3)
            )
        )
        for way in (rigid, unlike)
    )
    assert off.max() < 0.5
    assert before.min() > 1


@pytest.fixture(scope="module", params=["affine", "none"])
def with_t2(request, tmp_path_factory):
    """One made-up person on two scanners, of which the first has a T2w image too, moved, with a bias field."""
    folder = tmp_path_factory.mktemp("with-t2")
    dataset = make_dataset(folder / "set", t1w("01", "a"), t1w("01", "b"), t2w("01", "a"))
    blob = (AXES[0] - 0.3) ** 2 + AXES[1] ** 2 + (AXES[2] + 0.2) ** 2 < 0.03
    image = np.where(blob, 0.4, phantom()).astype(np.float32)
    save_image(folder / "atlas.nii.gz", image, AFFINE)
    moved = AFFINE.copy()
    moved[:3, :3] = rotation((3, -4, 5)) @ AFFINE[:3, :3]
    moved[:3, 3] += [5, -6, 3]
    for seed, name in enumerate("ab"):
        noisy = 300 * image + 5 * np.random.default_rng(seed).standard_normal(BRAIN.shape)
        store(dataset / t1w("01", name), np.where(BRAIN, noisy, 0).astype(np.float32), AFFINE, "LIA", "int16")
    other = np.where(BRAIN, 1.5 - image, 0) * np.exp(0.1 * AXES[1]) * 400
    store(dataset / t2w("01", "a"), other.astype(np.float32), moved, "PSR", "float")
    options = {
        "dataset": str(dataset),
        "scanner": "ses",
        "t2": True,
        "voxel_size_mm": 4,
        "brain": "stripped",
        "registration": request.param,
        **({"atlas": {"image": str(folder / "atlas.nii.gz")}} if request.param == "affine" else {}),
    }
    source("bids").check(options)
    return folder / "study", source("bids").prepare(options, "01", folder / "study")


@pytest.mark.slow
def test_a_t2w_image_lies_on_its_scan(with_t2):
    folder, sheet = with_t2
    assert list(pd.read_csv(sheet, sep="\t", keep_default_na=False)["t2"]) == ["sub-01_scanner-a_T2w.nii.gz", "n/a"]
    first, second = read_sheet(sheet).scans
    assert second.read_t2() is None
    image, t2 = first.read(), first.read_t2()
    stored, affine = load_image(first.t2)
    mask, _ = load_mask(first.mask)
    assert stored.shape == image.shape
    np.testing.assert_array_equal(affine, first.affine)
    assert (stored[~mask] == 0).all()
    assert stored[mask].mean() == pytest.approx(1, abs=1e-3)
    inner = ndimage.binary_erosion(mask, iterations=1)
    lies = correlation(t2[inner], -image[inner])
    aside = [correlation(np.roll(t2, 1, axis)[inner], -image[inner]) for axis in range(3)]
    assert lies > 0.93
    assert lies > max(aside) + 0.05
    assert not StudyFolder(folder).preprocessed("sub-01_scanner-b", "T2w.nii.gz").exists()


def test_a_t2w_image_that_cannot_be_used_is_refused_by_name(tmp_path):
    dataset = make_dataset(tmp_path / "set", t1w("01", "a"))
    store(dataset / t1w("01", "a"), phantom(), AFFINE, "RAS", "float")
    store(dataset / t2w("01", "a"), np.full(BRAIN.shape, 3, np.float32), AFFINE, "RAS", "float")
    options = {"dataset": str(dataset), "scanner": "ses", "brain": "stripped", "registration": "none", "n4": False}
    source("bids").check(options)
    with pytest.raises(InputError, match=r"sub-01_ses-a_T2w\.nii\.gz: 3 everywhere"):
        source("bids").check(options | {"t2": True})
