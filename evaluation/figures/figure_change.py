"""Change over time as it is measured on one scanner and across an upgrade, beside the true one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.names import PAPER_TISSUES
from evaluation.figures import panels, spreads, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.measures.change import SAME, UPGRADE, kinds, one_each, untold
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Change over time, on one scanner and across an upgrade"
TOPIC = "Volumes"
CAPTION = (
    "How much a tissue's volume changed from a person's first scan to the follow-up, as each arm measures it: on the "
    "same scanner, and where another one took its place (upgrade), from every scanner to every other. Points are "
    "people and pairs of scanners. The dashed line is the true mean change, where it is known, the band the range of "
    "the people's true changes; what lies off it is error. Above: how many people a study needs to see the change that "
    "the arm's scans of one scanner show (t-test, power 0.8, alpha 0.05), where everyone's pair of scanners is drawn "
    "by chance, and the 95 % interval; k: thousand, a dash: more than 100,000, or no number is enough, a question "
    "mark: fewer than three people, or a change that over its SD isn't surely above 0."
)
BOX = 0.26
"""Inches in the report that a box with its number needs."""

NAMES = {SAME: "same", UPGRADE: "upgrade"}
NEEDED = ["people_needed", "people_needed_low", "people_needed_high"]


@style.styled
def plot(
    changes: Mapping[str, np.ndarray],
    needed: Mapping[str, np.ndarray],
    true: Mapping[str, np.ndarray],
    *,
    people: Sequence[str],
    arms: Sequence[str],
    looks: Sequence[Look],
    rule: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw a row of panels a tissue, a group an arm, a box for one scanner and one for upgrades.

    By tissue `changes` (arms, people x pairs, kinds) in mL, NaN where there is none, of the persons `people`;
    `needed` (arms, kinds, 3), how many people a study needs, at least and at most; `true` the people's true changes,
    none where not known.
    """
    on = medium()
    members = len(NAMES)
    rows = panels.chunks(len(arms), max(1, panels.a_row(BOX) // members))
    tissues = list(changes)
    panel = on.panel_height(1.9, len(tissues) * len(rows))
    if panel is None:
        tissues = tissues[:1]
        panel = on.panel_height(1.9, len(rows)) or on.scaled(1.3)
        notes = [f"{tissues[0]} alone, since there are many arms.", *notes]
    figure = style.page(
        style.by_rule(TITLE, rule),
        height=panel * len(tissues) * len(rows),
        simulated=simulated,
        legend=dict(zip(arms, looks, strict=True)),
        notes=[spreads.BOXES, *notes],
    )
    grid = figure.subplots(len(tissues) * len(rows), 1, squeeze=False)[:, 0]
    for (tissue, row), axis in zip(itertools.product(tissues, rows), grid, strict=True):
        values = changes[tissue][list(row)]
        shown = np.concatenate([changes[tissue][np.isfinite(changes[tissue])], true[tissue], [0.0]])
        margin = 0.06 * np.ptp(shown) or 1.0
        few = np.isfinite(values).sum(axis=1).max(initial=0) <= spreads.MOST_POINTS
        if len(true[tissue]):
            axis.axhspan(true[tissue].min(), true[tissue].max(), color="#d9d9d9", zorder=0)
            axis.axhline(true[tissue].mean(), color=style.INK, linewidth=0.9, linestyle="--", zorder=1)
        axis.axhline(0, color="#9a9a9a", linewidth=0.7, zorder=1)
        boxes, centers = panels.grouped_boxes(
            axis, values, looks=[looks[arm] for arm in row], people=people, join=False, dots=few, gap=0.7
        )
        axis.set_ylim(shown.min() - margin, shown.max() + margin)
        above = {"y": 1.02, "transform": axis.get_xaxis_transform(), "va": "bottom", "fontsize": on.tiny}
        axis.text(axis.get_xlim()[0], s="need \nfrom \nto ", ha="right", **above)
        for place, people_of in zip(boxes.ravel(), needed[tissue][list(row)].reshape(-1, 3), strict=True):
            axis.text(place, s="\n".join(in_lines(*people_of)), ha="center", **above)
        axis.set_ylabel(f"{tissue} change (mL)")
        room = (on.width - on.scaled(panels.AXIS)) / (len(row) * (members + 0.7))
        style.set_group_labels(axis, boxes.ravel(), [*NAMES.values()] * len(row), room)
        axis.tick_params(axis="x", length=0)
        for left, right in itertools.pairwise(centers):
            axis.axvline((left + right) / 2, color="#d0d0d0", linewidth=0.8, zorder=1)
    return figure


def make(run: FinishedRun) -> style.Page | None:
    """Draw `metrics/changes.tsv` and `change.tsv`; nothing for a run without follow-ups."""
    found = run.table(
        "metrics/changes.tsv",
        ["method", "subject", "tissue", "scanner_a", "scanner_b", "years", "change_ml", "true_change_ml", "rule"],
    )
    summary = run.table("metrics/change.tsv", ["method", "tissue", "kind", *NEEDED])
    if found is None or summary is None:
        return None
    found = one_each(found[found["years"] > 0])
    if found.empty:
        return None
    arms = [arm for arm in run.arms if (found["method"] == arm).any()]
    people = list(dict.fromkeys(found["subject"]))
    pairs = list(itertools.product(run.scanners, run.scanners))
    changes, needed, true = {}, {}, {}
    for tissue in PAPER_TISSUES:
        part, told = found[found["tissue"] == tissue], summary[summary["tissue"] == tissue]
        of_arms = [kinds(part[part["method"] == arm]) for arm in arms]
        changes[tissue] = np.stack(
            [np.stack([of_pairs(own, people, pairs).ravel() for _, own in of_kinds], axis=1) for of_kinds in of_arms]
        )
        by_kind = told.set_index(["method", "kind"])[NEEDED]
        of_all = by_kind.reindex(pd.MultiIndex.from_product([arms, NAMES]))
        needed[tissue] = of_all.to_numpy(dtype=float).reshape(len(arms), len(NAMES), len(NEEDED))
        true[tissue] = part.groupby("subject", sort=False)["true_change_ml"].mean().dropna().to_numpy()
    return plot(
        changes,
        needed,
        true,
        people=[person for person in people for _ in pairs],
        arms=[run.label(arm) for arm in arms],
        looks=[style.looks(run.arms)[arm] for arm in arms],
        rule=str(found["rule"].iloc[0]),
        simulated=run.simulated,
        notes=[style.counted([len(people)], "people followed up"), *run.notes()],
    )


def in_lines(needed: float, low: float, high: float) -> tuple[str, str, str]:
    """How many people, at least and at most, with a question mark where it can't be told."""
    return "?" if untold(needed, low, high) else in_short(needed), in_short(low), in_short(high)


def in_short(people: float) -> str:
    """A number of people as there is room for it: 940, 6.1k for thousands, a dash for none."""
    if not np.isfinite(people):
        return "–"
    return f"{people:.0f}" if people < 1000 else f"{people / 1000:.{people < 10_000:d}f}k"


def of_pairs(changes: pd.DataFrame, people: Sequence[str], pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Changes in mL of one arm and tissue as (people, pairs), NaN where there is none."""
    wide = changes.pivot(index="subject", columns=["scanner_a", "scanner_b"], values="change_ml")
    return wide.reindex(index=list(people), columns=pd.MultiIndex.from_tuples(pairs)).to_numpy(dtype=float)
