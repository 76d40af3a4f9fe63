"""Methods that fail by hand: the sentence says which method, where in it and at which scan, as a run's record does."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.__main__ import main
from baselines.blur import Blur
from baselines.combat_volumes import CombatVolumes
from core.errors import InputError
from core.files import read_json

HANDED_BACK = {
    "nothing": (None, "gave NoneType; transform must return float32"),
    "another type": (np.zeros((24, 28, 22)), "gave float64; transform must return float32"),
    "another shape": (np.zeros((24, 28, 21), np.float32), r"gave shape \(24, 28, 21\), the scan has \(24, 28, 22\)"),
    "one value": (np.zeros((24, 28, 22), np.float32), "gave 0 everywhere in the brain"),
}


def words(verb: str, sheet, folder) -> list[str]:
    out = ["--out", str(folder / "out")] if verb == "apply" else []
    return [verb, "blur", "--scans", str(sheet), "--model", str(folder / "model"), *out]


def broken(*_: object) -> None:
    raise ValueError("no luck")


@pytest.mark.parametrize("status", [False, True])
def test_what_a_method_raises_is_told_with_its_place_by_hand_as_in_a_run(status, sheet, tmp_path, monkeypatch, capfd):
    main(words("fit", sheet, tmp_path))
    monkeypatch.setattr(Blur, "transform", broken)
    told = "ValueError: no luck (in blur.transform, sub-01_scanner-Alpha)"
    recorded = ["--status", str(tmp_path / "apply.json"), "--on-failure", "record"] if status else []
    if status:
        main([*words("apply", sheet, tmp_path), *recorded])
        assert read_json(tmp_path / "apply.json")["reason"] == told
    else:
        with pytest.raises(SystemExit) as ended:
            main(words("apply", sheet, tmp_path))
        assert ended.value.code == f"error: blur failed at step apply: {told}"
    # its author looks for the line
    assert "Traceback" in capfd.readouterr().err
    assert not list((tmp_path / "out").glob("*")) if status else not (tmp_path / "out").exists()


def test_so_is_what_its_fit_raises(sheet, tmp_path, monkeypatch):
    monkeypatch.setattr(Blur, "fit", broken)
    with pytest.raises(SystemExit, match=r"blur failed at step fit: ValueError: no luck \(in blur.fit, 9 scans\)"):
        main(words("fit", sheet, tmp_path))
    assert not (tmp_path / "model").exists()


def test_an_interrupt_stays_one(sheet, tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Blur, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(words("fit", sheet, tmp_path))


@pytest.mark.parametrize("what", HANDED_BACK)
def test_what_no_method_may_give_is_refused(what, sheet, tmp_path, monkeypatch):
    given, told = HANDED_BACK[what]
    main(words("fit", sheet, tmp_path))
    monkeypatch.setattr(Blur, "transform", lambda *_: given)
    with pytest.raises(InputError, match=f"method 'blur', sub-01_scanner-Alpha: {told}"):
        main(words("apply", sheet, tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["fit", "apply"])
def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(verb, sheet, tmp_path, monkeypatch):
    main(words("fit", sheet, tmp_path))
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(Blur, verb if verb == "fit" else "transform", broken)
    place = ["--model" if verb == "fit" else "--out", str(tmp_path / "file" / "deep")]
    with pytest.raises(InputError, match="file: not a folder, so .*deep cannot be written; move it away"):
        main([*words(verb, sheet, tmp_path), *place])


def test_so_it_is_for_a_method_of_volumes(sheet, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(CombatVolumes, "fit", broken)
    place = ["--model", str(tmp_path / "file" / "deep"), "--volumes", str(tmp_path / "none.tsv")]
    with pytest.raises(InputError, match="file: not a folder, so .*deep cannot be written; move it away"):
        main(["fit", "combat_volumes", "--scans", str(sheet), *place])
