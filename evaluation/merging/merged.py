"""Several studies side by side: which arms are one, pairwise wins, and whether the order of the arms holds.

An arm is one in two studies where id, method and parameters are; with other parameters it is another arm, named with
what differs. Verdicts are the runs' own: nothing is decided here again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.errors import InputError
from core.names import MISSING, RAW
from evaluation.merging.random_effects import mean_share, random_effects
from evaluation.merging.results import VERDICT_NUMBERS, VERDICT_WORDS, Results
from evaluation.runs.arms_table import Arm
from evaluation.verdicts.gains import gain_of

FEWEST_STUDIES = 2


@dataclass(frozen=True, eq=False)
class MergedArm:
    """An arm over studies: its key and label in all tables, and its id in each study by the study's name."""

    key: str
    label: str
    about: Arm
    ids: Mapping[str, str]

    @property
    def ranked(self) -> bool:
        """Whether it is compared with others: RAW, and what competes."""
        return self.about.competes


@dataclass(frozen=True, eq=False)
class Merged:
    """Several studies' results by name, and the arms of them all."""

    studies: Mapping[str, Results]
    arms: Sequence[MergedArm]


def merge(found: Sequence[Results]) -> Merged:
    """Put studies together, those of one name numbered.

    Raises `InputError` for fewer than two, for the same study twice under one configuration, and for different
    primary endpoints.
    """
    if len(found) < FEWEST_STUDIES:
        raise InputError(f"{len(found)} run or bundle; give two or more, such as results/demo and bundle.zip")
    first = found[0]
    seen: dict[tuple[str, str], Results] = {}
    for results in found:
        if results.endpoint != first.endpoint:
            raise InputError(
                f"{first.source} is about {first.endpoint.label} ({first.endpoint.measure.name}), "
                f"{results.source} about {results.endpoint.label} ({results.endpoint.measure.name}); "
                "merge runs of one primary endpoint (evaluation.primary of their configurations)"
            )
        prints = results.told["fingerprints"]
        key = (prints["configuration"], prints["inputs"])
        if key in seen:
            raise InputError(
                f"{results.source} is the same study under the same configuration as {seen[key].source}; "
                "give one of them"
            )
        seen[key] = results
    studies: dict[str, Results] = {}
    for results in found:
        name, number = results.told["run"], 2
        while name in studies:
            name, number = f"{results.told['run']} ({number})", number + 1
        studies[name] = results
    return Merged(studies, _arms_of(studies))


def _arms_of(studies: Mapping[str, Results]) -> list[MergedArm]:
    """The arms to be shown, RAW first: no controls of other arms and no further seeds."""
    groups: dict[str, dict[tuple[str, str], dict[str, Arm]]] = {}
    for name, results in studies.items():
        for arm in results.arms.values():
            if arm.role in ("arm", "control"):
                groups.setdefault(arm.id, {}).setdefault((arm.method, arm.parameters), {})[name] = arm
    merged = []
    for arm_id, kinds in sorted(groups.items(), key=lambda group: group[0] != RAW):
        words = _what_differs(list(kinds)) if len(kinds) > 1 else [""]
        for number, (by_study, differing) in enumerate(zip(kinds.values(), words, strict=True), start=1):
            about = next(iter(by_study.values()))
            label = " ".join(filter(None, [about.label, about.variant, differing]))
            key = arm_id if len(kinds) == 1 else f"{arm_id}_{number}"
            merged.append(MergedArm(key, label, about, {name: arm.id for name, arm in by_study.items()}))
    return merged


def _what_differs(kinds: Sequence[tuple[str, str]]) -> list[str]:
    """What sets arms of one id apart, in words: their methods, and the parameters that differ."""
    read = [{"method": method, **json.loads(parameters)} for method, parameters in kinds]
    names = [name for name in dict.fromkeys(itertools.chain(*read)) if len({str(one.get(name)) for one in read}) > 1]
    return [f"({', '.join(f'{name} {one.get(name)}' for name in names)})" for one in read]


def by_study(merged: Merged) -> pd.DataFrame:
    """A row an arm and study: people, mean with its interval, gain over RAW with its, and the run's own verdict.

    An arm that a study hasn't is a row without numbers.
    """
    rows = []
    for arm in merged.arms:
        for name, results in merged.studies.items():
            found = results.numbers.get(arm.ids.get(name, ""))
            row: dict[str, object] = {"study": name, "arm": arm.key, "label": arm.label, "role": arm.about.role}
            row["there"] = "no" if found is None else "yes"
            if found is not None:
                over_raw: Mapping[str, object] = next((gain for gain in found["gains"] if gain["control"] == "raw"), {})
                row |= {field: found[field] for field in ("people", "mean", "low", "high")}
                row |= {field: over_raw.get(field) for field in ("gain", "gain_low", "gain_high")}
                row |= {field: found[field] or MISSING for field in VERDICT_WORDS}
                row |= {field: found[field] for field in VERDICT_NUMBERS}
            rows.append(row)
    texts = ("study", "arm", "label", "role", "there", *VERDICT_WORDS)
    table = pd.DataFrame(rows)
    for column in table.columns:
        table[column] = table[column].fillna(MISSING) if column in texts else pd.to_numeric(table[column])
    return table


