"""Whether the verdict survives the segmenter: by every engine and rule what the verdict asks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.run_folder import RunFolder
from core.sheet import read_sheet
from evaluation.arms.intensities import measure_intensities
from evaluation.arms.parts import ENGINE_COLUMNS, VOLUME_COLUMNS
from evaluation.arms.segmenting import resegment_arm, segment_arm
from evaluation.figures import figure_segmenters
from evaluation.runs.arms_table import Arm
from evaluation.segmenters import COLUMNS, Segmented, by_segmenter, order_agreement, sentence
from evaluation.verdicts.answers import BEYOND, UNCLEAR, WORSE
from tests.support.made_up_study import write_study


def about(name: str, **given) -> Arm:
    return Arm(
        id=name,
        method=name,
        label=name,
        citation="",
        limits="",
        maps_intensities=True,
        **{"learns_scanners": False, **given},
    )


ARMS = {arm.id: arm for arm in (about("raw"), about("good"), about("bad"), about("volumes", gives="volumes"))}
SCALES = {"raw": 1.0, "good": 0.2, "bad": 2.0}
"""How far an arm's scans lie apart, as a share of how far RAW's do."""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return read_sheet(write_study(tmp_path_factory.mktemp("study"), subjects=6), check=False)


def made_up(study, scales, engine: str, *, partial_volumes: bool = True) -> pd.DataFrame:
    """Volumes of people that differ between scanners by an amount of each arm's."""
    random = np.random.default_rng(2)
    shifts = {(s, k): 10 * k + random.normal() for s in study.subjects for k in range(len(study.scanners))}
    rows = []
    for arm, scale in scales.items():
        for subject in study.subjects:
            for place, scanner in enumerate(study.scanners):
                volume = 600 + scale * shifts[subject, place]
                rows.append(
                    {
                        "method": arm,
                        "subject": subject,
                        "scanner": scanner,
                        "tissue": "GM",
                        "volume_ml": volume,
                        "volume_ml_hard": volume,
                        "volume_ml_pve": volume if partial_volumes else math.nan,
                        "engine": engine,
                    }
                )
    return pd.DataFrame(rows)


def compared(study, *volumes: pd.DataFrame) -> pd.DataFrame:
    segmented = [
        Segmented(each["engine"].iloc[0], each, pd.DataFrame(columns=[*each.columns, "session"])) for each in volumes
    ]
    return by_segmenter(segmented, study, ARMS, tissue="GM", own_rule="_pve")


def test_every_engine_and_rule_is_asked_what_the_verdict_asks(study):
    swapped = {"raw": 1.0, "good": 2.0, "bad": 0.2}
    other = made_up(study, swapped, "other", partial_volumes=False)
    table = compared(study, made_up(study, SCALES | {"volumes": 0.1}, "own"), other)
    assert list(table.columns) == COLUMNS
    columns = list(table[["engine", "rule"]].drop_duplicates().itertuples(index=False, name=None))
    # the endpoint's own first; an engine without partial volumes has no such rule
    assert columns == [("own", "_pve"), ("own", ""), ("own", "_hard"), ("other", ""), ("other", "_hard")]
    assert table["own"].tolist() == [True] * 3 + [False] * 10
    answers = table.set_index(["engine", "rule", "method"])["removed"]
    assert answers["own", "_pve", "good"] == answers["other", "", "bad"] == BEYOND
    assert answers["own", "_hard", "bad"] == answers["other", "_hard", "good"] == WORSE
    # volumes by the run's own engine are all that an arm of volumes has
    assert "volumes" not in set(table.loc[table["engine"] == "other", "method"])
    taus = table.drop_duplicates(["engine", "rule"])["tau"].tolist()
    assert taus == pytest.approx([1, 1, 1, -1, -1])
    told = sentence(table)
    assert (
        "By other segmenters and rules of volumes (own, the run's rule; own, hard label; other, the run's rule" in told
    )
    assert "tau with the arms' order by the primary endpoint is -1.00 to 1.00" in told
    assert "the answer changes for 2 of 3 arms" in told


def test_a_gain_that_another_engine_does_not_show(study):
    table = compared(study, made_up(study, SCALES, "own"), made_up(study, SCALES | {"good": 1.0}, "other"))
    row = table[(table["engine"] == "other") & (table["rule"] == "_pve") & (table["method"] == "good")].iloc[0]
    assert row["removed"] == UNCLEAR
    assert row["gain"] == pytest.approx(0)
    assert "the answer changes for 1 of 2 arms" in sentence(table)
    same = compared(study, made_up(study, SCALES, "own"), made_up(study, SCALES, "other"))
    assert "no arm's answer changes" in sentence(same)


def test_the_order_of_fewer_than_two_arms_is_none():
    assert math.isnan(order_agreement({"one": 1.0}, {"one": 2.0}))
    assert math.isnan(order_agreement({"one": 1.0, "two": math.nan}, {"one": 2.0, "two": 1.0}))
    assert order_agreement({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.0, "b": 3.0, "c": 2.0}) == pytest.approx(1 / 3)


def test_a_further_engine_that_is_the_own_one_gives_its_volumes(tmp_path):
    sheet = write_study(tmp_path, subjects=1)
    scans = read_sheet(sheet, scale="brain")
    images = RunFolder(tmp_path).images("raw")
    images.mkdir(parents=True)
    for scan in scans.scans:
        (images / f"{scan.name}_T1w.nii.gz").symlink_to(scan.image)
    brains = [scan.load(scan.image)[scan.read_mask()] for scan in scans.scans]
    spread = measure_intensities("raw", lambda: brains, len(brains))
    given = {"arm": "raw", "images": images, "intensities": spread, "reference": spread, "threads": 1}
    given |= {"rule": "posterior", "threshold": 0.8}
    own, _ = segment_arm(scans, engine="gmm", out=tmp_path / "labels", **given)
    further = resegment_arm(scans, engines=["gmm", "hmrf"], **given)
    assert list(further.columns) == ENGINE_COLUMNS
    assert set(further["engine"]) == {"gmm", "hmrf"}
    again = further.loc[further["engine"] == "gmm", VOLUME_COLUMNS].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, own)
    assert further["dice_truth"].isna().all()


def test_the_figure_frames_what_is_beyond_and_leaves_out_what_was_not_asked(study):
    table = compared(study, made_up(study, SCALES | {"volumes": 0.1}, "own"), made_up(study, SCALES, "other"))
    page = figure_segmenters.plot(table, labels={"good": "Good", "bad": "Bad", "volumes": "Volumes"})
    (axis,) = page.axes
    assert len(axis.patches) == (table["removed"] == BEYOND).sum()
    written = [text.get_text() for text in axis.texts]
    # six columns of arms of images, three of the arm of volumes
    assert len(written) == 15
    assert written[0] == "80"
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["Good", "Bad", "Volumes"]
    assert "other\nhard label\ntau 1.00" in [tick.get_text() for tick in axis.get_xticklabels()]


def test_the_figure_says_where_raw_leaves_nothing_to_remove(study):
    table = compared(study, made_up(study, SCALES, "own"), made_up(study, SCALES, "other"))
    table.loc[table["engine"] == "other", "rescan"] = table["raw"] + 1
    page = figure_segmenters.plot(table, labels={"good": "Good", "bad": "Bad"})
    written = [text.get_text() for text in page.axes[0].texts]
    assert written.count("none") == (table["engine"] == "other").sum()
    assert len(written) == len(table)
