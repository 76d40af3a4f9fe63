"""What a finished run found in its primary endpoint: what is merged with other studies, and sent in a bundle.

`Results.told` is what `results.json` holds (`evaluation/schemas/results.schema.yaml`): the study's card, the arms with
their methods' cards, every arm's numbers, and the run's own verdicts, word by word. `Results.table` has the numbers
person by person from which those follow.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.files import read_json
from core.jobs.made import digest
from core.names import RAW
from core.run_folder import RunFolder
from evaluation import intervals
from evaluation.measures import registry
from evaluation.measures.interface import rescan_table
from evaluation.report.page import without_folders
from evaluation.runs.arms_table import Arm, read_arms
from evaluation.runs.finished_run import FinishedRun, read_run
from evaluation.runs.metrics import read_metric
from evaluation.runs.provenance import read_provenance
from evaluation.runs.study_card import study_card
from evaluation.verdicts.endpoints import Endpoint, candidates, check_primary, means_by_person
from evaluation.verdicts.gains import GAIN_COLUMNS, gains, smallest_gain, with_seeds
from evaluation.verdicts.verdict import VERDICT_COLUMNS

SCHEMA = 1
"""The version of `results.json`; a change of what it holds or means is another."""

NOT_OF_THE_STUDY = (
    "run",
    "on_failure",
    "minutes_per_step",
    "people_per_job",
    "fit_threads",
    "fit_processes",
    "gpu",
    "sweep",
    "learning",
)
"""Keys of a configuration that change no result."""

TOLERANCE = 1e-4
"""By which numbers that were computed twice may differ, as a share of RAW's mean: tables keep six digits."""

GAIN_NUMBERS = ("value", "control_value", "gain", "gain_low", "gain_high")
VERDICT_WORDS = ("removed", "kept", "nearer", "harmonizes", "why")
VERDICT_NUMBERS = (
    "removed_share",
    "removed_share_low",
    "removed_share_high",
    "kept_share",
    "kept_share_low",
    "kept_share_high",
    "kept_volume_share",
)


@dataclass(frozen=True, eq=False)
class Results:
    """A study's results: `told` as `results.json` holds them, and the primary endpoint's tables of people.

    `source` is the run or bundle that they come from; `table` are rows of `metrics/`, of persons and pairs of
    scanners, `rescans` those between scans and rescans, None without any.
    """

    source: Path
    told: Mapping[str, Any]
    table: pd.DataFrame
    rescans: pd.DataFrame | None

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """What the arms are, by id."""
        return {entry["id"]: Arm(**entry) for entry in self.told["arms"]}

    @cached_property
    def endpoint(self) -> Endpoint:
        """The primary endpoint."""
        return endpoint_of(self.told["endpoint"])

    @cached_property
    def values(self) -> pd.DataFrame:
        """The endpoint's mean over pairs of scanners by person (rows) and arm (columns), further seeds' too."""
        return means_by_person(self.table, self.endpoint)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """The endpoint's gains, computed from the people's numbers: `evaluation.verdicts.gains.GAIN_COLUMNS`."""
        return gains(self.table, self.rescans, self.endpoint, self.arms)

    @cached_property
    def numbers(self) -> dict[str, Mapping[str, Any]]:
        """What `results.json` says of each arm, by id."""
        return {entry["arm"]: entry for entry in self.told["results"]}

    def fits(self, arm: str) -> list[str]:
        """The arm and its fits under further seeds, those that have numbers."""
        return [fit for fit in with_seeds(arm, self.arms) if fit in self.values]


def endpoint_of(told: Mapping[str, Any]) -> Endpoint:
    """The endpoint that `results.json` names. Raises `InputError` for a measure that is none here."""
    if told["measure"] not in candidates():
        raise InputError(
            f"endpoint.measure: '{told['measure']}' is no primary endpoint of this version; merge with the version "
            "that made it"
        )
    check_primary(told["measure"], told["tissue"])
    return Endpoint(registry.find(told["measure"]), told["tissue"], primary=True)


