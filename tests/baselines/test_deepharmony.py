"""DeepHarmony: network, orientations, a contrast learned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from baselines.deepharmony import DeepHarmony
from baselines.interface import Context
from baselines.mica import Mica
from core.errors import InputError
from core.study import Study
from tests.support.killed_training import killed_in
from tests.support.made_up_study import made_up_brain
from tests.support.methods import brain, fitted, write_scans


@pytest.fixture(scope="module")
def contrasts(tmp_path_factory):
    """Four people on two scanners, without noise: the target's image is a bent, not increasing map of the other's."""
    images, masks = {}, {}
    for number in range(4):
        subject = f"{number + 1:02d}"
        labels, masks[subject] = made_up_brain(number)
        true = gaussian_filter(np.array([0, 0.4, 0.9, 1.3])[labels], 0.6)
        images[subject, "target"] = 1.2 - np.abs(true - 0.8)
        images[subject, "other"] = true
    return write_scans(tmp_path_factory.mktemp("contrasts"), images, masks)


@pytest.fixture(scope="module")
def deepharmony(contrasts):
    parameters = DeepHarmony.Parameters(width=8, epochs=20, batch=4, learning_rate=5e-3)
    return fitted(DeepHarmony(parameters, Context(device="cpu")), contrasts.select(["01", "02", "03"]))


@pytest.mark.slow
def test_deepharmony_gives_a_new_person_the_targets_contrast(deepharmony, contrasts):
    other, target = contrasts.find("04", "other"), contrasts.find("04", "target")
    np.testing.assert_array_equal(deepharmony.transform(target), target.read())
    wanted = brain(target.read(), target)
    before = np.abs(brain(other.read(), other) - wanted).mean()
    after = np.abs(brain(deepharmony.transform(other), other) - wanted).mean()
    assert after < 0.3 * before
    assert deepharmony.errors[0][-1] < 0.3 * deepharmony.errors[0][0]
    # what no increasing map of intensities does: mica, though it's given the answer's histogram
    mica = fitted(Mica(Mica.Parameters(target="target")), contrasts)
    assert after < 0.5 * np.abs(brain(mica.transform(other), other) - wanted).mean()


def test_deepharmonys_network_and_loss():
    import torch

    from baselines._deepharmony import Network, PairLearning
    from mispel.passes import run_step

    network = Network(3, seed=1)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.weight[0, -1] = 1
    slices = torch.rand(2, 1, 8, 12)
    # the input joins the feature maps as the last channel
    np.testing.assert_array_equal(network(slices).detach(), slices)
    volume = np.random.default_rng(0).random((8, 12, 4), np.float32)
    learning = PairLearning(
        network,
        [volume],
        [volume + np.float32(0.25)],
        2,
        number=1,
        title="test",
        epochs=1,
        batch=4,
        learning_rate=1e-9,
        device=torch.device("cpu"),
    )
    assert [row["total"] for row in run_step(learning, seed=0).history] == [pytest.approx(0.25, abs=1e-5)]
    again = Network(3, seed=1)
    other = Network(3, seed=2)
    assert torch.equal(again.last.weight, Network(3, seed=1).last.weight)
    assert not torch.equal(again.last.weight, other.last.weight)


def test_deepharmonys_orientations_and_threads(contrasts):
    parameters = DeepHarmony.Parameters(width=2, epochs=1, orientations="three")
    pair = contrasts.select(["01", "02"])
    scan = contrasts.find("03", "other")
    arm = fitted(DeepHarmony(parameters, Context(device="cpu")), pair)
    assert arm.axes == [0, 1, 2]
    assert len(arm.networks) == 3
    image = arm.transform(scan)
    single = []
    for axis, network in enumerate(arm.networks):
        one = DeepHarmony(parameters, Context(device="cpu"))
        one.target, one.sources, one.edges = arm.target, arm.sources, arm.edges
        one.axes, one.networks = [axis], [network]
        single.append(one.transform(scan))
    np.testing.assert_array_equal(image, np.median(single, axis=0))
    threaded = fitted(DeepHarmony(parameters, Context(device="cpu", threads=2)), pair)
    np.testing.assert_array_equal(threaded.transform(scan), image)


def test_deepharmony_says_where_it_cannot_be_used(contrasts, deepharmony):
    apart = Study((contrasts.find("01", "target"), contrasts.find("02", "other")))
    assert DeepHarmony().not_applicable(apart) == "nobody was scanned on both other and the target scanner target"
    with pytest.raises(InputError, match="no scanner 'targt'.*did you mean 'target'"):
        DeepHarmony(DeepHarmony.Parameters(target="targt")).not_applicable(contrasts)
    with pytest.raises(ValueError, match="epochs is 0"):
        DeepHarmony.Parameters(epochs=0)


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(*[st.integers(3, 11)] * 3), seed=st.integers(0, 99))
def test_boxes_cut_and_paste(shape, seed):
    from baselines._deepharmony import aligned_box
    from core.boxes import cut, paste

    generator = np.random.default_rng(seed)
    mask = generator.random(shape) < 0.1
    mask[tuple(size // 2 for size in shape)] = True
    image = np.where(mask, generator.random(shape, np.float32), 0)
    box = aligned_box(mask)
    part = cut(image, box)
    assert all(size % 4 == 0 for size in part.shape)
    np.testing.assert_array_equal(paste(part, box, shape), image)


def test_a_killed_training_goes_on(contrasts, tmp_path, monkeypatch):
    def trained(**context) -> DeepHarmony:
        parameters = DeepHarmony.Parameters(width=2, epochs=3)
        return fitted(DeepHarmony(parameters, Context(device="cpu", **context)), contrasts)

    killed_in(monkeypatch, 3, lambda: trained(checkpoint=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"step1-00001.safetensors", "step1-00002.safetensors"}
    scan = contrasts.find("01", "other")
    np.testing.assert_array_equal(trained(checkpoint=tmp_path).transform(scan), trained().transform(scan))
