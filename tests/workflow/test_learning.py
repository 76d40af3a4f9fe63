"""A learning curve: what is planned, what is refused, and a small real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from core.errors import InputError
from core.files import read_json, read_table
from core.names import RAW
from tests.support.made_up_study import write_rescan, write_study
from tests.support.paths import ROOT
from tests.support.runs import NO_CONTROL_ARMS, planned, snakemake, write_config
from workflow.configuration import Configuration
from workflow.last_words import learned
from workflow.learning import Candidate, LearningCurve, ladder, planned_curve, why_no_curve
from workflow.leftovers import forget_failures

DEFAULT = {"arms": None, "people": None, "draws": 3, "held_out": None}
CANDIDATES = {
    RAW: Candidate("it isn't fitted on people: it takes each scan by itself"),
    "mispel": Candidate(),
    "combat": Candidate(least=2),
    "oracle": Candidate("it is a control, or a further fit"),
}


def test_the_ladder_doubles_up_to_the_pool():
    assert {pool: ladder(pool) for pool in (2, 3, 4, 6, 8, 12)} == {
        2: (2,),
        3: (2, 3),
        4: (2, 4),
        6: (2, 4, 6),
        8: (2, 4, 8),
        12: (2, 4, 8, 12),
    }


def test_by_default_every_fitted_arm_on_all_but_a_third():
    curve = planned_curve(DEFAULT, CANDIDATES, 10)
    assert curve == LearningCurve(("mispel", "combat"), (2, 4, 6), 3, held_out=4, travelling=10)
    # all that are left are drawn once: another draw would be the same people
    assert curve.points == [(2, 1), (2, 2), (2, 3), (4, 1), (4, 2), (4, 3), (6, 1)]
    assert len(curve.trials) == 14
    assert curve.trials[8:10] == ["combat/people-2_draw-2", "combat/people-2_draw-3"]


def test_numbers_of_people_are_taken_in_order_and_once():
    curve = planned_curve(DEFAULT | {"people": [4, 2, 4], "draws": 1, "held_out": 2}, CANDIDATES, 10)
    assert curve.points == [(2, 1), (4, 1)]


@pytest.mark.parametrize(
    ("given", "travelling", "message"),
    [
        (
            {"people": [2, 8], "held_out": 4},
            10,
            "10 people were scanned on every scanner, of whom 4 are held out and 6 ",
        ),
        ({"people": [2, 8], "held_out": 4}, 10, "and learning.people asks for 8; take fewer"),
        ({"held_out": 9}, 10, "of whom 9 are held out and 1 left to learn from; take fewer"),
        ({"held_out": 12}, 10, "of whom 12 are held out and 0 left"),
        ({}, 3, "3 people were scanned on every scanner, of whom 2 are held out and 1 left"),
        ({"arms": ["combta"]}, 10, "learning.arms: no arm is called 'combta' (did you mean 'combat'?)"),
        ({"arms": [RAW]}, 10, "learning.arms: 'raw' has no curve, since it isn't fitted on people"),
        (
            {"arms": ["mispel", "oracle"]},
            10,
            "'oracle' has no curve, since it is a control, or a further fit; leave it",
        ),
        (
            {"people": [1, 2]},
            10,
            "learning.people: 1, and a fit of 'combat' takes 2 people at least; begin with as many",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_number_and_remedy(given, travelling, message):
    with pytest.raises(InputError) as refused:
        planned_curve(DEFAULT | given, CANDIDATES, travelling)
    assert message in str(refused.value)


def test_a_run_without_a_fitted_arm_has_no_curve():
    with pytest.raises(InputError, match="no arm of the run is fitted"):
        planned_curve(DEFAULT, {RAW: CANDIDATES[RAW]}, 10)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"role": "seed"}, "it is a control, or a further fit"),
        ({"fits_on": "scan"}, "it isn't fitted on people"),
        ({"uses_other_scans": True}, "it looks at a person's other scans"),
        ({"of_volumes": RAW}, ""),
        ({"of_volumes": "mispel"}, "it harmonizes the volumes of 'mispel', and a curve is of those of RAW"),
    ],
)
def test_which_arms_have_a_curve(changed, why):
    found = why_no_curve(**({"role": "arm", "fits_on": "study", "uses_other_scans": False, "of_volumes": ""} | changed))
    assert found.startswith(why)
    assert bool(found) == bool(why)


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def test_the_demos_curve(config):
    demo = Configuration(config)
    assert demo.learning == LearningCurve(("ravel", "mispel"), (2, 4), 3, held_out=2, travelling=6)
    fitted = demo.trial("learning", "mispel/people-2_draw-1")
    assert (fitted.method, fitted.parameters) == ("mispel", {"preset": "demo"})
    point = demo.trial("sweep", "002")
    assert (point.method, point.parameters["embeddings"], point.parameters["lambda4"]) == ("mispel", 3, 4.0)


def test_who_misses_a_scan_does_not_count(config):
    config["study"]["phantom"]["missing"] = [["02", "GE"], ["05", "Trio"]]
    assert Configuration(config).learning.travelling == 4


def test_a_follow_up_does_not_stand_for_a_scan_that_is_missed(config, tmp_path):
    path = write_study(tmp_path / "own", subjects=6, missing=("03", "Gamma"))
    table = pd.read_csv(path, sep="\t", dtype=str).assign(session="first", time="")
    later = table[(table["subject"] == "03") & (table["scanner"] == "Alpha")]
    later = later.assign(scanner="Gamma", session="later", time="2")
    later["image"] = [write_rescan(path.parent / image, 0).name for image in later["image"]]
    pd.concat([table, later]).to_csv(path, sep="\t", index=False)
    config["study"] |= {"source": "sheet", "sheet": {"scans": str(path)}}
    assert Configuration(config).learning.travelling == 5


def test_arms_say_how_many_people_they_take(config):
    config["methods"] |= {"combat": {}, "shifts": {"method": "combat", "mean_only": True}, "covbat": {}}
    config["learning"] |= {"people": [1, 2], "arms": ["shifts"]}
    assert Configuration(config).learning.people == (1, 2)
    for arm in ("combat", "covbat"):
        config["learning"]["arms"] = [arm]
        with pytest.raises(InputError, match=f"a fit of '{arm}' takes 2 people at least"):
            _ = Configuration(config).learning


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"people": []}, "learning.people"),
        ({"people": [0, 2]}, "learning.people.0: 0 is less than the minimum of 1"),
        ({"held_out": 1}, "learning.held_out: 1 is less than the minimum of 2"),
        ({"draws": 0}, "learning.draws"),
        ({"drawn": 3}, "unknown key 'learning.drawn' (did you mean 'draws'?)"),
    ],
)
def test_the_schema(config, changed, message):
    config["learning"] |= changed
    with pytest.raises(InputError) as refused:
        Configuration(config)
    assert message in str(refused.value)


def test_a_run_that_cannot_have_a_curve_is_not_refused(config):
    config["study"]["phantom"]["subjects"] = 3
    with pytest.raises(InputError, match="3 people were scanned on every scanner"):
        _ = Configuration(config).learning


@pytest.mark.slow
def test_what_the_demos_curve_plans(tmp_path):
    found = planned(snakemake(tmp_path, "-n", "learning"))
    # two arms on 2 people in three draws, and on all 4; RAW alone is segmented and measured beside them
    assert {rule: found.get(rule) for rule in ("learning_scans", "trial_fit", "trial_apply", "judge", "learning")} == {
        "learning_scans": 4,
        "trial_fit": 8,
        "trial_apply": 8,
        "judge": 8,
        "learning": 1,
    }
    assert {rule: found.get(rule) for rule in ("fit", "segment", "measure")} == {"fit": 1, "segment": 1, "measure": 1}
    assert not {"sweep", "metrics", "report"} & set(found)


@pytest.mark.slow
def test_too_many_people_end_the_planning_with_a_sentence(tmp_path):
    done = snakemake(tmp_path, "-n", "learning", "--config", "learning={people: [2, 8]}")
    assert done.returncode != 0
    assert "error: learning: 6 people were scanned on every scanner, of whom 2 are held out and 4 left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a curve of 5 people on 3 scanners, one of them rescanned, with an arm whose fit fails."""
    folder = tmp_path_factory.mktemp("learning")
    sheet = write_study(folder / "own", subjects=5)
    table = pd.read_csv(sheet, sep="\t", dtype=str).assign(session="first")
    again = table[(table["subject"] == "01") & (table["scanner"] != "Gamma")].assign(session="again")
    again["image"] = [write_rescan(sheet.parent / image, seed).name for seed, image in enumerate(again["image"])]
    pd.concat([table, again]).to_csv(sheet, sep="\t", index=False)
    broken = {"method": "command", "fit": "false {scans} {model}", "apply": "true {scans} {model} {out}"}
    config = write_config(
        folder,
        methods={
            **NO_CONTROL_ARMS,
            **dict.fromkeys(("whitestripe", "ravel", "mispel")),
            "combat": {},
            "combat_volumes": {},
            "broken": broken,
        },
        segmentation={"engine": "hmrf"},
        people_per_job=5,
        learning={"people": [2, 3], "draws": 1, "held_out": 2},
    )
    done = snakemake(folder, "learning", "--configfile", config)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ComBat on volumes surely gains over RAW not within the people there are (3), and keeps" in done.stderr
    return folder / "results" / "small" / "learning"


