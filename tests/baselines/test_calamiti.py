"""CALAMITI: what its networks keep apart, and that a killed training gives the same bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines._calamiti import CONTRASTS, Disentangled, both_contrasts, gumbel_one_hot
from baselines.calamiti import Calamiti
from baselines.interface import Context
from core.sheet import read_sheet
from core.study import Study
from tests.support.killed_training import killed_in
from tests.support.made_up_study import write_study

TINY = {"preset": "demo", "beta_width": 2, "width": 2, "epochs": 3, "batch": 24}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Four people on three scanners, each with both contrasts."""
    return read_sheet(write_study(tmp_path_factory.mktemp("t2"), subjects=4, t2=True), scale="brain")


@pytest.fixture(scope="module")
def trained(study) -> Calamiti:
    """Trained for some seconds."""
    method = Calamiti(Calamiti.Parameters(preset="demo", epochs=18), Context(device="cpu", threads=2))
    method.fit(study)
    return method


def units(method: Calamiti, scan) -> tuple[torch.Tensor, torch.Tensor]:
    """A scan's slices as the networks see them, and their masks."""
    mask = scan.read_mask()
    image = scan.read() / np.float32(method.unit(scan.read()[mask]))
    kept = mask.any(axis=(0, 1))
    return tuple(torch.from_numpy(np.moveaxis(v, 2, 0)[kept].astype(np.float32))[:, None] for v in (image, mask))


def theta(method: Calamiti, scan) -> np.ndarray:
    """A scan's mean theta."""
    with torch.no_grad():
        return method._network.contrast_of(*units(method, scan))[0].mean(dim=0).numpy()


def beta(method: Calamiti, scan) -> np.ndarray:
    """A scan's anatomy, a class a voxel of its brain."""
    slices, mask = units(method, scan)
    with torch.no_grad():
        return method._network.beta(slices, mask).argmax(dim=1)[mask[:, 0] > 0].numpy()


def told_apart(features: np.ndarray, scanners: np.ndarray, people: np.ndarray) -> float:
    """The share of scans whose scanner is that of the nearest mean of the other people's, by their spread within."""
    right = 0
    for place, person in enumerate(people):
        others = people != person
        means = {name: features[others & (scanners == name)].mean(axis=0) for name in set(scanners)}
        within = np.stack([features[at] - means[scanners[at]] for at in np.flatnonzero(others)])
        inverse = np.linalg.pinv(np.cov(within.T))
        away = {name: (features[place] - mean) @ inverse @ (features[place] - mean) for name, mean in means.items()}
        right += min(away, key=away.__getitem__) == scanners[place]
    return right / len(people)


@pytest.mark.slow
def test_theta_knows_the_scanner_and_beta_does_not(trained, study):
    scanners = np.array([scan.scanner for scan in study.scans])
    people = np.array([scan.subject for scan in study.scans])
    by_theta = told_apart(np.stack([theta(trained, scan) for scan in study.scans]), scanners, people)
    # of anatomy what could tell: how much of each class there is
    counts = [np.bincount(beta(trained, scan), minlength=5)[:4] for scan in study.scans]
    by_beta = told_apart(np.stack(counts), scanners, people)
    # chance is 1/3
    assert by_theta > 0.6
    assert by_theta > by_beta


@pytest.mark.slow
def test_beta_is_one_over_a_persons_scanners(trained, study):
    agreement = []
    for person in study.subjects:
        first, *others = (beta(trained, scan) for scan in study.of_subject(person))
        agreement += [float((first == other).mean()) for other in others]
    strangers = [
        float((beta(trained, one)[:2000] == beta(trained, other)[:2000]).mean())
        for one, other in zip(study.of_scanner("Alpha")[:-1], study.of_scanner("Alpha")[1:], strict=True)
    ]
    # the Dice of all classes together, of maps of one brain
    assert np.mean(agreement) > 0.8
    assert np.mean(agreement) > np.mean(strangers) + 0.05


@pytest.mark.slow
def test_scans_come_nearer_to_each_other_and_keep_their_anatomy(trained, study):
    before, after, kept = [], [], []
    for person in study.subjects:
        scans = study.of_subject(person)
        mask = scans[0].read_mask()
        own, made = (
            [image[mask] for image in images]
            for images in zip(*((s.read(), trained.transform(s)) for s in scans), strict=True)
        )
        before.append(np.mean([np.abs(own[0] - other).mean() for other in own[1:]]))
        after.append(np.mean([np.abs(made[0] - other).mean() for other in made[1:]]))
        kept += [np.corrcoef(a, b)[0, 1] for a, b in zip(own, made, strict=True)]
    assert np.mean(after) < np.mean(before)
    assert np.mean(kept) > 0.7


def test_anatomy_is_drawn_by_chance_and_has_a_gradient():
    logits = torch.tensor([2.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 60, 60).clone().requires_grad_()
    drawn = gumbel_one_hot(logits, torch.rand(1, 3, 60, 60, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(drawn.detach().sum(dim=1).round(), torch.ones(1, 60, 60))
    # Gumbel's noise makes it a draw from the softmax
    shares = drawn.detach().mean(dim=(0, 2, 3))
    torch.testing.assert_close(shares, logits[0, :, 0, 0].softmax(dim=0).detach(), atol=0.03, rtol=0)
    drawn[:, 0].sum().backward()
    assert logits.grad.abs().sum() > 0


def test_nothing_outside_the_brain_counts():
    network = Disentangled(Calamiti.Parameters(**TINY), seed=0)
    slices, mask = torch.rand(2, 1, 16, 24), torch.zeros(2, 1, 16, 24)
    mask[..., 4:12, 4:16] = 1
    drawn = network.draw(network.beta(slices * mask, mask), torch.tensor([[0.0, 1.0], [2.0, 0.0]]), mask)
    assert not drawn[mask == 0].any()
    assert torch.equal(network(7 * slices.ge(0) * mask, mask), network(5 * slices.ge(0) * mask, mask))


def test_pairs_are_of_scans_with_both_contrasts(study):
    some = Study((dataclasses.replace(study.scans[0], t2=None), *study.scans[1:]))
    pairs, scanners = both_contrasts(some)
    assert pairs.scanners == list(CONTRASTS)
    assert len(scanners) == len(pairs.subjects) == 11
    assert sorted(scanners.values()).count("Alpha") == 3
    lone = Calamiti(Calamiti.Parameters(preset="demo", target="Alpha"))
    without = Study(tuple(dataclasses.replace(s, t2=None if s.scanner == "Alpha" else s.t2) for s in study.scans))
    assert lone.not_applicable(without) == "no scan of the target scanner Alpha has a T2-weighted image"
    assert Calamiti().default_target(without) == "Beta 2"


def saved(study: Study, folder: Path, **context) -> dict[str, bytes]:
    method = Calamiti(Calamiti.Parameters(**TINY), Context(seed=3, device="cpu", **context))
    method.fit(study)
    folder.mkdir()
    method.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_neither_threads_nor_a_kill_change_a_byte(study, tmp_path, monkeypatch):
    few = study.select(["01", "02"])
    undisturbed = saved(few, tmp_path / "one")
    assert saved(few, tmp_path / "two", threads=2) == undisturbed
    killed_in(monkeypatch, 3, lambda: saved(few, tmp_path / "killed", checkpoint=tmp_path / "checkpoint"))
    assert saved(few, tmp_path / "resumed", checkpoint=tmp_path / "checkpoint") == undisturbed
