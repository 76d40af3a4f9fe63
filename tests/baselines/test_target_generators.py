"""What every network towards a target scanner does: resumes, ignores threads, takes any scanner, refuses nonsense."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from baselines._target_generator import TargetGenerator
from baselines.cyclegan import CycleGAN
from baselines.interface import Context
from baselines.stylegan import StyleGAN
from core.errors import InputError
from core.study import Study
from tests.support.killed_training import killed_in

TINY = {
    CycleGAN: {"width": 2, "epochs": 3, "batch": 24},
    StyleGAN: {"preset": "demo", "width": 2, "hidden": 4, "epochs": 3, "batch": 24},
}
every_generator = pytest.mark.parametrize("made", list(TINY))


def saved(made: type[TargetGenerator], study: Study, folder: Path, **context) -> dict[str, bytes]:
    method = made(made.Parameters(**TINY[made]), Context(seed=3, device="cpu", **context))
    method.fit(study)
    folder.mkdir()
    method.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@every_generator
def test_neither_threads_nor_a_kill_change_a_byte(made, study, tmp_path, monkeypatch):
    undisturbed = saved(made, study, tmp_path / "one")
    assert saved(made, study, tmp_path / "two", threads=2) == undisturbed
    killed_in(monkeypatch, 3, lambda: saved(made, study, tmp_path / "killed", checkpoint=tmp_path / "checkpoint"))
    assert list((tmp_path / "checkpoint").glob("step1-00002.*"))
    assert saved(made, study, tmp_path / "resumed", checkpoint=tmp_path / "checkpoint") == undisturbed
    assert not (tmp_path / "checkpoint").exists()


@every_generator
def test_a_target_and_numbers_that_cannot_be(made, study):
    with pytest.raises(InputError, match="no scanner 'Gama'.*did you mean 'Gamma'"):
        made(made.Parameters(preset="demo", target="Gama")).fit(study)
    with pytest.raises(ValueError, match="width is 0"):
        made.Parameters(width=0)
    with pytest.raises(ValueError, match="learning_rate is -1"):
        made.Parameters(learning_rate=-1.0)
    assert "one scanner, Alpha" in made().not_applicable(Study(tuple(study.of_scanner("Alpha"))))


@every_generator
def test_an_unheard_of_scanner_is_brought_to_the_target_too(made, study):
    method = made(made.Parameters(**TINY[made] | {"epochs": 1}), Context(device="cpu"))
    method.fit(study)
    scan = study.scans[1]
    other = dataclasses.replace(scan, scanner="Unheard-of")
    np.testing.assert_array_equal(method.transform(other), method.transform(scan))
