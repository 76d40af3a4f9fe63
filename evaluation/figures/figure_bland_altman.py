"""Bias and limits of agreement of volumes between scanners (Bland and Altman)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.names import PAPER_TISSUES
from evaluation.figures import pair_bars, panels, spreads, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.runs.finished_run import FinishedRun
from evaluation.volume_rules import NAMES, main_rule

ROLES = ("arm",)

TITLE = "Bias and limits of agreement of volumes"
TOPIC = "Volumes"
CAPTION = (
    "Differences of volumes between two scanners (first minus second), by tissue, pair of scanners and arm: the bar "
    "spans the limits of agreement (bias -+ 1.96 standard deviations of the differences), the black line is the bias, "
    "points are subjects (Bland and Altman 1986). In an ideally harmonized arm all lie on 0. A bar off 0 is a scanner "
    "that reads high or low; a long bar is disagreement that differs from person to person."
)
OVER_PAIRS = (
    "Differences of volumes between two scanners, by tissue and arm: a value a pair of scanners, since there are too "
    "many pairs for a bar each. Left: the size of the bias; right: 1.96 standard deviations of the differences, half "
    "the distance between the limits of agreement (Bland and Altman 1986). In an ideally harmonized arm both are 0."
)
BAR = 0.114
"""Inches in the report that a bar with its points needs."""


@style.styled
def plot(
    agreement: dict[str, dict[str, np.ndarray]],
    differences: dict[str, dict[tuple[int, int], dict[str, float]]],
    *,
    pairs: Sequence[str],
    arms: Sequence[str],
    looks: Sequence[Look],
    rule: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw a row of panels a tissue, a group a pair, a bar an arm.

    `agreement` maps a tissue to bias, low and high, each (pairs, methods) in mL, NaN where there is none;
    `rule` says what counts as a tissue; `differences` maps it to the subjects' differences by (pair, method).
    """
    on = medium()
    rows = panels.chunks(len(pairs), max(2, panels.a_row(BAR) // len(arms)))
    widest = max(len(row) for row in rows)
    texts, angle = style.fit(list(pairs), (on.width - on.scaled(panels.AXIS)) / widest, on.small)
    wanted = 1.8 + (1.6 if angle else 0.13 * max(text.count("\n") + 1 for text in texts))
    panel = on.panel_height(wanted, len(agreement) * len(rows))
    if panel is None:
        found = {f"{tissue} size of bias (mL)": np.abs(by["bias"]).T for tissue, by in agreement.items()}
        found |= {f"{tissue} 1.96 SD (mL)": (by["high"] - by["low"]).T / 2 for tissue, by in agreement.items()}
        return spreads.plot(
            dict(sorted(found.items(), key=lambda item: list(agreement).index(item[0].split()[0]))),
            arms=arms,
            looks=looks,
            title=style.by_rule(TITLE, rule),
            caption=OVER_PAIRS,
            simulated=simulated,
            notes=[pair_bars.over_pairs(pairs), *notes],
        )
    figure = style.page(
        style.by_rule(TITLE, rule),
        height=panel * len(agreement) * len(rows),
        simulated=simulated,
        legend=dict(zip(arms, looks, strict=True)),
        notes=[
            style.counted([len(found) for by in differences.values() for found in by.values()], "subjects per bar"),
            "Bars: bias -+ 1.96 SD, the limits of agreement.",
            *notes,
        ],
    )
    grid = figure.subplots(len(agreement) * len(rows), 1, squeeze=False)[:, 0]
    width = 0.84 / len(arms)
    for number, (tissue, found) in enumerate(agreement.items()):
        points = np.array([0.0, *(value for people in differences[tissue].values() for value in people.values())])
        low = np.nanmin([np.nanmin(found["low"], initial=0.0), points.min()])
        high = np.nanmax([np.nanmax(found["high"], initial=0.0), points.max()])
        margin = 0.05 * (high - low) or 1.0
        for place, row in enumerate(rows):
            axis = grid[number * len(rows) + place]
            axis.axhline(0, color=style.INK, linewidth=0.8, zorder=1)
            for group, pair in enumerate(row):
                for column, look in enumerate(looks):
                    x = group - 0.42 + width * (column + 0.5)
                    bias, bottom, top = (found[name][pair, column] for name in ("bias", "low", "high"))
                    if np.isfinite(bottom):
                        axis.bar(
                            x,
                            top - bottom,
                            width * 0.86,
                            bottom,
                            color=look.color,
                            hatch=look.hatch,
                            edgecolor="white",
                            linewidth=0,
                            alpha=0.75,
                            zorder=2,
                        )
                    if np.isfinite(bias):
                        axis.hlines(bias, x - width * 0.43, x + width * 0.43, color=style.INK, linewidth=1.4, zorder=4)
                    people = differences[tissue].get((pair, column), {})
                    at = np.full(len(people), x)
                    panels.dot_people(axis, at, np.array([*people.values()]), zorder=3, people=[*people])
            axis.set_xlim(-0.5, len(row) - 0.5)
            axis.set_ylim(low - margin, high + margin)
            axis.grid(False, axis="x")
            axis.set_ylabel(f"{tissue} difference (mL)")
            names = [pairs[pair] for pair in row]
            style.set_group_labels(axis, range(len(row)), names, (on.width - on.scaled(panels.AXIS)) / len(row))
            axis.tick_params(axis="x", length=0)
    return figure


def make(run: FinishedRun) -> style.Page | None:
    """Draw `metrics/bland_altman.tsv` and the differences of `metrics/volume_differences.tsv`; nothing without them."""
    keys = ["method", "scanner_a", "scanner_b", "tissue"]
    table = run.table("metrics/bland_altman.tsv", [*keys, "rule", "bias_ml", "limit_low_ml", "limit_high_ml"])
    people = run.table(
        "metrics/volume_differences.tsv", [*keys, "subject", *(f"difference_ml{ending}" for ending in NAMES)]
    )
    if table is None or people is None or table["bias_ml"].notna().sum() == 0:
        return None
    rule = main_rule(people, "difference_ml")
    arms = run.arms_in(table)
    pairs = {pair: number for number, pair in enumerate(run.pairs)}
    columns = {"bias": "bias_ml", "low": "limit_low_ml", "high": "limit_high_ml"}
    agreement, differences = {}, {}
    for tissue in PAPER_TISSUES:
        part, points = (found[found["tissue"] == tissue] for found in (table, people))
        if part.empty:
            continue
        agreement[tissue] = {name: pair_bars.by_pair(part, run.pairs, arms, column) for name, column in columns.items()}
        differences[tissue] = {
            (pairs[str(a), str(b)], arms.index(str(arm))): {
                str(name): float(value) for name, value in people_of.dropna().items()
            }
            for (arm, a, b), people_of in points.set_index("subject").groupby(keys[:3])[f"difference_ml{rule}"]
            if (a, b) in pairs and arm in arms
        }
    return plot(
        agreement,
        differences,
        pairs=[pair_bars.pair_label(pair) for pair in run.pairs],
        arms=[run.label(arm) for arm in arms],
        looks=[style.looks(run.arms)[arm] for arm in arms],
        rule=NAMES[rule],
        simulated=run.simulated,
        notes=run.notes(),
    )