def pairwise(merged: Merged) -> pd.DataFrame:
    """Of every two ranked arms, a and b: in how many people, and how surely, a is better.

    `share` (`low`, `high`): of people for whom a is better, of one mean over seeds a person, the mean over studies
    (`random_effects.mean_share`). `a_clear`, `b_clear`: studies in which the 95 % interval of the mean difference over
    people (and seeds) leaves out 0, for a and for b. `difference` with its interval, positive where a is better:
    `random_effects.random_effects`, NaN for fewer than three studies.
    """
    ranked = [arm for arm in merged.arms if arm.ranked]
    rows = []
    for a, b in itertools.permutations(ranked, 2):
        wins, people, means, errors, clear = [], [], [], [], [0, 0]
        for name, results in merged.studies.items():
            pair = _pair(results, a.ids.get(name), b.ids.get(name))
            if pair is None:
                continue
            found = gain_of(*pair)
            differences = pair[0].mean(axis=0) - pair[1].mean(axis=0)
            wins.append(float((differences > 0).sum() + (differences == 0).sum() / 2))
            people.append(len(differences))
            means.append(found.gain)
            errors.append(found.error)
            clear[0] += found.low > 0
            clear[1] += found.high < 0
        if not people:
            continue
        share = mean_share(wins, people)
        pooled = random_effects(np.array(means), np.array(errors))
        rows.append(
            {
                "a": a.key,
                "b": b.key,
                "studies": len(people),
                "people": sum(people),
                "share": share.value,
                "low": share.low,
                "high": share.high,
                "a_clear": clear[0],
                "b_clear": clear[1],
                "difference": pooled.value,
                "difference_low": pooled.low,
                "difference_high": pooled.high,
                "spread": pooled.spread,
            }
        )
    columns = ["a", "b", "studies", "people", "share", "low", "high", "a_clear", "b_clear", "difference"]
    return pd.DataFrame(rows, columns=[*columns, "difference_low", "difference_high", "spread"])


def _pair(results: Results, a: str | None, b: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Two arms' values (seeds, people) of the same people, the higher the better; None where one has none."""
    fits = [results.fits(arm) if arm else [] for arm in (a, b)]
    if not all(fits):
        return None
    known = results.values[[*fits[0], *fits[1]]].dropna()
    if known.empty:
        return None
    sign = 1.0 if results.endpoint.measure.better == "higher" else -1.0
    one, other = (sign * known[list(names)].to_numpy(float).T for names in fits)
    return one, other


def ranks(merged: Merged) -> pd.DataFrame:
    """The rank of every ranked arm in every study that has all of them (1 is best): study, method, label, score, rank.

    Ranked are those with a number in every study; `score` is the mean of the endpoint, the higher the better. The
    order's agreement is that of `evaluation.sensitivity.agreement_of_order`.
    """
    sign = 1.0 if next(iter(merged.studies.values())).endpoint.measure.better == "higher" else -1.0
    scores = {
        (arm.key, name): sign * results.numbers[arm.ids[name]]["mean"]
        for arm in merged.arms
        for name, results in merged.studies.items()
        if arm.ranked and name in arm.ids and results.numbers[arm.ids[name]]["mean"] is not None
    }
    everywhere = [arm for arm in merged.arms if all((arm.key, name) in scores for name in merged.studies)]
    tables = []
    for name in merged.studies:
        part = pd.DataFrame(
            [(name, arm.key, arm.label, scores[arm.key, name]) for arm in everywhere],
            columns=["run", "method", "label", "score"],
        )
        tables.append(part.assign(rank=part["score"].rank(ascending=False)))
    return pd.concat(tables, ignore_index=True)


def spread_of_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Of `ranks`, each arm's best, mean and worst rank, by the mean."""
    grouped = table.groupby(["method", "label"], sort=False)["rank"]
    found = grouped.agg(best="min", mean="mean", worst="max").reset_index()
    return found.sort_values("mean", kind="stable").reset_index(drop=True)


def same_people(merged: Merged) -> list[tuple[str, str]]:
    """Pairs of studies of the same people: of the same scans, of the same files, or made up from one seed."""
    prints = {name: results.told["fingerprints"] for name, results in merged.studies.items()}
    return [
        (a, b)
        for a, b in itertools.combinations(prints, 2)
        if any(prints[a][of] == prints[b][of] for of in ("scans", "people"))
    ]
