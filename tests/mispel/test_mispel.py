"""MISPEL: network, losses, slices, training, and the saved model."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.harness.applying import apply_method
from baselines.harness.fitting import fit_method
from baselines.harness.parameters import make_parameters
from baselines.interface import Context
from core.errors import Caution, InputError
from core.images import load_image, save_image, save_labels
from core.sheet import read_sheet
from core.study import Study
from mispel.batches import Batches, shuffled_batches
from mispel.collapse import OutputWatch, check_losses
from mispel.compute import working_threads
from mispel.embedding_cache import build_cache
from mispel.errors import TrainingError
from mispel.losses import LossWeights, coupling_loss, harmonization_loss, reconstruction_loss
from mispel.method import Mispel
from mispel.model import load_model
from mispel.network import decode, enlarged, enlarging_kernel, new_encoder
from mispel.parameters import PRESETS, Parameters
from mispel.passes import run_step
from mispel.plain_port import PlainEncoder, PlainMispel, plain_cut
from mispel.slices import Box, Grid, axial_axis, build_store, common_box, from_slices, to_slices
from mispel.steps import DecoderFitting
from mispel.training import train
from tests.support.mispel_data import AFFINE, make_study, write_study

TINY = {
    "width": 4,
    "embeddings": 3,
    "step1_epochs": 2,
    "step2_epochs": 2,
    "precision": "float32",
    "learning_rate": 3e-3,
}
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def store(study, tmp_path_factory):
    return build_store(study, tmp_path_factory.mktemp("store"), outside="zero")


@pytest.fixture(scope="session")
def fitted(study):
    arm = Mispel(Parameters(**TINY), Context(seed=3, device="cpu"))
    arm.fit(study)
    return arm


def fit_tiny(store, folder, *, threads=1, seed=3, **changes):
    parameters = Parameters(**(TINY | changes))
    return train(store, parameters, seed=seed, threads=threads, device=CPU, folder=folder)


def random_batch(scanners=4, embeddings=3, slices=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(slices, scanners, 8, 12, generator=generator)
    made = torch.randn(slices, scanners, embeddings, 8, 12, generator=generator)
    return images, made, torch.ones(slices, scanners)


# the network


def test_encoder_is_the_published_one():
    encoder = new_encoder(width=32, embeddings=6, seed=0)
    assert sum(weights.numel() for weights in encoder.parameters()) == 518_854
    plain = PlainEncoder(32, 6)
    for target, source in zip(plain.parameters(), encoder.parameters(), strict=True):
        target.data.copy_(source.data)
    slices = torch.rand(2, 1, 16, 24)
    torch.testing.assert_close(encoder(slices), plain(slices), rtol=1e-4, atol=1e-5)


@given(height=st.integers(1, 7), width=st.integers(1, 7), channels=st.tuples(st.integers(1, 3), st.integers(1, 3)))
@settings(deadline=None, max_examples=20)
def test_enlarging_within_the_convolution_is_exact(height, width, channels):
    """Values and gradients are those of nearest neighbors before a 3x3 convolution, to the last digits of float64."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(*channels, kernel_size=3, padding=1).double()
    values = torch.randn(2, channels[0], height, width, dtype=torch.float64, requires_grad=True)
    plainly = layer(torch.nn.functional.interpolate(values, scale_factor=2, mode="nearest"))
    made = enlarged(values, enlarging_kernel(layer.weight), layer.bias)
    torch.testing.assert_close(made, plainly, rtol=1e-13, atol=1e-13)
    inputs = (values, layer.weight, layer.bias)
    shape = torch.randn_like(plainly)
    for mine, theirs in zip(*(torch.autograd.grad(out, inputs, shape) for out in (made, plainly)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_encoder_starts_glorot_uniform():
    weights = new_encoder(width=32, embeddings=6, seed=1).bottom.second.weight.detach()
    limit = math.sqrt(6 / (2 * 128 * 9))
    assert weights.abs().max() <= limit
    assert weights.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert not torch.equal(weights, new_encoder(width=32, embeddings=6, seed=2).bottom.second.weight)


def test_decoder_is_equation_1():
    _, embeddings, _ = random_batch()
    coefficients = torch.randn(4, 3)
    expected = (embeddings * coefficients[None, :, :, None, None]).sum(2)
    torch.testing.assert_close(decode(embeddings, coefficients), expected)
    torch.testing.assert_close(decode(embeddings, coefficients, relu=True), expected.clamp(min=0))


# the losses


def test_equation_5_on_constants():
    outputs = torch.arange(4.0).reshape(1, 4, 1, 1).expand(2, 4, 8, 8)
    assert harmonization_loss(outputs, torch.ones(2, 4)).item() == pytest.approx(10 / 6)


def test_losses_are_the_papers_sums():
    images, embeddings, present = random_batch()
    outputs = images.flip(-1)
    mae = (images - outputs).abs().mean((-2, -1))
    assert reconstruction_loss(images, outputs, present).item() == pytest.approx(mae.sum(1).mean().item())
    variance = embeddings.numpy().var(axis=1, ddof=0).mean()
    assert coupling_loss(embeddings, present).item() == pytest.approx(variance, rel=1e-5)
    pairs = [(outputs[:, i] - outputs[:, k]).abs().mean().item() for i, k in combinations(range(4), 2)]
    assert harmonization_loss(outputs, present).item() == pytest.approx(2 / (4 * 3) * sum(pairs), rel=1e-5)
    one, two, five = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(5.0)
    *_, total = LossWeights.first_step(1.0, 0.3).losses(two, five, one)
    assert total.item() == pytest.approx(3.5)
    _, coupling, _, total = LossWeights.second_step(1.0, 4.0).losses(two, one, five)
    assert total.item() == pytest.approx(22)
    assert coupling.isnan()


@given(missing=st.integers(0, 3), rubbish=st.floats(-1e3, 1e3))
@settings(deadline=None, max_examples=20)
def test_a_missing_scan_counts_nowhere(missing, rubbish):
    images, embeddings, present = random_batch()
    outputs = images.flip(-1)
    kept = [scanner for scanner in range(4) if scanner != missing]
    present[:, missing] = 0
    images[:, missing] = outputs[:, missing] = embeddings[:, missing] = rubbish
    three = torch.ones(2, 3)
    # the sum of Eq. 2 is scaled to the M scanners that there would be
    expected = reconstruction_loss(images[:, kept], outputs[:, kept], three) * 4 / 3
    torch.testing.assert_close(reconstruction_loss(images, outputs, present), expected)
    torch.testing.assert_close(
        coupling_loss(embeddings, present), coupling_loss(embeddings[:, kept], three), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(harmonization_loss(outputs, present), harmonization_loss(outputs[:, kept], three))


def test_a_single_scanner_has_no_pairs():
    images, embeddings, present = random_batch(slices=1)
    present[:, 1:] = 0
    assert harmonization_loss(images, present).item() == 0
    assert coupling_loss(embeddings, present).item() == pytest.approx(0, abs=1e-12)


def test_losses_over_the_brain_only():
    images, embeddings, present = random_batch()
    region = torch.zeros(2, 8, 12)
    region[:, 2:5, 3:9] = 1
    inside = (..., slice(2, 5), slice(3, 9))
    outputs = images.flip(-1)
    torch.testing.assert_close(
        reconstruction_loss(images, outputs, present, region),
        reconstruction_loss(images[inside], outputs[inside], present),
    )
    torch.testing.assert_close(coupling_loss(embeddings, present, region), coupling_loss(embeddings[inside], present))
    torch.testing.assert_close(
        harmonization_loss(outputs, present, region), harmonization_loss(outputs[inside], present)
    )


# slices and boxes


@given(
    rows=st.tuples(st.integers(0, 20), st.integers(1, 12)), columns=st.tuples(st.integers(0, 20), st.integers(1, 12))
)
@settings(deadline=None, max_examples=50)
def test_box_holds_the_masks_and_pastes_back(rows, columns):
    mask = np.zeros((3, 40, 41), bool)
    mask[1, rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]] = True
    box = common_box([mask], 0)
    assert box.shape[0] % 4 == 0
    assert box.shape[1] % 4 == 0
    assert box.shape[0] < rows[1] + 4
    assert box.shape[1] < columns[1] + 4
    values = np.random.default_rng(0).normal(size=mask.shape) * mask
    np.testing.assert_array_equal(box.paste(box.cut(values), (40, 41)), values)


def test_box_grows_outward_in_steps_of_4():
    mask = np.zeros((2, 30, 30), bool)
    mask[:, 3:29, 10:16] = True
    box = Box(8, 20, 8, 20)
    assert box.around(mask, 0) == Box(0, 32, 8, 20)
    assert box.around(mask, 4) == Box(-4, 36, 4, 20)
    mask[:, :9] = mask[:, 19:] = False
    assert box.around(mask, 0) == box


@given(
    box=st.tuples(st.integers(-9, 20), st.integers(1, 30), st.integers(-9, 20), st.integers(1, 30)),
)
@settings(deadline=None, max_examples=50)
def test_box_beyond_the_image_is_0_there(box):
    top, height, left, width = box
    volume = np.random.default_rng(1).normal(size=(13, 17, 2))
    cut = Box(top, top + height, left, left + width).cut(to_slices(volume, 2))
    np.testing.assert_array_equal(cut, plain_cut(volume, (top, top + height, left, left + width)))


def test_axial_slices_whatever_the_orientation():
    assert axial_axis(np.diag([1.0, 1, 1, 1])) == 2
    sagittal = np.array([[0, 0, -1.0, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    assert axial_axis(sagittal) == 1
    volume = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.testing.assert_array_equal(from_slices(to_slices(volume, 1), 1), volume)
    grid = Grid((3, 4, 5), np.diag([1.0, 1, 1, 1]))
    # axes right and front: the frontmost row comes first
    np.testing.assert_array_equal(grid.upright(volume[:, :, 0]), volume[:, ::-1, 0].T)


def test_store_holds_the_slices_with_brain(study, store):
    counted = 0
    for subject in study.subjects:
        mask = study.of_subject(subject)[0].read_mask()
        wanted = np.flatnonzero(mask.any(axis=(0, 1)))
        mine = store.subjects == subject
        np.testing.assert_array_equal(store.positions[mine], wanted)
        counted += len(wanted)
        for number, scanner in enumerate(study.scanners):
            volume = study.find(subject, scanner).read()
            box = store.box
            expected = plain_cut(volume, (box.top, box.bottom, box.left, box.right))[wanted]
            np.testing.assert_array_equal(store.images[number][mine], expected)
    assert len(store) == counted < len(study.subjects) * study.shape[2]
    assert store.present.all()


def test_every_epoch_draws_each_slice_once_in_another_order():
    first, second = (np.concatenate(shuffled_batches(50, size=4, seed=1, step=1, epoch=epoch)) for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)
    assert [len(batch) for batch in shuffled_batches(10, size=4, seed=1, step=1, epoch=1)] == [4, 4, 2]


# the two steps


def reference_batches(store, step, epochs):
    images = torch.from_numpy(np.stack(store.images, axis=1))
    for epoch in range(1, epochs + 1):
        for indices in shuffled_batches(len(store), size=4, seed=3, step=step, epoch=epoch):
            yield images[indices]


def test_both_steps_are_those_of_the_plain_reference(store, tmp_path):
    parameters = Parameters(**TINY)
    made = fit_tiny(store, tmp_path)
    plain = PlainMispel(4, parameters.width, parameters.embeddings, parameters.learning_rate)
    seeds = [int(np.random.SeedSequence([3, number]).generate_state(1)[0]) for number in range(4)]
    plain.load([new_encoder(width=4, embeddings=3, seed=seed) for seed in seeds])
    torch.set_num_threads(1)
    losses1 = [plain.learn_embeddings(batch, 1.0, 0.3) for batch in reference_batches(store, 1, 2)]
    for mine, theirs in zip(made.model.encoders, plain.encoders, strict=True):
        for weights, expected in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(weights, expected, rtol=2e-2, atol=2e-3)
    losses2 = [plain.fit_decoders(batch, 1.0, 4.0) for batch in reference_batches(store, 2, 2)]
    torch.testing.assert_close(made.model.coefficients, plain.coefficients.detach(), rtol=1e-2, atol=1e-3)
    half = len(losses1) // 2
    expected = [np.mean(losses1[:half]), np.mean(losses1[half:]), np.mean(losses2[:half]), np.mean(losses2[half:])]
    np.testing.assert_allclose([row["total"] for row in made.history], expected, rtol=5e-3)


def test_step_2_changes_the_decoders_alone(store, tmp_path):
    """Trap 10 of the paper's implementation: Step 2 must use its own loss, and leave the encoders as they are."""
    outcome, encoders = {}, []
    for lambda4 in (0.0, 4.0):
        model = fit_tiny(store, tmp_path, lambda4=lambda4, step2_epochs=20).model
        with working_threads(1) as for_each:
            batches = Batches(store, CPU, region="box")
            cache = build_cache(model, store, tmp_path / str(lambda4), limit_gb=4, for_each=for_each)
        encoders.append({name: weights for name, weights in model.tensors().items() if name.startswith("encoder")})
        everything = np.arange(len(store))
        outputs = decode(cache.embeddings(everything), model.coefficients)
        outcome[lambda4] = harmonization_loss(outputs, batches.present).item()
    assert outcome[4.0] < 0.98 * outcome[0.0]
    assert all(torch.equal(weights, encoders[1][name]) for name, weights in encoders[0].items())


def test_encoders_are_bitwise_untouched_by_step_2(store, tmp_path):
    model = fit_tiny(store, tmp_path, step1_epochs=1, step2_epochs=1).model
    before, decoders = model.tensors(), model.coefficients.clone()
    with working_threads(1) as for_each:
        cache = build_cache(model, store, tmp_path, limit_gb=4, for_each=for_each)
    run_step(DecoderFitting(model, Batches(store, CPU, region="box"), Parameters(**TINY), cache=cache), seed=0)
    for name, weights in model.tensors().items():
        if name.startswith("encoder."):
            assert torch.equal(weights, before[name])
    assert not torch.equal(model.coefficients, decoders)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_bytes_again_and_with_threads(store, tmp_path, precision):
    runs = [
        fit_tiny(store, tmp_path, threads=threads, precision=precision, step1_epochs=1).model.tensors()
        for threads in (1, 1, 2, 4)
    ]
    for other in runs[1:]:
        assert all(torch.equal(runs[0][name], other[name]) for name in runs[0])
    differently = fit_tiny(store, tmp_path, seed=4, step1_epochs=1).model.tensors()
    assert not torch.equal(differently["encoder.0.last.weight"], runs[0]["encoder.0.last.weight"])


def test_scanners_of_any_number_and_names_and_a_missing_scan(tmp_path):
    for number, scanners in enumerate([("7T #1", "b"), ("a", "b", "c", "d", "e")]):
        folder = tmp_path / str(number)
        names = tuple(name.replace("#", "no") for name in scanners)
        study = make_study(folder, scanners=names, missing=(("01", names[1]),), shape=(16, 20, 12))
        arm = Mispel(Parameters(**TINY), Context(device="cpu"))
        arm.fit(study)
        for scan in study.scans:
            assert np.isfinite(arm.transform(scan)).all()


def test_a_complete_scanner_is_not_disturbed_by_an_absent_one(store, tmp_path):
    """A scan that is missing must act like rubbish that counts nowhere, not like a black image."""
    present = store.present.copy()
    present[store.subjects == store.subjects[0], 2] = False
    outcomes = []
    for rubbish in (0.0, 7.0):
        images = [np.array(array) for array in store.images]
        images[2][~present[:, 2]] = rubbish
        changed = dataclasses.replace(store, present=present, images=tuple(images))
        outcomes.append(fit_tiny(changed, tmp_path, step1_epochs=1, step2_epochs=1).model.tensors())
    for name, weights in outcomes[0].items():
        torch.testing.assert_close(weights, outcomes[1][name], rtol=1e-5, atol=1e-6)


def test_stopping_rules_are_recorded(store, tmp_path):
    made = fit_tiny(store, tmp_path, reconstruction_tolerance=10.0, step1_epochs=5)
    assert made.facts["step1_epochs"] == 1
    assert "reconstruction" in made.facts["step1_stopped"]
    made = fit_tiny(store, tmp_path, plateau_epochs=1, learning_rate=1e-9, step1_epochs=9, step2_epochs=9)
    assert made.facts["step2_epochs"] == 2
    assert "has not fallen" in made.facts["step2_stopped"]
    made = fit_tiny(store, tmp_path)
    assert made.facts["step1_stopped"] is None
    assert made.facts["step1_epochs"] == 2


@pytest.mark.parametrize(("outputs", "word"), [(0.0, "dead"), (0.7, "contrast"), (float("nan"), "finite")])
def test_a_dead_or_flat_output_is_named(outputs, word):
    images, *_ = random_batch()
    watch = OutputWatch(("GE", "Philips", "Prisma", "Trio"), CPU)
    made = images.clone()
    depths = torch.ones_like(images, dtype=torch.uint8)
    watch.add(images, made, depths)
    watch.check("epoch 1")
    watch = OutputWatch(("GE", "Philips", "Prisma", "Trio"), CPU)
    made[:, 2] = outputs
    watch.add(images, made, depths)
    with pytest.raises(TrainingError, match=word) as raised:
        watch.check("epoch 1")
    assert "Prisma" in str(raised.value) or word == "finite"


def test_a_loss_that_rises_far_and_stays_ends_the_training():
    check_losses("epoch 3", [0.5, 0.2, 1.9], last=True, advice="use another rate")
    with pytest.warns(Caution, match="epoch 3: the loss rose from 0.2 to 4e\\+07"):
        check_losses("epoch 3", [0.5, 0.2, 4e7], last=False, advice="use another rate")
    # a spike that passed
    check_losses("epoch 4", [0.5, 0.2, 4e7, 0.3], last=False, advice="use another rate")
    for totals, last in (([0.5, 0.2, 4e7, 3e6], False), ([0.2, 9.0], True)):
        with pytest.raises(TrainingError, match="the training diverged"):
            check_losses("epoch 4", totals, last=last, advice="use another rate")


@pytest.mark.slow
def test_a_collapse_stops_training(store, tmp_path):
    flat = {"lambda3": 1e-6, "lambda4": 1e3, "learning_rate": 0.01, "step2_epochs": 40}
    with pytest.raises(TrainingError, match="step 2.*contrast|step 2.*dead"):
        fit_tiny(store, tmp_path, step1_epochs=15, **flat)
    # after a handful of batches it is no surprise
    with pytest.warns(UserWarning, match="step 2.*contrast|step 2.*dead"):
        fit_tiny(store, tmp_path, step1_epochs=1, **flat)


# presets and parameters


def test_presets():
    paper = Parameters()
    assert (paper.lambda1, paper.lambda2, paper.lambda3, paper.lambda4) == (1.0, 0.3, 1.0, 4.0)
    assert (paper.step1_epochs, paper.step2_epochs, paper.batch_size, paper.width, paper.embeddings) == (
        (100, 100, 4, 32, 6)
    )
    assert paper.learning_rate == 1e-3
    assert paper.step2_solver == "adam"
    assert paper.decoder == "linear"
    erratum = Parameters(preset="erratum")
    assert (erratum.lambda1, erratum.lambda2) == (0.3, 1.0)
    assert all(set(preset) == set(PRESETS["paper"]) for preset in PRESETS.values())
    # as published
    assert all((preset.outside, preset.loss_region) == ("zero", "box") for preset in (paper, erratum))
    for name in ("laptop", "demo"):
        small = Parameters(preset=name)
        assert (small.outside, small.loss_region) == ("nearest", "brain")


def test_any_number_of_a_preset_can_be_set():
    made = make_parameters(Mispel, {"preset": "demo", "width": "16", "lambda2": "0.5", "decoder": "relu"})
    assert (made.width, made.lambda2, made.decoder) == (16, 0.5, "relu")
    assert made.lambda1 == Parameters(preset="demo").lambda1
    # what is saved beside a model makes the same parameters again
    assert make_parameters(Mispel, dataclasses.asdict(made)) == made


@pytest.mark.parametrize(
    "given", [{"preset": "papr"}, {"width": "0"}, {"learning_rate": "nan"}, {"lambda1": "-1"}, {"decoder": "cubic"}]
)
def test_impossible_parameters_are_refused(given):
    with pytest.raises(InputError, match=next(iter(given))):
        make_parameters(Mispel, given)


# fitted models


def test_unseen_people_are_harmonized_on_their_own_grid(fitted, tmp_path):
    others = make_study(tmp_path, subjects=1, first_seed=50, scanners=("Trio", "GE"))
    for scan in others.scans:
        harmonized, mask = fitted.transform(scan), scan.read_mask()
        assert harmonized.dtype == np.float32
        assert harmonized.shape == scan.shape
        assert np.all(harmonized[~mask] == 0)
        assert harmonized[mask].std() > 0


def test_a_larger_head_is_neither_cut_nor_rescaled(fitted, tmp_path):
    """The same head with something added far outside the box: what is inside hardly changes."""
    scan = make_study(tmp_path, subjects=1, scanners=("GE",)).scans[0]
    harmonized = fitted.transform(scan)
    image, mask = load_image(scan.image)[0], scan.read_mask()
    image[0, :3], mask[0, :3] = 0.5, True
    save_image(tmp_path / "larger.nii.gz", image, AFFINE)
    save_labels(tmp_path / "larger_mask.nii.gz", mask, AFFINE)
    larger = dataclasses.replace(
        scan, image=tmp_path / "larger.nii.gz", mask=tmp_path / "larger_mask.nii.gz", scale="none"
    )
    fitted_none = _with_scale(fitted, "none")
    result = fitted_none.transform(larger)
    assert np.count_nonzero(result[0, :3]) == 3 * scan.shape[2]
    same = fitted_none.transform(dataclasses.replace(scan, scale="none"))
    middle = (slice(12, 18), slice(14, 24), slice(8, 12))
    np.testing.assert_allclose(result[middle], same[middle], atol=0.05)
    assert harmonized.shape == result.shape


def _with_scale(arm: Mispel, scale: str) -> Mispel:
    other = Mispel(arm.parameters, arm.context)
    other._model = dataclasses.replace(arm._model, scale=scale)
    return other


def test_a_shifted_grid_gives_the_same_voxels(fitted, study, tmp_path):
    scan = study.scans[0]
    image, mask = load_image(scan.image)[0], scan.read_mask()
    pad = [(3, 2), (1, 4), (0, 1)]
    affine = AFFINE.copy()
    affine[:3, 3] -= AFFINE[:3, :3] @ [3, 1, 0]
    save_image(tmp_path / "padded.nii.gz", np.pad(image, pad), affine)
    save_labels(tmp_path / "padded_mask.nii.gz", np.pad(mask, pad), affine)
    padded = dataclasses.replace(scan, image=tmp_path / "padded.nii.gz", mask=tmp_path / "padded_mask.nii.gz")
    np.testing.assert_allclose(fitted.transform(padded)[3:-2, 1:-4, :-1], fitted.transform(scan), atol=1e-6)


def test_what_cannot_be_harmonized_is_refused(fitted, study, tmp_path):
    scan = study.scans[0]
    with pytest.raises(InputError, match="GE, Philips, Prisma, Trio"):
        fitted.transform(dataclasses.replace(scan, scanner="Siemens"))
    with pytest.raises(InputError, match="scale"):
        fitted.transform(dataclasses.replace(scan, scale="none"))
    image, mask = load_image(scan.image)[0], scan.read_mask()
    thin = np.diag([1.0, 2, 2, 1])
    save_image(tmp_path / "thin.nii.gz", image, thin)
    save_labels(tmp_path / "thin_mask.nii.gz", mask, thin)
    other = dataclasses.replace(scan, image=tmp_path / "thin.nii.gz", mask=tmp_path / "thin_mask.nii.gz")
    with pytest.raises(InputError, match="resample"):
        fitted.transform(other)


def test_an_image_on_another_scale_is_refused_with_both_means(fitted, study, tmp_path):
    """A model fitted on scans that came scaled, as a run's are, sees the image as it is."""
    scan = study.scans[0]
    image, (least, greatest) = load_image(scan.image)[0], fitted._model.brain_means
    assert least == pytest.approx(greatest) == pytest.approx(1)
    arm = Mispel(fitted.parameters, Context(device="cpu"))
    arm._model = dataclasses.replace(fitted._model, scale="none")
    scaled = {}
    for mean in (1, 1.3, 250):
        save_image(tmp_path / f"{mean}.nii.gz", image * np.float32(mean / image[scan.read_mask()].mean()), AFFINE)
        scaled[mean] = dataclasses.replace(scan, image=tmp_path / f"{mean}.nii.gz", scale="none")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Caution)
        np.testing.assert_allclose(arm.transform(scaled[1]), fitted.transform(scan), atol=1e-5)
    with pytest.warns(Caution, match=r"1\.3\.nii\.gz: its mean over the brain is 1\.3, those .* trained on 1;"):
        arm.transform(scaled[1.3])
    with pytest.raises(InputError, match=r"250\.nii\.gz: its mean over the brain is 250, .* divided by their mean"):
        arm.transform(scaled[250])

    arm._model = dataclasses.replace(arm._model, brain_means=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Caution)
        arm.transform(scaled[250])


def test_saved_and_loaded_gives_the_same_images(fitted, study, tmp_path):
    fitted.save(tmp_path)
    loaded = Mispel(fitted.parameters, Context(device="cpu", threads=2))
    loaded.load(tmp_path)
    assert loaded._model.brain_means == fitted._model.brain_means
    for scan in study.scans[:2]:
        np.testing.assert_array_equal(loaded.transform(scan), fitted.transform(scan))
    assert not list(tmp_path.glob("*.pkl"))
    older = tmp_path / "model.json"
    told = json.loads(older.read_text())
    del told["brain_means"]
    older.write_text(json.dumps(told))
    assert load_model(tmp_path, CPU)[0].brain_means is None
    with np.load(tmp_path / "embeddings.npz", allow_pickle=False) as example:
        assert example["embeddings"].shape[:2] == (4, 3)
        assert example["images"].shape == example["outputs"].shape


def test_scans_harmonized_in_bfloat16_are_nearly_those_of_float32(fitted, study):
    """bfloat16 keeps 8 bits of the layers before the last; the same bytes with any number of threads."""
    scan = study.scans[1]
    exact = fitted.transform(scan)
    half = dataclasses.replace(fitted._model, precision="bfloat16")
    made = []
    for threads in (1, 2):
        arm = Mispel(fitted.parameters, Context(device="cpu", threads=threads))
        arm._model = half
        made.append(arm.transform(scan))
    np.testing.assert_array_equal(made[0], made[1])
    inside = scan.read_mask()
    difference = np.abs(made[0] - exact)[inside].max() / exact[inside].std()
    assert 0 < difference < 0.05


@pytest.mark.slow
def test_the_same_fit_saves_the_same_bytes(study, tmp_path):
    for name in ("one", "two"):
        fit_method("mispel", study, tmp_path / name, parameters=Parameters(**TINY), context=Context(device="cpu"))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    names = ["embeddings.npz", "losses.tsv", "method.json", "model.json", "weights.safetensors"]
    assert files == ["checksums.sha256", *names]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "other weights", "format", "no weights", "lacking"])
def test_a_model_that_does_not_match_is_refused(fitted, tmp_path, damage):
    fitted.save(tmp_path)
    weights, description = tmp_path / "weights.safetensors", tmp_path / "model.json"
    told = json.loads(description.read_text())
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "other weights":
        content = bytearray(weights.read_bytes())
        content[-5] ^= 1
        weights.write_bytes(content)
    elif damage == "format":
        description.write_text(json.dumps(told | {"format": "mispel 99"}))
    elif damage == "no weights":
        weights.unlink()
    else:
        del told["box"]
        description.write_text(json.dumps(told))
    with pytest.raises(InputError, match="weights.safetensors|model.json"):
        load_model(tmp_path, CPU)


def test_through_the_shared_runner(study, tmp_path):
    fit_method("mispel", study, tmp_path / "model", parameters=Parameters(**TINY), context=Context(device="cpu"))
    others = read_sheet(write_study(tmp_path / "new", subjects=1, first_seed=9, scanners=("Trio",)), scale="brain")
    apply_method("mispel", tmp_path / "model", others, tmp_path / "out", context=Context(device="cpu"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sub-09_scanner-Trio_T1w.nii.gz"]
    unknown = read_sheet(write_study(tmp_path / "unknown", subjects=1, scanners=("Foo",)), scale="brain")
    with pytest.raises(InputError, match="GE, Philips, Prisma, Trio"):
        apply_method("mispel", tmp_path / "model", unknown, tmp_path / "out", context=Context(device="cpu"))


def test_one_scanner_cannot_be_harmonized(tmp_path):
    study = make_study(tmp_path, scanners=("GE",))
    with pytest.raises(InputError, match="only GE"):
        build_store(study, tmp_path, outside="nearest")
