"""Greedy's warps: in ITK's convention, undone by their inverse, the same bytes twice. On made-up texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from core.statistics import correlation
from studies.preprocessing.arrays import Grid, load_ants, to_ants
from studies.preprocessing.atlas import Atlas
from studies.preprocessing.greedy import find_warps
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.registration import Transforms, carry, carry_back, register_brain
from tests.support.travelling import rotation

pytest.importorskip("picsl_greedy", reason="the extra greedy isn't installed")

MM = 4.0
GRID = Grid((32, 36, 28), np.array([[MM, 0, 0, -60], [0, MM, 0, -75], [0, 0, MM, -50], [0, 0, 0, 1]]))
NATIVE = Grid((36, 38, 34), np.array([[MM, 0, 0, -70], [0, MM, 0, -66], [0, 0, MM, -60], [0, 0, 0, 1]]))
INNER = tuple(slice(7, -7) for _ in range(3))


def places(grid: Grid) -> np.ndarray:
    """Where a grid's voxels lie in mm, (X, Y, Z, 3)."""
    return nib.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))


@dataclass(frozen=True)
class Known:
    """A texture on its native grid and, `fixed`, as the atlas shows it; `matrix` after `shift` leads from the
    atlas's places to the native ones, all in mm (RAS)."""

    native: np.ndarray
    fixed: np.ndarray
    matrix: np.ndarray
    shift: np.ndarray


@pytest.fixture(scope="module")
def known() -> Known:
    native = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=NATIVE.shape), 1.5).astype(np.float32)
    native = native / native.std() + 5
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((3, -5, 8))
    matrix[:3, 3] = (4, -6, 3)
    there = places(GRID)
    # another size, sign and direction along each axis, so that no two can be mistaken for one another
    shift = np.stack(
        [5 * np.sin(there[..., 1] / 25), -3 * np.cos(there[..., 2] / 20), 2 + 2 * np.sin(there[..., 0] / 30)], axis=-1
    )
    voxels = nib.affines.apply_affine(np.linalg.inv(NATIVE.affine) @ matrix, there + shift)
    fixed = ndimage.map_coordinates(native, np.moveaxis(voxels, -1, 0), order=3, mode="nearest")
    return Known(native, fixed.astype(np.float32), matrix, shift)


def find(known: Known, folder: Path) -> Transforms:
    ants, flip = load_ants(), np.diag([-1.0, -1.0, 1.0])
    found = Transforms.of_folder(folder)
    # ITK turns about a center of its own, and its places are LPS
    center = np.array([10.0, -20.0, 5.0])
    turn = flip @ known.matrix[:3, :3] @ flip
    shift = flip @ known.matrix[:3, 3] - center + turn @ center
    made = ants.create_ants_transform(
        transform_type="AffineTransform", parameters=[*turn.ravel(), *shift], fixed_parameters=list(center)
    )
    ants.write_transform(made, str(found.affine))
    fixed, moving = to_ants(known.fixed, GRID.affine), to_ants(known.native, NATIVE.affine)
    find_warps(fixed, moving, found.affine, found.warp, found.inverse_warp, 1)
    return found


@pytest.fixture(scope="module")
def found(known, tmp_path_factory) -> Transforms:
    return find(known, tmp_path_factory.mktemp("a folder"))


def test_every_place_lands_where_it_was_put(known, found):
    wanted = nib.affines.apply_affine(known.matrix, places(GRID) + known.shift)
    linear = nib.affines.apply_affine(known.matrix, places(GRID))
    for axis in range(3):
        lands = carry(places(NATIVE)[..., axis].astype(np.float32), NATIVE.affine, found, GRID)
        off = np.abs(lands - wanted[..., axis])[INNER].mean()
        assert off < 0.2 * np.abs(linear - wanted)[INNER][..., axis].mean()


def test_the_inverse_undoes_it(found):
    for axis in range(3):
        ramp = places(NATIVE)[..., axis].astype(np.float32)
        there = carry(ramp, NATIVE.affine, found, GRID)
        back = carry_back(there, GRID, found, NATIVE)
        assert np.abs(back - ramp)[tuple(slice(11, -11) for _ in range(3))].mean() < 0.05 * MM


def test_the_same_scan_gives_the_same_bytes(known, found, tmp_path):
    again = find(known, tmp_path)
    assert again.warp.read_bytes() == found.warp.read_bytes()
    assert again.inverse_warp.read_bytes() == found.inverse_warp.read_bytes()


def test_a_brain_is_registered_with_it(known, tmp_path):
    distance = np.linalg.norm(places(GRID) - places(GRID).mean(axis=(0, 1, 2)), axis=-1)
    atlas = Atlas(np.where(distance < 45, known.fixed, 0).astype(np.float32), distance < 45, GRID)
    brain = np.where(native_mask(known, atlas), known.native, 0).astype(np.float32)
    options = PreprocessOptions(voxel_size_mm=MM, registration="greedy")
    both = register_brain(brain, NATIVE.affine, atlas, options, tmp_path / "transforms")
    affine_only = Transforms(both.affine, tmp_path / "none", tmp_path / "none")
    similar = [
        correlation(carry(known.native, NATIVE.affine, way, GRID)[atlas.mask], atlas.image[atlas.mask])
        for way in (affine_only, both)
    ]
    assert 1 - similar[1] < 0.7 * (1 - similar[0])
    assert sorted(path.name for path in (tmp_path / "transforms").iterdir()) == [
        "affine.mat",
        "inverse_warp.nii.gz",
        "warp.nii.gz",
    ]


def native_mask(known: Known, atlas: Atlas) -> np.ndarray:
    """Roughly the atlas's mask on the native grid, bool, by the matrix alone."""
    voxels = np.linalg.inv(GRID.affine) @ np.linalg.inv(known.matrix) @ NATIVE.affine
    return ndimage.affine_transform(atlas.mask.astype(np.float32), voxels[:3, :3], voxels[:3, 3], NATIVE.shape) > 0.5