def results_of_run(folder: Path) -> Results:
    """The results of a finished run.

    Raises `InputError` for a run without verdicts, one that doesn't record its arms' parameters, and
    one whose gains don't follow from its metrics.
    """
    run = read_run(folder)
    found = run.table("statistics/gains.tsv", GAIN_COLUMNS)
    verdicts = run.table("statistics/verdicts.tsv", VERDICT_COLUMNS)
    if found is None or verdicts is None or found.empty or not run.files.provenance.is_file():
        raise InputError(f"{folder}: no statistics/gains.tsv, verdicts.tsv or provenance.json; finish the run first")
    primary = found[found["endpoint"] == "primary"]
    if primary.empty:
        raise InputError(f"{run.files.statistic('gains')}: nothing of the primary endpoint; no arm gave numbers in it")
    unsaid = primary.loc[~primary["method"].isin(verdicts["method"]), "method"]
    if len(unsaid):
        raise InputError(
            f"{run.files.statistic('verdicts')}: no verdict on '{unsaid.iloc[0]}', which has gains; start the run again"
        )
    first = primary.iloc[0]
    endpoint = Endpoint(registry.find(first["measure"]), "" if pd.isna(first["tissue"]) else str(first["tissue"]), True)
    table, rescans = tables_of(run.folder, endpoint)
    arms = read_arms(run.folder)
    if not all(arm.parameters for arm in arms.values()):
        raise InputError(
            f"{run.files.arms}: no column 'parameters', so arms can't be told apart by them; start the run again to "
            "have it made anew"
        )
    told = {
        "schema": SCHEMA,
        **_what_was_run(run),
        "study": study_card(run),
        "endpoint": {
            "measure": endpoint.measure.name,
            "tissue": endpoint.tissue,
            **endpoint_numbers(table, rescans, endpoint),
        },
        "arms": [dataclasses.asdict(_without_places(arm)) for arm in arms.values()],
        "results": numbers_of(table, rescans, endpoint, arms, verdicts),
    }
    wrong = first_difference(gains_in(told["results"]), _rows(primary), told["endpoint"]["raw"])
    if wrong:
        raise InputError(
            f"{run.files.statistic('gains')}: {wrong}, which doesn't follow from "
            f"{run.files.metric(endpoint.measure.table)}; start the run again"
        )
    return Results(Path(folder), told, table, rescans)


def _without_places(arm: Arm) -> Arm:
    """An arm whose parameters, such as a file or a command line, tell nothing of a machine's folders."""
    return dataclasses.replace(arm, parameters=json.dumps(without_folders(json.loads(arm.parameters)), sort_keys=True))


def tables_of(folder: Path, endpoint: Endpoint) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The rows of an endpoint's metrics below a run's or a bundle's folder, and of its rescans."""
    name, column = endpoint.measure.table, endpoint.measure.column
    table = read_metric(folder, name)
    wanted = ["method", "subject", *(["tissue"] if endpoint.tissue else []), column]
    if table is None or table.empty:
        raise InputError(
            f"{RunFolder(folder).metric(name)}: no such table, or an empty one; make the run's metrics anew"
        )
    for missing in (one for one in wanted if one not in table):
        raise InputError(f"{RunFolder(folder).metric(name)}: no column '{missing}'; make the run's metrics anew")
    rescans = read_metric(folder, rescan_table(name))
    if rescans is not None and (rescans.empty or any(one not in rescans for one in wanted)):
        rescans = None
    return _of_tissue(table, endpoint), None if rescans is None else _of_tissue(rescans, endpoint)


