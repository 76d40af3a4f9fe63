"""What the paper claims, and whether it is seen here: claim by claim, with the numbers and the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from core.names import PAPER_TISSUES, RAW
from evaluation.runs.finished_run import FinishedRun, is_yes
from evaluation.tables.layout import Panel, Table
from evaluation.tables.notes import all_notes
from evaluation.tables.published import PAPER_SUBJECTS
from evaluation.volume_rules import NAMES, RUN

ROLES = ("arm",)
MISPEL = "mispel"
NORMALIZED = ("whitestripe", "ravel")
BESIDE = (RAW, *NORMALIZED)
"""What the paper holds MISPEL against; it makes no claim about a run's further arms."""

RULES = {RUN: "the run's rule", **NAMES}
SEEN, NOT_SEEN, PARTLY = "seen", "not seen", "in part"


@dataclass(frozen=True)
class Claim:
    """A claim, where the paper makes it, what is found here, the answer, and what stands between the two."""

    claim: str
    where: str
    here: str
    answer: str
    reason: str


def make(run: FinishedRun) -> Table | None:
    """The paper's claims; None for a run without MISPEL."""
    if MISPEL not in run.arms:
        return None
    found = list(claims(run))
    notes = [
        f"The paper: {PAPER_SUBJECTS} people on four real scanners at 1 mm, MISPEL trained for some 80,000 steps at "
        f"width 32, FSL's FAST. Here: {len(run.subjects)} people on {len(run.scanners)} scanners"
        f"{' that are simulated' if run.simulated else ''}, MISPEL as {run.label(MISPEL)}. What is seen here is seen "
        "in this study and no other; what isn't seen may be the study's doing. Whether a gain is more than its "
        "controls' is another question, which the report's first screen answers.",
    ]
    rows = [[claim.claim, claim.where, claim.here, claim.answer, claim.reason] for claim in found]
    panel = Panel("", ["Claim of the paper", "Where", "Here", "Seen here", "Why, or why not"], rows)
    title = "Claims of the paper: reproduced here or not"
    return Table("table_claims", title, pd.DataFrame(map(vars, found)), [panel], all_notes(run, notes))


def claims(run: FinishedRun) -> Iterator[Claim]:
    """Every claim that the run's tables can be held against."""
    pairs = len(run.pairs)
    ssim = _pair_means(run, "ssim", "ssim")
    if ssim is not None:
        for arm in NORMALIZED:
            if arm in ssim:
                change = ssim[arm] - ssim[RAW]
                yield Claim(
                    f"{run.label(arm)} improves SSIM in all pairs",
                    "section 4.5, Table 2 (by .02 to .04)",
                    f"{(change > 0).sum()} of {pairs} pairs, on average by {change.mean():+.3f}",
                    _of_all(int((change > 0).sum()), pairs),
                    "on RAW's scale; on an arm's own scale SSIM depends on where its 0 lies",
                )
        stars = _starred(run, "ssim")
        yield Claim(
            "MISPEL significantly improves SSIM in all pairs",
            "section 4.5, Table 2",
            f"{stars} of {pairs} pairs (p < 0.05, uncorrected)",
            _of_all(stars, pairs),
            "any smoothing raises SSIM: see the gain over the matched blur",
        )
    for ending, rule in RULES.items():
        wins, cases, beside = _smallest(run, f"absolute_difference_ml{ending}")
        if cases:
            yield Claim(
                f"MISPEL has the smallest volume differences ({rule})",
                "section 4.6.2, Table 3 (15 of 18 cases, posterior > 0.8)",
                f"{wins} of {cases} cases, beside {', '.join(map(run.label, beside))}",
                SEEN if wins >= 15 / 18 * cases else PARTLY if wins > cases / 2 else NOT_SEEN,
                "at posterior > 0.8 voxels in no class count; noise decides how many"
                if not ending
                else "a rule that the paper doesn't use",
            )
    dice = _starred(run, "dice")
    yield Claim(
        "MISPEL significantly improves the overlap of tissues over RAW",
        "section 4.6.3, Figure 6 (there over WS and RAVEL, too)",
        f"{dice} of {pairs * len(PAPER_TISSUES)} pairs and tissues (p < 0.05, uncorrected)",
        _of_all(dice, pairs * len(PAPER_TISSUES)),
        "labels at the run's rule",
    )


def _of_all(found: int, cases: int) -> str:
    return SEEN if found == cases else PARTLY if found > cases / 2 else NOT_SEEN


def _pair_means(run: FinishedRun, name: str, column: str) -> pd.DataFrame | None:
    """Means over people by pair (rows) and arm (columns)."""
    table = run.table(f"metrics/{name}.tsv", ["method", "scanner_a", "scanner_b", column])
    if table is None or RAW not in set(table["method"]):
        return None
    keys = [key for key in ("tissue", "scanner_a", "scanner_b") if key in table]
    return table.pivot_table(index=keys, columns="method", values=column, aggfunc="mean", sort=False)


def _smallest(run: FinishedRun, column: str) -> tuple[int, int, list[str]]:
    """In how many pairs and tissues, of how many, MISPEL's mean is the smallest, and beside which of the paper's."""
    table = run.table("metrics/volume_differences.tsv")
    if table is None or column not in table or table[column].isna().all():
        return 0, 0, []
    means = _pair_means(run, "volume_differences", column)
    if means is None or MISPEL not in means:
        return 0, 0, []
    beside = [arm for arm in BESIDE if arm in means]
    return int((means[MISPEL] <= means[beside].min(axis=1)).sum()), len(means), beside


def _starred(run: FinishedRun, measure: str) -> int:
    """In how many pairs and tissues MISPEL is significantly better than RAW."""
    tests = run.table("statistics/paired_tests.tsv", ["measure", "method", "significant"])
    if tests is None:
        return 0
    return int(is_yes(tests.loc[(tests["measure"] == measure) & (tests["method"] == MISPEL), "significant"]).sum())
