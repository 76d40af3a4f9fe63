"""Simulated scanners on real brains: who is found, what is refused, and what a brain becomes."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform

from core.errors import InputError
from core.images import brain_mask, save_image, voxel_volume_ml
from core.sheet import read_sheet
from studies.simulation.atlas_maps import atlas_brain, undeformed_maps
from studies.simulation.atrophy import with_atrophy
from studies.simulation.real_people import SimulateOptions, check_person, find_people, make_anatomy, tissue_fractions
from studies.sources import source
from studies.sources.simulate import years_later


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def people_of(place):
    return find_people(SimulateOptions(anatomy=str(place)))


def test_a_bids_folder(tmp_path):
    put(
        tmp_path,
        "sub-02/anat/sub-02_T1w.nii",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
    )
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t71\nsub-02\tn/a\nsub-03\t70\n")
    found = people_of(tmp_path)
    assert [(person.subject, person.covariates) for person in found] == [("01", {"age": "71"}), ("02", {"age": "n/a"})]
    options = {"anatomy": str(tmp_path), "scanners": ["GE", "Trio"], "missing": [["02", "GE"]], "rescanned": 0}
    scans = source("simulate").plan(options)
    assert [(scan.subject, scan.scanner) for scan in scans] == [("01", "GE"), ("01", "Trio"), ("02", "Trio")]


def test_a_list(tmp_path):
    (tmp_path / "people.tsv").write_text("subject\timage\tage\n007\tbrains/a.nii.gz\t50\n")
    (person,) = people_of(tmp_path / "people.tsv")
    assert (person.subject, person.image, person.covariates) == ("007", tmp_path / "brains" / "a.nii.gz", {"age": "50"})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no sub-.*anat"),
        (
            ["sub-01/anat/sub-01_run-1_T1w.nii.gz", "sub-01/anat/sub-01_run-2_T1w.nii.gz"],
            "two T1w images of subject 01",
        ),
        (["sub-a;b/anat/sub-a;b_T1w.nii.gz"], "cannot be an id"),
    ],
)
def test_refused_folders(tmp_path, names, message):
    put(tmp_path, *names)
    with pytest.raises(InputError, match=message):
        people_of(tmp_path)


def test_refused_places(tmp_path):
    with pytest.raises(InputError, match="--config anatomy=FOLDER"):
        find_people(SimulateOptions())
    with pytest.raises(InputError, match="no such"):
        people_of(tmp_path / "absent")
    (tmp_path / "list.tsv").write_text("subject\timage\n01\ta.nii\n01\tb.nii\n")
    with pytest.raises(InputError, match="row 3: subject 01 stands there twice"):
        people_of(tmp_path / "list.tsv")


def test_a_head_with_its_skull_is_refused(tmp_path):
    put(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    (person,) = people_of(tmp_path)
    save_image(person.image, np.ones((40, 40, 40)), np.diag([5.0, 5.0, 5.0, 1.0]))
    with pytest.raises(InputError, match="8000 mL are above 0.*strip the skull"):
        check_person(person)


def test_the_brain_is_the_largest_part_without_holes():
    image = np.zeros((12, 12, 12))
    image[2:9, 2:9, 2:9] = 1
    image[5, 5, 5] = 0
    image[10, 10, 10] = 3
    mask = brain_mask(image)
    assert mask.sum() == 7**3
    with pytest.raises(InputError, match="no brain"):
        brain_mask(np.zeros((3, 3, 3)))


@pytest.fixture(scope="module")
def turned_atlas(tmp_path_factory):
    """The atlas's brain as if it were a person's: turned, moved, stretched, on 2 mm voxels in another orientation."""
    brain, affine = atlas_brain()
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    world = turn @ np.diag([1.05, 0.97, 1.0, 1.0])
    world[:3, 3] = [6.0, -9.0, 4.0]
    new_affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    new_affine[:3, 3] = [100.0, -130.0, -90.0]
    matrix = np.linalg.inv(affine) @ np.linalg.inv(world) @ new_affine
    moved = affine_transform(brain, matrix[:3, :3], matrix[:3, 3], output_shape=(100, 120, 100), order=1)
    path = tmp_path_factory.mktemp("person") / "brain.nii.gz"
    nib.save(nib.Nifti1Image((moved * 800).astype(np.float32), new_affine), path)
    return path


@pytest.mark.slow
def test_a_brain_becomes_anatomy(turned_atlas):
    anatomy = make_anatomy(*tissue_fractions(turned_atlas), 0, "01")
    fractions = anatomy.fractions()
    np.testing.assert_allclose(fractions.sum(axis=0), 1, atol=1e-5)
    # brought back onto the atlas, it lies on it
    atlas = undeformed_maps(anatomy.mask)
    assert np.corrcoef(atlas["ventricles"], fractions[0])[0, 1] > 0.2
    volumes = anatomy.volumes_ml()
    assert 1300 < sum(volumes.values()) < 1700
    assert sum(volumes.values()) == pytest.approx(anatomy.mask.sum() * voxel_volume_ml(anatomy.affine), rel=1e-4)
    from studies.simulation.atlas_maps import undeformed

    gm = undeformed("gm", 1)[anatomy.mask]
    assert np.corrcoef(gm, fractions[1])[0, 1] > 0.75


def shell():
    """Fractions (3, n) of a ball of white matter in a cortex in CSF, its mask, and where GM is cortex."""
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*(np.arange(-12.0, 13.0),) * 3, indexing="ij")))
    mask = radius < 11
    inside = radius[mask]
    deep = inside < 2
    labels = np.where(deep, 1, np.where(inside < 6, 2, np.where(inside < 9, 1, 0)))
    return np.eye(3, dtype=np.float32)[:, labels], mask, np.where(deep, 0.0, 1.0), inside


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 0.2))
def test_atrophy_takes_its_share_of_the_cortex_and_gives_it_to_csf(share):
    fractions, mask, cortex, inside = shell()
    found = with_atrophy(fractions, mask, cortex, share)
    lost = (fractions[1] - found[1]).sum(dtype=float)
    assert lost == pytest.approx(share * (fractions[1] * cortex).sum(), rel=1e-5, abs=1e-3)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    assert (found >= 0).all()
    assert (found[2] == fractions[2]).all()
    assert (found[:, inside < 2] == fractions[:, inside < 2]).all()


def test_atrophy_is_where_cortex_borders_csf():
    fractions, mask, cortex, inside = shell()
    lost = fractions[1] - with_atrophy(fractions, mask, cortex, 0.1)[1]
    outer, inner = (lost[(inside > low) & (inside < low + 1)].mean() for low in (8, 6))
    assert outer > 4 * inner > 0


def test_an_age_grows_with_the_years():
    assert years_later({"age": "71", "sex": "F"}, 1.5) == {"age": "72.5", "sex": "F"}
    assert years_later({"age": "n/a"}, 2) == {"age": "n/a"}
    assert years_later({}, 2) == {}


def test_follow_ups_of_real_brains_are_of_their_own_kind():
    assert SimulateOptions(follow_up={"cortex": 0.05}).made_follow_up().cortex == 0.05
    with pytest.raises(InputError, match="follow_up: unknown option 'severity'"):
        SimulateOptions(follow_up={"severity": 0.1})
    with pytest.raises(InputError, match="cortex: 0.5; give the share lost"):
        SimulateOptions(follow_up={"cortex": 0.5})


@pytest.mark.slow
def test_a_real_brain_followed_up(turned_atlas, tmp_path):
    people = tmp_path / "people.tsv"
    people.write_text(f"subject\timage\tage\n01\t{turned_atlas}\t70\n")
    given = {"anatomy": str(people), "scanners": ["GE"], "rescanned": 0, "follow_up": {"cortex": 0.1, "years": 3}}
    study = read_sheet(source("simulate").prepare(given, "01", tmp_path / "out"))
    first, later = (
        pd.read_csv(scan.file("truth_volumes"), sep="\t", index_col="tissue")["volume_ml"]
        for scan in (study.scans[0], study.follow_ups[0])
    )
    change = later - first
    assert -0.1 < change["GM"] / first["GM"] < -0.07
    assert change["CSF"] == pytest.approx(-change["GM"], rel=1e-3)
    assert change["WM"] == pytest.approx(0, abs=1e-2)
    assert study.follow_ups[0].covariates["age"] == "73"
