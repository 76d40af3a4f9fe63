"""Style transfer: what a style does, what is learned, and what is used in the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baselines._slices import all_medians
from baselines._stylegan import LATENT, STYLE, Generator, Judge, StyleLearning, initialize, new_mapping
from baselines._unpaired import without_names
from baselines.stylegan import StyleGAN
from mispel.batches import Batches
from mispel.compute import working_threads
from mispel.passes import run_step
from mispel.slices import build_store
from tests.support.two_contrasts import two_contrasts

CPU = torch.device("cpu")


def test_a_style_changes_the_slice_and_nothing_is_made_outside_the_brain():
    generator = Generator(4)
    initialize(generator, 0)
    slices, mask = torch.rand(2, 1, 16, 24), (torch.rand(2, 1, 16, 24) > 0.4).float()
    one, other = (generator(slices, torch.full((2, STYLE), value), mask) for value in (0.0, 1.0))
    assert one.shape == slices.shape
    assert not one[mask == 0].any()
    assert (one - other).abs().max() > 0.1


def test_styles_come_from_codes_and_from_slices():
    mapping, encoder = new_mapping(8), Judge(2, STYLE)
    initialize(mapping, 1)
    initialize(encoder, 2)
    assert mapping(torch.rand(3, LATENT)).shape == (3, STYLE)
    found = encoder(torch.rand(3, 1, 16, 24))
    assert found.shape == (3, STYLE)
    assert not torch.equal(found[0], found[1])


def learning(folder: Path, **changes) -> StyleLearning:
    store = build_store(without_names(two_contrasts(folder)), folder / "store", outside="zero")
    settings = StyleGAN.Parameters(preset="demo", **changes)
    with working_threads(1) as for_each:
        batches = Batches(store, CPU, region="box")
        return StyleLearning(batches, all_medians(store), 1, settings, seed=0, for_each=for_each)


@pytest.mark.slow
def test_the_cycle_is_learned(tmp_path):
    learns = learning(tmp_path, width=4, epochs=4)
    with working_threads(1):
        history = run_step(learns, seed=0).history
    assert history[-1]["cycle"] < 0.6 * history[0]["cycle"]
    stylist = learns.stylist()
    slices, mask = learns._shown(np.arange(4))
    assert torch.isfinite(stylist(slices, mask)).all()
    # the target's own style, not another's
    assert stylist.style.abs().max() > 0


def test_with_no_average_the_latest_weights_are_used(tmp_path):
    learns = learning(tmp_path, width=2, hidden=4, epochs=2, average=0.0)
    with working_threads(1):
        run_step(learns, seed=0)
    for mean, latest in zip(learns.means[0].parameters(), learns.generator.parameters(), strict=True):
        torch.testing.assert_close(mean, latest)
    # diversity counted in full first, and half as much in the second of two passes
    assert learns.diversity == 0.5
