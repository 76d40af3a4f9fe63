"""The engine synthseg, with a STAND-IN for DIPY's network: it thresholds, and knows no structure."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from core.errors import InputError
from segmentation import segment
from segmentation.engines import synthseg
from segmentation.interface import check_engine
from tests.support.atlas_brain import STEP, dice

SIZES = (STEP,) * 3

ALL_STRUCTURES = (
    *(2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 26, 28),
    *(41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60),
)
"""All that the network knows (Billot et al. 2023, as DIPY lists them), but for the background."""


class StandIn:
    """Ventricle, cortex and white matter by thresholds; the darkest voxels are outside the brain."""

    def predict(self, image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, dict[int, str], np.ndarray]:
        assert affine.shape == (4, 4)
        labels = np.select([image > 750, image > 450, image > 250], [41, 42, 4], 0)
        return labels, {}, labels > 0


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The stand-in in DIPY's place, and a file in the place of its weights, which is returned."""
    for name in ("dipy", "dipy.nn", "dipy.nn.torch", "dipy.nn.torch.synthseg"):
        module = types.ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys.modules["dipy.nn.torch.synthseg"], "SynthSeg", StandIn, raising=False)
    monkeypatch.setenv("DIPY_HOME", str(tmp_path))
    synthseg._network.cache_clear()
    weights = tmp_path / "synthseg" / synthseg.WEIGHTS
    weights.parent.mkdir()
    weights.touch()
    yield weights
    synthseg._network.cache_clear()


def test_every_structure_is_of_one_tissue():
    assert sorted(number for numbers in synthseg.STRUCTURES.values() for number in numbers) == sorted(ALL_STRUCTURES)


def test_tissues_are_those_of_the_structures(brain, scan, stand_in):
    mask, labels, affine = brain
    found = segment(scan, mask, SIZES, engine="synthseg", affine=affine)
    for number in (2, 3):
        assert dice(found.labels == number, labels == number) > 0.99
    darkest = mask & (scan <= 250)
    assert darkest.any()
    assert not found.labels[darkest].any()
    assert not found.posteriors[:, darkest].any()
    assert set(np.unique(found.posteriors)) == {0, 1}
    np.testing.assert_allclose(found.means, [300, 600, 900], atol=15)


def test_without_weights_it_is_refused_while_planning(stand_in):
    check_engine("synthseg", "segmentation.engines")
    stand_in.unlink()
    with pytest.raises(InputError, match=r"segmentation.engines: engine synthseg: its weights, .*fetch them once"):
        check_engine("synthseg", "segmentation.engines")


def test_without_dipy_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("core.libraries.find_spec", lambda module: None)
    with pytest.raises(InputError, match=r"engine synthseg needs dipy and torch, not installed here: pip install"):
        synthseg.check()