@pytest.mark.slow
def test_a_small_real_curve(finished):
    trials = read_table(finished / "learning.tsv")
    assert trials["arm"].tolist() == ["broken", "broken", "combat", "combat", "combat_volumes", "combat_volumes"]
    assert trials["people"].tolist() == [2, 3] * 3
    assert trials["status"].tolist() == ["failed"] * 2 + ["ok"] * 4
    assert trials["reason"].iloc[0].startswith("at step fit: ")
    fewer, more = (set(people.split(",")) for people in trials["learned_from"].iloc[2:4])
    assert fewer < more
    seen = read_json(finished / "models" / "combat" / "people-3_draw-1" / "method.json")["subjects"]
    assert set(seen) == more
    volumes = read_table(finished / "parts" / "combat_volumes" / "people-3_draw-1" / "volumes-all.tsv")
    assert more | set(volumes["subject"]) == {"01", "02", "03", "04", "05"}
    known = trials[trials["status"] == "ok"]
    assert np.isfinite(known[["value", "raw", "rescan", "gain", "kept_share", "icc"]].to_numpy(float)).all()
    assert np.allclose(known["gain"], known["raw"] - known["value"])
    assert trials["value"].iloc[:2].isna().all()


@pytest.mark.slow
def test_its_summary_figure_and_sentences(finished):
    summary = read_table(finished / "learning_summary.tsv")
    assert summary["arm"].tolist() == [RAW, *(arm for arm in ("broken", "combat", "combat_volumes") for _ in range(2))]
    assert summary["surely"].iloc[1] == "not known"
    assert all((finished / f"learning.{ending}").stat().st_size for ending in ("png", "svg"))
    said = (finished.parent / "logs" / "learning" / "learning.log").read_text()
    assert summary["answer"].iloc[1].startswith("gave no numbers (at step fit: ")
    assert all(told in said for told in summary["answer"].iloc[1:])
    last = learned(finished.parent)
    assert last[1].startswith("  broken gave no numbers (at step fit: ")
    none = "not within the people there are (3)"
    assert last[2] == f"  ComBat surely gains over RAW {none}, and keeps the person {none}."
    assert last[-1] == f"Learning curve: {finished / 'learning.png'}"
    # what was harmonized isn't kept
    assert not list((finished / "harmonized").rglob("*.nii.gz"))


@pytest.mark.slow
def test_what_failed_is_tried_again(finished):
    words = ("-n", "learning", "--configfile", "config.yaml")
    folder = finished.parents[2]
    assert "Nothing to be done" in snakemake(folder, *words).stdout
    forget_failures(finished)
    found = planned(snakemake(folder, *words))
    assert found["total"] == 7
    assert [found[rule] for rule in ("trial_fit", "trial_apply", "judge", "learning")] == [2, 2, 2, 1]