def _of_tissue(table: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    kept = table[table["tissue"] == endpoint.tissue] if endpoint.tissue else table
    ids = ("method", "subject", "scanner", "scanner_a", "scanner_b", "session_a", "session_b", "tissue")
    return kept[[column for column in (*ids, endpoint.measure.column) if column in kept]].reset_index(drop=True)


def endpoint_numbers(table: pd.DataFrame, rescans: pd.DataFrame | None, endpoint: Endpoint) -> dict[str, float | None]:
    """RAW's mean, that of its rescans (None without any), and from which gain on a gain counts."""
    raw = float(means_by_person(table, endpoint).get(RAW, pd.Series(dtype=float)).mean())
    again = math.nan
    if rescans is not None:
        again = float(means_by_person(rescans, endpoint).get(RAW, pd.Series(dtype=float)).mean())
    margin = smallest_gain(endpoint.measure, raw, again)
    return {"raw": number(raw), "rescan": number(again), "margin": number(margin)}


def numbers_of(
    table: pd.DataFrame,
    rescans: pd.DataFrame | None,
    endpoint: Endpoint,
    arms: Mapping[str, Arm],
    verdicts: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Every arm's mean over people with Student's interval, its gains, and the verdict as the run says it.

    Further seeds of an arm are in its own numbers, and have none of theirs.
    """
    values = means_by_person(table, endpoint)
    found = gains(table, rescans, endpoint, arms)
    said = {row["method"]: row for row in verdicts.to_dict("records")}
    entries = []
    for arm in arms.values():
        if arm.role == "seed":
            continue
        fits = [fit for fit in with_seeds(arm.id, arms) if fit in values]
        by_person = values[fits].dropna().to_numpy(float).mean(axis=1) if fits else np.zeros(0)
        low, high = intervals.of_mean(by_person)
        verdict = said.get(arm.id, {})
        entries.append(
            {
                "arm": arm.id,
                "people": len(by_person),
                "mean": number(by_person.mean() if len(by_person) else math.nan),
                "low": number(float(low)),
                "high": number(float(high)),
                "gains": [
                    {
                        "control": row["control"],
                        "over": row["control_arm"],
                        "people": int(row["n"]),
                        **{name: number(row[name]) for name in GAIN_NUMBERS},
                        "answer": row["answer"],
                    }
                    for row in _rows(found[found["method"] == arm.id])
                ],
                **{name: word(verdict.get(name)) for name in VERDICT_WORDS},
                **{name: number(verdict.get(name, math.nan)) for name in VERDICT_NUMBERS},
            }
        )
    return entries


def number(value: float) -> float | None:
    """A number as JSON can hold it: null where there is none."""
    return float(value) if math.isfinite(value) else None


def word(value: object) -> str:
    """A cell of words; nothing where the run says nothing."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]


def gains_in(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The gains of `results.json` as rows of `statistics/gains.tsv`."""
    return [
        {"method": entry["arm"], **{name: gain[name] for name in ("control", *GAIN_NUMBERS)}}
        for entry in results
        for gain in entry["gains"]
    ]


def first_difference(rows: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]], scale: float | None) -> str:
    """The first of the gains `said` that isn't as in `rows`, in words; empty where all are.

    Numbers may differ by `TOLERANCE` of `scale`, RAW's mean.
    """
    known = {(row["method"], row["control"]): row for row in rows}
    told = {(row["method"], row["control"]): row for row in said}
    for method, control in known.keys() ^ told.keys():
        return f"{'no' if (method, control) in known else 'a'} gain of {method} over {control}"
    for key, row in known.items():
        for name in GAIN_NUMBERS:
            if not alike(row[name], told[key][name], scale):
                return f"{name} of {key[0]} over {key[1]} is {told[key][name]}, not {row[name]:.6g}"
    return ""


def alike(one: float | None, other: float | None, scale: float | None) -> bool:
    """Whether two numbers are the same but for `TOLERANCE` of the scale; two that are missing are."""
    known = [value is not None and math.isfinite(value) for value in (one, other)]
    if not all(known):
        return not any(known)
    assert one is not None
    assert other is not None
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(scale or 0.0))


def _what_was_run(run: FinishedRun) -> dict[str, Any]:
    """Name, date, versions and fingerprints: `configuration` without what changes no result, `inputs` of the user's
    files, `people` of these and, where people are made up, their seed, `scans` of the images as they entered the study.
    """
    told = read_provenance(run.folder, "config", "inputs", "machine.date", "project_version")
    own = run.files.study.inputs
    inputs = read_json(own) if own.is_file() else {}
    config = told["config"]
    source = (config.get("study") or {}).get("source")
    return {
        "run": run.folder.resolve().name,
        "date": told["machine"]["date"],
        "version": told["project_version"],
        "commit": (told.get("git") or {}).get("commit") or "",
        "protocol": run.protocol,
        "fingerprints": {
            "configuration": digest(what_counts(config)),
            "inputs": digest(sorted(inputs.values())),
            "people": digest([source, sorted(inputs.values()), config.get("seed") if source == "phantom" else None]),
            "scans": digest(sorted(told["inputs"].values())),
        },
    }


def what_counts(config: Mapping[str, Any]) -> Any:
    """A configuration without what changes no result: other sources' blocks, arms left out, folders' places, and
    whether a number was written as text."""
    kept = {name: value for name, value in without_folders(dict(config)).items() if name not in NOT_OF_THE_STUDY}
    study = kept.get("study", {})
    kept["study"] = {name: value for name, value in study.items() if name in ("source", study.get("source"))}
    kept["methods"] = {arm: given for arm, given in (kept.get("methods") or {}).items() if given is not None}
    return _as_text(kept)


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    return f"{value:g}" if isinstance(value, float) else str(value)
