"""ANTs' Atropos and the atlas's priors."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest

from core.errors import InputError
from core.names import TISSUES
from segmentation import segment
from segmentation.engines import atropos
from segmentation.priors import LEAST, tissue_priors
from tests.support.atlas_brain import STEP, dice


def test_priors_are_the_atlas_where_the_atlas_lies(brain):
    mask, labels, affine = brain
    priors = tissue_priors(mask, affine)
    np.testing.assert_allclose(priors[:, mask].sum(axis=0), 1, rtol=1e-5)
    assert not priors[:, ~mask].any()
    assert priors[:, mask].min() > LEAST / (1 + 3 * LEAST)
    for number, tissue in enumerate(TISSUES):
        assert dice(priors.argmax(axis=0)[mask] == number, labels[mask] == number + 1) > 0.95, tissue


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_priors_follow_the_brain_however_its_axes_run(brain, flip):
    """Moved, larger and stored the other way round, it has the same tissues in the same places."""
    mask, _, affine = brain
    turned = tuple(slice(None, None, sign) for sign in flip)
    origin = [0 if sign > 0 else size - 1 for sign, size in zip(flip, mask.shape, strict=True)]
    stored = affine @ np.array(
        [[flip[0], 0, 0, origin[0]], [0, flip[1], 0, origin[1]], [0, 0, flip[2], origin[2]], [0, 0, 0, 1]]
    )
    larger = np.diag([1.1, 0.9, 1.2, 1.0])
    larger[:3, 3] = (20, -40, 7)
    found = tissue_priors(np.ascontiguousarray(mask[turned]), larger @ stored)
    np.testing.assert_allclose(found[(slice(None), *turned)], tissue_priors(mask, affine), atol=2e-3)


def test_atropos_finds_the_tissues(brain, scan):
    mask, labels, affine = brain
    before = set(os.listdir(tempfile.gettempdir()))
    found = segment(scan, mask, (STEP,) * 3, engine="atropos", affine=affine)
    for number, tissue in enumerate(TISSUES, start=1):
        assert dice(found.labels == number, labels == number) > 0.9, tissue
    np.testing.assert_allclose(found.posteriors[:, mask].sum(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(found.means, [300, 600, 900], atol=40)
    assert found.partial_volumes is None
    assert not {
        name for name in set(os.listdir(tempfile.gettempdir())) - before if "antsr" in name or "atropos" in name
    }


def test_the_same_image_gives_the_same_bytes(brain, scan):
    mask, _, affine = brain
    one, other = (segment(scan, mask, (STEP,) * 3, engine="atropos", affine=affine) for _ in range(2))
    np.testing.assert_array_equal(one.posteriors, other.posteriors)


def test_without_antspyx_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("core.libraries.find_spec", lambda module: None)
    with pytest.raises(InputError, match=r"engine atropos needs ants and nilearn, not installed here: pip install"):
        atropos.check()
