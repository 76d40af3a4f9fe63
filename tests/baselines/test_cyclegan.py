"""CycleGAN: what its networks see, that it learns a contrast from unpaired scans, and that it can be resumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines._cyclegan import POOL, Discriminator, Generator, Pool, moved
from baselines.cyclegan import CycleGAN
from baselines.interface import Context
from core.errors import InputError
from core.study import Study
from tests.support.methods import write_scans

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


def two_contrasts(folder: Path) -> Study:
    """Four people on each of two scanners, nobody on both: gray over white is 0.5 on one and 0.8 on the other."""
    random = np.random.default_rng(0)
    grid = np.indices((24, 24, 6))
    brain = np.square(grid - np.array([11.5, 11.5, 2.5])[:, None, None, None])
    mask = brain[0] + brain[1] < 100
    images, masks = {}, {}
    for person in range(8):
        scanner = "AB"[person % 2]
        white = np.square(grid[0] - 11.5 + random.normal()) + np.square(grid[1] - 11.5 + random.normal()) < 36
        gray = {"A": 0.8, "B": 0.5}[scanner]
        images[f"{person}", scanner] = np.where(white, 1.0, gray) + random.normal(0, 0.02, mask.shape)
        masks[f"{person}"] = mask
    return write_scans(folder, images, masks)


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


def saved(study: Study, folder: Path, **context) -> dict[str, bytes]:
    method = CycleGAN(CycleGAN.Parameters(width=2, epochs=3), Context(seed=3, device="cpu", **context))
    method.fit(study)
    folder.mkdir()
    method.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_neither_threads_nor_a_kill_change_a_byte(study, tmp_path, monkeypatch):
    undisturbed = saved(study, tmp_path / "one")
    assert saved(study, tmp_path / "two", threads=2) == undisturbed
    from mispel import passes

    real = passes._run_epoch

    def killed(step, epoch, **more):
        if epoch == 3:
            raise KeyboardInterrupt
        return real(step, epoch, **more)

    monkeypatch.setattr(passes, "_run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        saved(study, tmp_path / "killed", checkpoint=tmp_path / "checkpoint")
    monkeypatch.undo()
    assert list((tmp_path / "checkpoint").glob("step1-00002.*"))
    assert saved(study, tmp_path / "resumed", checkpoint=tmp_path / "checkpoint") == undisturbed
    assert not (tmp_path / "checkpoint").exists()


def test_a_target_and_numbers_that_cannot_be(study):
    with pytest.raises(InputError, match="no scanner 'Gama'.*did you mean 'Gamma'"):
        CycleGAN(CycleGAN.Parameters(preset="demo", target="Gama")).fit(study)
    with pytest.raises(ValueError, match="width is 0"):
        CycleGAN.Parameters(width=0)


def test_an_unheard_of_scanner_is_brought_to_the_target_too(study, tmp_path):
    method = CycleGAN(CycleGAN.Parameters(width=2, epochs=1), Context(device="cpu"))
    method.fit(study)
    scan = study.scans[1]
    other = dataclasses.replace(scan, scanner="Unheard-of")
    np.testing.assert_array_equal(method.transform(other), method.transform(scan))
