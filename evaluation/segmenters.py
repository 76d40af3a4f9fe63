"""Whether the verdict survives the segmenter: an arm's gains in volumes by every segmentation engine and rule.

The volumes of images that are the same are taken by each engine of the run and by each rule of what counts as a
tissue, and what a verdict asks (`evaluation.verdicts`) is asked of each. Arms that give volumes alone were given
those of the run's own engine, and have no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.names import RAW
from core.study import Study
from evaluation import volume_rules
from evaluation.arms.gathering import ENGINE_TABLE
from evaluation.measures import registry
from evaluation.measures.interface import rescan_table
from evaluation.measures.rescans import rescan_differences
from evaluation.measures.volumes import volume_differences
from evaluation.runs.arms_table import Arm, read_arms
from evaluation.runs.metrics import read_metric
from evaluation.scan_pairs import with_first_scans
from evaluation.sensitivity import kendall_tau
from evaluation.verdicts.endpoints import VOLUME_DIFFERENCES, Endpoint
from evaluation.verdicts.gains import gains
from evaluation.verdicts.verdict import removed_by_arm

OWN_RULE = "the run's rule"
TISSUE = "GM"
"""Of which volumes are taken where the primary endpoint is none of volumes."""

COLUMNS = [
    "engine",
    "rule",
    "own",
    "tissue",
    "method",
    "n",
    "value",
    "raw",
    "rescan",
    "gain",
    "gain_low",
    "gain_high",
    "removed",
    "tau",
]


@dataclass(frozen=True)
class Segmented:
    """Volumes by one engine: of scans, and of rescans, which may be none."""

    engine: str
    volumes: pd.DataFrame
    again: pd.DataFrame


def by_segmenter(
    segmented: list[Segmented], study: Study, described: Mapping[str, Arm], *, tissue: str, own_rule: str
) -> pd.DataFrame:
    """A row an engine, rule and arm that competes (`COLUMNS`): its gain over RAW, and whether that is beyond controls.

    segmented : by engine, the run's own first. own_rule : the ending of the rule that the primary endpoint is by.
    `own` says which rows are by the endpoint's own engine and rule, and `tau` is Kendall's, of the order of the arms'
    means with theirs; NaN for fewer than two arms.
    """
    rows: list[dict[str, object]] = []
    own: dict[str, float] = {}
    for place, found in enumerate(segmented):
        differences = volume_differences(found.volumes, study.pairs)
        rescans = rescan_differences(with_first_scans(found.volumes, found.again, study), study.session_pairs)
        # the endpoint's own rule first, with which the others are compared
        for ending in sorted(volume_rules.ENDINGS, key=lambda rule: rule != own_rule):
            measure = registry.find(f"volume_difference{ending}")
            if not measure.has_numbers_in(differences):
                continue
            told = gains(differences, rescans, Endpoint(measure, tissue), described)
            means: dict[str, float] = {}
            ranked = []
            for arm in described.values():
                part = told[told["method"] == arm.id]
                if not arm.competes or arm.id == RAW or part.empty:
                    continue
                over_raw = part[part["control"] == "raw"].iloc[0]
                means[arm.id] = float(over_raw["value"])
                ranked.append(
                    {
                        "engine": found.engine,
                        "rule": ending,
                        "own": place == 0 and ending == own_rule,
                        "tissue": tissue,
                        "method": arm.id,
                        "n": int(over_raw["n"]),
                        "value": over_raw["value"],
                        "raw": over_raw["control_value"],
                        "rescan": over_raw["rescan"],
                        "gain": over_raw["gain"],
                        "gain_low": over_raw["gain_low"],
                        "gain_high": over_raw["gain_high"],
                        "removed": removed_by_arm(arm, part, measure.better, described)[0],
                    }
                )
            own = own or means
            tau = order_agreement(own, means)
            rows += [{**row, "tau": tau} for row in ranked]
    return pd.DataFrame(rows, columns=COLUMNS)


def order_agreement(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Kendall's tau of the order of arms by their means in both; NaN for fewer than two."""
    both = np.array([(one[arm], other[arm]) for arm in one if arm in other], dtype=float).reshape(-1, 2)
    return kendall_tau(both[np.isfinite(both).all(axis=1)])


def run_segmenters(run: Path, study: Study, primary: str, tissue: str) -> pd.DataFrame:
    """`by_segmenter` of a run's metrics; `primary` and `tissue` are its primary endpoint's."""
    volumes, again = (read_metric(run, name) for name in ("volumes", rescan_table("volumes")))
    if volumes is None or volumes.empty:
        return pd.DataFrame(columns=COLUMNS)
    measure = registry.find(primary)
    of_volumes = measure.table == VOLUME_DIFFERENCES
    own_rule = measure.column.removeprefix("absolute_difference_ml") if of_volumes else volume_rules.PARTIAL_VOLUMES
    if volumes[f"volume_ml{own_rule}"].isna().all():
        own_rule = volume_rules.main_rule(volumes, "volume_ml")
    segmented = [Segmented(str(volumes["engine"].iloc[0]), volumes, _or_none(again, volumes))]
    others = read_metric(run, ENGINE_TABLE)
    if others is not None:
        rescans = _or_none(read_metric(run, rescan_table(ENGINE_TABLE)), others)
        segmented += [
            Segmented(str(engine), part, rescans[rescans["engine"] == engine].drop(columns="engine"))
            for engine, part in others.groupby("engine", sort=False)
        ]
    chosen = tissue if of_volumes else TISSUE
    return by_segmenter(segmented, study, read_arms(run), tissue=chosen, own_rule=own_rule)


def _or_none(table: pd.DataFrame | None, like: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(columns=[*like.columns, "session"]) if table is None else table


def sentence(table: pd.DataFrame) -> str:
    """Whether order and answers hold by the other engines and rules; `table` is `by_segmenter`'s."""
    others = table[~table["own"]]
    named = [name_of(*key) for key in others[["engine", "rule"]].drop_duplicates().itertuples(index=False)]
    if not named:
        return ""
    taus = others["tau"].dropna()
    order = (
        f"Kendall's tau with the arms' order by the primary endpoint is {taus.min():.2f} to {taus.max():.2f}"
        if len(taus)
        else "there are too few arms to compare their order"
    )
    answers = table.groupby("method", sort=False)["removed"].nunique()
    changed = int((answers > 1).sum())
    held = (
        "no arm's answer changes"
        if not changed
        else f"the answer changes for {changed} of {len(answers)} arm{'s' if len(answers) != 1 else ''}"
    )
    engines = table["engine"].nunique()
    of = "other rules of volumes" if engines == 1 else "other segmenters and rules of volumes"
    return f"By {of} ({'; '.join(named)}) {order}, and {held} (table_segmenters)."


def name_of(engine: str, ending: str) -> str:
    """An engine and a rule, as a person reads them."""
    return f"{engine}, {volume_rules.NAMES.get(ending, OWN_RULE)}"
