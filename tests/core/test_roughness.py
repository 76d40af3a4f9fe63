"""Roughness against arithmetic by hand, and its behavior under scale, blur and noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from core.roughness import roughness

VOXEL_MM = 2.0


@pytest.fixture
def head():
    """A ball of two tissues with noise, (X, Y, Z), and its mask."""
    places = np.indices((40, 44, 42)) - np.array([20, 22, 21])[:, None, None, None]
    distance = np.sqrt(np.square(places).sum(axis=0))
    noise = np.random.default_rng(1).normal(0, 0.05, distance.shape)
    mask = distance < 18
    return np.where(mask, np.where(distance < 12, 1.2, 0.8) + noise, 0).astype(np.float32), mask


def test_is_the_deviation_from_the_neighbors_mean(head):
    image, mask = head
    differences = []
    for x, y, z in np.argwhere(mask):
        cube = np.s_[x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2]
        if mask[cube].all():
            differences.append(image[x, y, z] - image[cube].mean(dtype=float))
    assert roughness(image, mask) == pytest.approx(np.std(differences) / image[mask].mean(dtype=float), rel=1e-6)


def test_a_factor_of_scale_does_not_change_it(head):
    image, mask = head
    for factor in (0.01, 700.0):
        assert roughness(image * np.float32(factor), mask) == pytest.approx(roughness(image, mask), rel=1e-5)


def test_what_lies_outside_the_mask_does_not_count(head):
    image, mask = head
    assert roughness(np.where(mask, image, 1e3), mask) == pytest.approx(roughness(image, mask), rel=1e-9)


def test_falls_with_every_blur(head):
    """A blur inside the mask, of 0 to 6 mm full width at half maximum."""
    image, mask = head
    found = [roughness(image, mask)]
    for width in np.arange(1, 7):
        sigma = width / math.sqrt(8 * math.log(2)) / VOXEL_MM
        weights = ndimage.gaussian_filter(mask.astype(float), sigma)
        blurred = ndimage.gaussian_filter(image.astype(float), sigma) / np.where(mask, weights, 1)
        found.append(roughness(np.where(mask, blurred, 0), mask))
    assert (np.diff(found) < 0).all()
    assert found[-1] < found[0] / 3


def test_white_noise_gives_its_own_deviation():
    """Of a voxel minus the mean of 27 with itself in it, the variance is 26/27 of the noise's."""
    image = np.random.default_rng(2).normal(10, 1, (50, 50, 50))
    expected = math.sqrt(26 / 27) / 10
    assert roughness(image, np.ones(image.shape, dtype=bool)) == pytest.approx(expected, rel=0.02)


def test_flat_images_and_slopes_are_not_rough():
    mask = np.ones((9, 9, 9), dtype=bool)
    assert roughness(np.full(mask.shape, 3.0), mask) == pytest.approx(0, abs=1e-12)
    assert roughness(1.0 + np.indices(mask.shape).sum(axis=0), mask) == pytest.approx(0, abs=1e-12)


def test_without_an_inner_voxel_or_a_positive_mean_there_is_none(head):
    image, mask = head
    thin = np.zeros_like(mask)
    thin[20:22] = mask[20:22]
    assert math.isnan(roughness(image, thin))
    assert math.isnan(roughness(image, np.zeros_like(mask)))
    assert math.isnan(roughness(image - 2, mask))
