"""A run with rescans and every control: from the configuration to the verdict on the report's first screen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.files import read_json, read_table
from tests.support.made_up_study import write_rescan, write_study
from tests.support.runs import snakemake, write_config

pytestmark = pytest.mark.slow

ARMS = {"raw", "mispel", "mispel_seed1", "mispel_permuted", "mispel_permuted_seed1", "mispel_blur"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run of 3 people on 3 scanners, the first of them rescanned on two."""
    folder = tmp_path_factory.mktemp("controls")
    sheet = write_study(folder / "own")
    table = pd.read_csv(sheet, sep="\t", dtype=str).assign(session="first")
    again = table[(table["subject"] == "01") & (table["scanner"] != "Gamma")].assign(session="again")
    again["image"] = [write_rescan(sheet.parent / image, seed).name for seed, image in enumerate(again["image"])]
    pd.concat([table, again]).to_csv(sheet, sep="\t", index=False)
    config = write_config(
        folder,
        methods={"whitestripe": None, "ravel": None},
        controls={"permuted": True, "matched_blur": True, "seeds": 2},
        segmentation={"engine": "hmrf"},
    )
    done = snakemake(folder, "--configfile", config)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "results" / "small"


def test_controls_and_seeds_are_arms_that_say_what_they_are(run):
    arms = read_table(run / "arms.tsv").fillna("").set_index("arm")
    assert set(arms.index) == ARMS
    assert arms.loc["mispel_permuted_seed1", ["role", "of"]].tolist() == ["seed", "mispel_permuted"]
    assert read_json(run / "models" / "mispel_permuted" / "method.json")["method"] == "shuffle"
    assert read_json(run / "models" / "mispel_seed1" / "method.json")["seed"] == 1
    assert set(read_table(run / "status.tsv")["status"]) == {"ok"}


def test_rescans_are_harmonized_segmented_and_measured_but_not_paired(run):
    name = "sub-01_scanner-Alpha_session-again"
    for arm in ("raw", "mispel", "mispel_blur"):
        assert (run / "images" / arm / f"{name}_T1w.nii.gz").exists()
        assert (run / "segmentations" / arm / f"{name}_dseg.nii.gz").exists()
    # a further seed is there for the spread of what lies between scanners alone
    assert not (run / "images" / "mispel_seed1" / f"{name}_T1w.nii.gz").exists()
    ssim, rescans = (read_table(run / "metrics" / f"{table}.tsv") for table in ("ssim", "rescan_ssim"))
    assert (ssim.groupby("method").size() == 9).all()
    assert list(rescans[rescans["method"] == "raw"]["scanner"]) == ["Alpha", "Beta 2"]
    assert set(zip(rescans["session_a"], rescans["session_b"], strict=True)) == {("first", "again")}
    volumes = read_table(run / "metrics" / "rescan_volume_differences.tsv")
    assert len(volumes[volumes["method"] == "raw"]) == 2 * 3


def test_gains_and_verdicts_are_those_of_the_arm_and_its_controls(run):
    gains = read_table(run / "statistics" / "gains.tsv")
    first = gains[(gains["endpoint"] == "primary") & (gains["method"] == "mispel")]
    assert list(first["control"]) == ["raw", "permuted", "blur"]
    assert list(first["control_seeds"]) == [1, 2, 1]
    assert set(first["seeds"]) == {2}
    differences = read_table(run / "metrics" / "volume_differences.tsv")
    gray = differences[differences["tissue"] == "GM"].groupby("method")["absolute_difference_ml_pve"].mean()
    assert first["value"].iloc[0] == pytest.approx((gray["mispel"] + gray["mispel_seed1"]) / 2, rel=1e-4)
    verdicts = read_table(run / "statistics" / "verdicts.tsv").set_index("method")
    assert verdicts.loc["mispel_blur", "removed"] == "not compared"
    assert verdicts.loc["mispel", "harmonizes"] in ("yes", "not shown")


def test_tests_and_the_papers_tables_are_about_arms_alone(run):
    assert set(read_table(run / "statistics" / "paired_tests.tsv")["method"]) == {"raw", "mispel"}
    assert set(read_table(run / "tables" / "table2_ssim.tsv")["method"]) == {"raw", "mispel"}
    shown = set(read_table(run / "tables" / "table_summary.tsv")["method"])
    assert shown == {"raw", "mispel", "mispel_permuted", "mispel_blur"}


def test_the_first_screen_says_what_was_asked_first_and_what_it_hangs_on(run):
    page = (run / "report.html").read_text()
    screen = page[page.index('id="summary"') : page.index('id="arms"')]
    for words in ("Primary endpoint", "primary endpoint", "rescans of RAW", "permuted labels", "Worst tissue"):
        assert words in screen, words
    assert "3 people: only large gains" in screen
    assert (run / "figures" / "figure_verdict.png").exists()
    assert "Claims of the paper" in page
