"""The encoders' kernels against torch's convolutions and its gradients, where triton is (`tests.support.kernels`)."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mispel.network import SLOPE, enlarging_kernel, new_encoder
from tests.support.kernels import DEVICE, drawn

# isort: split
from mispel import encoder_kernels
from mispel.all_encoders import AllAtOnce
from mispel.encoder_kernels import ENLARGE, ENLARGE_BACK, PLAIN, PLAIN_BACK, Weights, convolve, correlate
from mispel.flat_weights import CastOnce, FlatWeights

TOLERANCE = 5e-3 if torch.cuda.is_available() else 2e-6
ENCODERS, IMAGES, HEIGHT, WIDTH = 2, 2, 4, 6


def assert_near(found, wanted):
    assert ((found - wanted).norm() / wanted.norm()).item() < TOLERANCE


def by_torch(source, kernels, biases, *, enlarged):
    """Maps (M, B, H', W', C') by torch, of kernels (M, C', C, 3, 3) or (M, C, C', 4, 4)."""
    made = []
    for of_encoder, kernel, bias in zip(source.permute(0, 1, 4, 2, 3), kernels, biases, strict=True):
        if enlarged:
            made.append(functional.conv_transpose2d(of_encoder, kernel, bias, stride=2, padding=1))
        else:
            made.append(functional.conv2d(of_encoder, kernel, bias, padding=1))
    return torch.stack(made).permute(0, 1, 3, 4, 2)


def gated(gradient, by):
    return torch.where(by > 0, gradient, SLOPE * gradient)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 8), (8, 16), (5, 3)])
@pytest.mark.parametrize("enlarged", [False, True])
def test_a_layer_and_its_gradients_are_those_of_torch(inputs, outputs, enlarged):
    if enlarged and inputs == 1:
        pytest.skip("the layer with one input does not enlarge")
    source, biases = drawn(ENCODERS, IMAGES, HEIGHT, WIDTH, inputs), drawn(ENCODERS, outputs)
    plain = drawn(ENCODERS, outputs, 3, 3, inputs)
    factor, reach, back = (2, ENLARGE, ENLARGE_BACK) if enlarged else (1, PLAIN, PLAIN_BACK)
    if enlarged:
        kernels = torch.stack([enlarging_kernel(weight.permute(0, 3, 1, 2)) for weight in plain])
        stored = kernels.permute(0, 1, 3, 4, 2).contiguous()
        weights = Weights(stored, 0, stored.stride(0), outputs, 16 * outputs, 1)
    else:
        kernels = plain.permute(0, 1, 4, 2, 3)
        weights = Weights(plain, 0, plain.stride(0), inputs, 1, 9 * inputs)
    source.requires_grad_()
    kernels = kernels.detach().requires_grad_()
    wanted = by_torch(source, kernels, biases, enlarged=enlarged)
    gradient = drawn(*wanted.shape)
    by_source, by_kernels = torch.autograd.grad((wanted * gradient).sum(), [source, kernels])
    source = source.detach()

    # maps that lie beside others, as what goes over to the other side does
    beside = source.new_zeros(*wanted.shape[:-1], 2 * outputs)
    made = convolve(source, weights, beside[..., outputs:], reach, biases=biases, active=True, precise=True)
    assert_near(made, functional.leaky_relu(wanted.detach(), SLOPE))
    assert not beside[..., :outputs].any()

    of_weights, of_biases = correlate(source, gradient, reach, precise=True)
    places = (ENCODERS, outputs, reach.places, reach.places, inputs)
    order = (0, 4, 1, 2, 3) if enlarged else (0, 1, 4, 2, 3)
    assert_near(of_weights.reshape(places).permute(order), by_kernels)
    assert_near(of_biases, gradient.sum(dim=(1, 2, 3)))

    if inputs > 1:
        gate = drawn(*source.shape)
        given = source.new_empty(source.shape)
        found = convolve(gradient, weights.back(), given, back, gate=gate, precise=True)
        assert_near(found, gated(by_source, gate))
    assert factor * HEIGHT == wanted.shape[2]


def test_pooling_takes_the_first_of_equal_ones():
    fine = drawn(ENCODERS, IMAGES, HEIGHT, WIDTH, 8).round()  # many are equal
    fine.requires_grad_()
    wanted = functional.max_pool2d(fine.flatten(0, 1).permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    coarse, chosen = encoder_kernels.pool(fine.detach())
    assert torch.equal(coarse.flatten(0, 1), wanted)
    gradient = drawn(*coarse.shape)
    (by_fine,) = torch.autograd.grad((wanted * gradient.flatten(0, 1)).sum(), fine)
    beside = drawn(ENCODERS, IMAGES, HEIGHT, WIDTH, 16)[..., :8]
    found = encoder_kernels.unpool(gradient, chosen, beside=beside, gate=fine.detach())
    assert_near(found, gated(by_fine + beside, fine.detach()))


def test_all_encoders_at_once_are_each_of_them():
    images, gradient = drawn(1, ENCODERS, 8, 8), drawn(1, ENCODERS, 6, 8, 8)

    def found(computed):
        computed.refresh()
        scanned = range(ENCODERS)
        made = computed.embed(images, scanned)
        by_leaves = torch.autograd.grad((made * gradient).sum(), computed.leaves_of(scanned))
        return made.detach(), torch.stack(list(computed.gradients(by_leaves, scanned)))

    def flat():
        return FlatWeights([new_encoder(width=4, embeddings=6, seed=seed).to(DEVICE) for seed in range(ENCODERS)])

    one_by_one = CastOnce(flat(), torch.float32, maps=6, embeddings=6, streams=())
    for value, wanted in zip(found(AllAtOnce(flat(), torch.float32)), found(one_by_one), strict=True):
        assert_near(value, wanted)
