"""CycleGAN: what its networks see, that it learns a contrast from unpaired scans, and that it can be resumed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines._cyclegan import POOL, Discriminator, Generator, Pool, moved
from baselines.cyclegan import CycleGAN
from baselines.interface import Context
from tests.support.two_contrasts import two_contrasts

CPU = torch.device("cpu")


@pytest.mark.parametrize("field", [16, 34, 70])
def test_a_discriminator_sees_its_field(field):
    """A patch's verdict depends on so many voxels along each axis, and on no more."""
    judge = Discriminator(2, field, seed=0)
    # normalization would make every voxel count everywhere
    layers = torch.nn.Sequential(*(layer for layer in judge.layers if not isinstance(layer, torch.nn.InstanceNorm2d)))
    slices = torch.rand(1, 1, 128, 128, requires_grad=True)
    found = layers(slices)
    found[0, 0, found.shape[2] // 2, found.shape[3] // 2].backward()
    touched = slices.grad[0, 0].abs() > 0
    assert int(touched.any(dim=0).sum()) == int(touched.any(dim=1).sum()) == field


def test_a_generator_begins_as_the_identity_and_stays_in_the_brain():
    slices, mask = torch.rand(2, 1, 16, 16), (torch.rand(2, 1, 16, 16) > 0.5).float()
    generator = Generator(4, seed=1)
    assert torch.equal(generator(slices, mask), slices * mask)
    torch.nn.init.normal_(generator.network.last.weight)
    changed = generator(slices, mask)
    assert not torch.equal(changed, slices * mask)
    assert not changed[mask == 0].any()


def test_a_pool_hands_out_what_it_was_given():
    pool, random = Pool((2, 2), CPU), np.random.default_rng(0)
    first = torch.arange(POOL, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)
    assert torch.equal(pool.exchanged(first, random), first)
    later = first + 1000
    found = pool.exchanged(later, random)[:, 0, 0, 0]
    assert 10 < int((found < 1000).sum()) < 40
    assert set(found.tolist()) <= {*range(POOL), *range(1000, 1000 + POOL)}


def test_slices_that_are_not_moved_stay():
    slices, mask = torch.rand(3, 1, 12, 20), torch.ones(3, 1, 12, 20)
    same, near = moved(slices, mask, np.zeros(3), np.zeros((3, 2)))
    torch.testing.assert_close(same, slices)
    assert torch.equal(near, mask)
    # half a width to the left, which is what lies to the right
    shifted, _ = moved(slices, mask, np.zeros(3), np.tile([1.0, 0.0], (3, 1)))
    torch.testing.assert_close(shifted[..., :10], slices[..., 10:])
    quarter, _ = moved(slices, mask, np.full(3, np.pi / 2), np.zeros((3, 2)))
    # a turn in voxels, though the slice isn't square
    torch.testing.assert_close(quarter[..., 0:12, 4:16], torch.rot90(slices[..., 0:12, 4:16], 1, (2, 3)))


@pytest.mark.slow
def test_it_learns_a_contrast_from_different_people(tmp_path):
    study = two_contrasts(tmp_path)
    # with little weight on what holds it back: in a short training a discriminator wins otherwise
    settings = {"epochs": 60, "learning_rate": 2e-3, "field": 16, "cycle": 3.0, "identity": 0.0}
    method = CycleGAN(CycleGAN.Parameters(width=8, **settings), Context(device="cpu", threads=2))
    method.fit(study)

    def gray(scan) -> float:
        image = method.transform(scan)
        values = image[scan.read_mask()]
        white = scan.read()[scan.read_mask()] > (0.9 if scan.scanner == "A" else 0.75)
        return float(values[~white].mean() / values[white].mean())

    assert np.mean([gray(scan) for scan in study.of_scanner("A")]) == pytest.approx(0.8, abs=0.02)
    # 0.5 before
    assert np.mean([gray(scan) for scan in study.of_scanner("B")]) > 0.65
