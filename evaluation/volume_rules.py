"""What counts as a tissue when its volume is taken, and which conclusions depend on it.

A run has volumes by three rules: its own (posterior > 0.8 in the paper and by default), which the paper's Table 3
and Figures 3, 5 and 6 are about; the sum of partial volumes, which is the main one for everything else; and the
hard label, which stands beside it, and for it where an engine estimates no partial volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from core.names import PAPER_TISSUES, RAW

RUN = ""
PARTIAL_VOLUMES = "_pve"
HARD = "_hard"
ENDINGS = (RUN, PARTIAL_VOLUMES, HARD)
"""Endings of the columns of volumes and of what is made of them."""

NAMES = {PARTIAL_VOLUMES: "partial-volume sum", HARD: "hard label"}
"""The rules that every run has, as a person reads them."""

RESOLUTION = 1e-5
"""Tables keep six significant digits: a change below this share of what is compared is none."""


def main_rule(table: pd.DataFrame, column: str) -> str:
    """The ending of the rule that a table's `column` is taken by: partial volumes, or hard label without any."""
    return PARTIAL_VOLUMES if table[f"{column}{PARTIAL_VOLUMES}"].notna().any() else HARD


def in_words(rule: str) -> str:
    """A rule as `metrics/volumes.tsv` has it, such as "posterior 0.8", as a person reads it: "posterior > 0.8"."""
    kind, _, threshold = rule.partition(" ")
    words = {"posterior": "posterior > ", "partial_volume": "partial volume from ", "hard": NAMES[HARD]}
    return f"{words.get(kind, kind)}{threshold}"


def runs_rule(volumes: pd.DataFrame | None) -> str:
    """The run's own rule in words, from `metrics/volumes.tsv`; empty for a run without volumes."""
    return "" if volumes is None else ", ".join(in_words(str(rule)) for rule in volumes["rule"].dropna().unique())


@dataclass(frozen=True)
class Flip:
    """An arm whose volumes of a tissue differ less between scanners than RAW's by some rules, and more by others."""

    method: str
    tissue: str
    less: tuple[str, ...]
    more: tuple[str, ...]


def changes_from_raw(differences: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """How each arm changes the mean absolute difference of volumes, by rule: method, tissue, and a column a rule.

    `differences` are those of `metrics/volume_differences.tsv`; `names` are the columns' endings and what the rules
    are called. The mean is over people of their means over pairs of scanners, of the pairs that RAW has too; what
    is too small for the table's digits is 0.
    """
    keys = ["subject", "scanner_a", "scanner_b", "tissue"]
    columns = {f"absolute_difference_ml{ending}": name for ending, name in names.items()}
    raw = differences[differences["method"] == RAW]
    arms = differences[differences["method"] != RAW]
    both = arms.merge(raw, on=keys, suffixes=("", "_raw"))
    for column, name in columns.items():
        change = both[column] - both[f"{column}_raw"]
        both[name] = change.where(change.abs() > RESOLUTION * both[f"{column}_raw"], 0.0).where(change.notna())
    people = both.groupby(["method", "tissue", "subject"], sort=False)[list(columns.values())].mean()
    return people.groupby(["method", "tissue"], sort=False).mean().reset_index()


def flips(changes: pd.DataFrame) -> list[Flip]:
    """The arms and tissues for which `changes` (method, tissue, a column a rule) haven't one sign by all rules.

    0 and NaN have no sign. Tissues are in the paper's order, in each the arms in the table's.
    """
    rules = [column for column in changes if column not in ("method", "tissue")]
    found = []
    for tissue in PAPER_TISSUES:
        for row in changes[changes["tissue"] == tissue].to_dict("records"):
            less = tuple(str(rule) for rule in rules if row[rule] < 0)
            more = tuple(str(rule) for rule in rules if row[rule] > 0)
            if less and more:
                found.append(Flip(row["method"], tissue, less, more))
    return found


def flips_in_words(found: Iterable[Flip], rules: Iterable[str], label: Callable[[str], str]) -> str:
    """A sentence that names the arms and tissues that flip; or that says that none does, by which rules."""
    told = [
        f"{label(flip.method)} in {flip.tissue} (smaller than RAW's by {_listed(flip.less)}, larger by "
        f"{_listed(flip.more)})"
        for flip in found
    ]
    if not told:
        return (
            f"By each of the rules ({', '.join(rules)}) the mean difference of every arm and tissue is on the same "
            "side of RAW's."
        )
    return f"Depends on the rule of what counts as a tissue: {'; '.join(told)}."


def flips_of_run(differences: pd.DataFrame, volumes: pd.DataFrame, label: Callable[[str], str]) -> str:
    """The sentence of `flips_in_words` for a run's `metrics/volume_differences.tsv` and `metrics/volumes.tsv`."""
    names = {RUN: runs_rule(volumes), **NAMES}
    known = {
        ending: name
        for ending, name in names.items()
        # a run whose own rule is the hard label has it once
        if differences[f"absolute_difference_ml{ending}"].notna().any() and (ending != RUN or name != NAMES[HARD])
    }
    return flips_in_words(flips(changes_from_raw(differences, known)), known.values(), label)


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
