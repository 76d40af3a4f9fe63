"""What a method's author sends: a run's results, configuration and fingerprints in one zip, checked on arrival.

A bundle holds `results.json`, the primary endpoint's numbers person by person (people are numbered), the run's
statistics, `configuration.yaml` without folders' places, `provenance.json` without the machine's, and
`checksums.json`. It holds no image. On arrival everything that can be is computed again from the people's numbers;
that a person is kept and what is nearer the truth are the sender's word, since they rest on images.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jsonschema import Draft202012Validator

from core.documents import read_document
from core.errors import InputError
from core.files import checksum, read_table, write_beside, write_json, write_table, write_text
from core.names import RAW
from core.paths import check_is_file
from core.run_folder import RunFolder
from evaluation.measures.interface import rescan_table
from evaluation.merging.results import (
    Results,
    alike,
    endpoint_numbers,
    endpoint_of,
    first_difference,
    gains_in,
    numbers_of,
    results_of_run,
    tables_of,
)
from evaluation.report.page import without_folders
from evaluation.runs.arms_table import Arm
from evaluation.runs.provenance import read_provenance
from evaluation.runs.wholeness import false_jobs, planned_jobs
from evaluation.verdicts.answers import NOT_SHOWN, UNKNOWN
from evaluation.verdicts.kept import Kept
from evaluation.verdicts.verdict import VERDICT_COLUMNS, harmonizes, removed_by_arm, removed_shares, why_of

RESULTS, CHECKSUMS = "results.json", "checksums.json"
SCHEMA_FILE = Path(__file__).resolve().parents[1] / "schemas" / "results.schema.yaml"
BESIDE = ("configuration.yaml", "provenance.json")
STATISTICS = ("gains", "verdicts", "summary")
NAMES = re.compile(
    r"(results|checksums|provenance)\.json|configuration\.yaml|(metrics|statistics)/[a-z0-9_]{1,60}\.tsv"
)
"""What a bundle may hold."""

MOST_FILES = 20
LARGEST_BYTES = 50_000_000
"""Of a bundle, unpacked: a study of ten thousand people with thirty arms."""

OF_THE_MACHINE = ("config", "inputs", "machine")
"""What of a provenance isn't sent: the configuration is, by itself; inputs are, as fingerprints."""

KEPT_NUMBERS = ("kept_share", "kept_share_low", "kept_share_high", "kept_volume_share")
"""Of a verdict the numbers of `evaluation.verdicts.kept.Kept`, in its order."""

NEW_BUNDLE = "ask for it again, made by `python -m evaluation bundle RUN`"


def write_bundle(run: Path, out: Path) -> Path:
    """Write a finished run's bundle to `out`, a zip; the same run gives the same bytes.

    Raises `InputError` for a run that isn't whole, and for one whose numbers don't follow from each other.
    """
    if out.suffix != ".zip":
        raise InputError(f"{out}: a bundle is a zip; give a name that ends in .zip")
    check_complete(run)
    results = results_of_run(run)
    provenance = read_provenance(run, "config")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_json(folder / RESULTS, results.told)
        name = results.endpoint.measure.table
        tables = [table for table in (results.table, results.rescans) if table is not None]
        known = dict.fromkeys(str(one) for table in tables for one in table["subject"])
        people = {one: f"{place:05d}" for place, one in enumerate(known, start=1)}
        _write_people(folder, name, results.table, people)
        if results.rescans is not None:
            _write_people(folder, rescan_table(name), results.rescans, people)
        for statistic in STATISTICS:
            table = RunFolder(run).statistic(statistic)
            if table.is_file() and table.stat().st_size:
                write_table(RunFolder(folder).statistic(statistic), read_table(table))
        configuration = without_folders(provenance["config"])
        write_text(folder / "configuration.yaml", yaml.safe_dump(configuration, sort_keys=False))
        write_json(
            folder / "provenance.json",
            {field: value for field, value in provenance.items() if field not in OF_THE_MACHINE}
            | {"date": results.told["date"]},
        )
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        write_json(folder / CHECKSUMS, {path.relative_to(folder).as_posix(): checksum(path) for path in files})
        with write_beside(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as bundle:
            for path in [*files, folder / CHECKSUMS]:
                # a time of its own would change the bytes
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                bundle.writestr(entry, path.read_bytes())
    return out


def _write_people(folder: Path, name: str, table: pd.DataFrame, people: Mapping[str, str]) -> None:
    """A table of people, who are numbered: what a study calls them isn't ours to pass on."""
    numbered = [people[str(one)] for one in table["subject"]]
    write_table(RunFolder(folder).metric(name), table.assign(subject=numbered))


def check_complete(run: Path) -> None:
    """Raise `InputError` for a run that didn't come to its end, or whose files aren't as its jobs made them."""
    at = RunFolder(run)
    false = false_jobs(run, planned_jobs(run))
    if false:
        name, why = next(iter(false.items()))
        raise InputError(f"{run}: {name}: {why}; start the run again, then `python -m evaluation check {run}`")
    if not at.complete.is_file():
        raise InputError(f"{at.complete}: no such file, so the run didn't come to its end; start it again")


def read_bundle(path: Path) -> Results:
    """The results in a bundle, once nothing in it is refused.

    Raises `InputError`, naming the bundle and the file in it, for what is no bundle, what a bundle doesn't hold, files
    other than their checksums, what the schema refuses, and numbers that don't follow from those of the people.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            _unpack(path, folder)
            _check_sums(path, folder)
            told = read_document(folder / RESULTS)
            _check_schema(f"{folder}/{RESULTS}", told)
            for beside in BESIDE:
                read_document(folder / beside)
            table, rescans = tables_of(folder, endpoint_of(told["endpoint"]))
            _check_people(folder, told, table)
            results = Results(path, told, table, rescans)
            _check_numbers(results, folder)
        except InputError as error:
            why = str(error).replace(f"{folder}/", f"{path}: ")
            raise InputError(why if str(path) in why else f"{path}: {why}") from None
    return results


def _unpack(path: Path, folder: Path) -> None:
    """Write a bundle's files into a folder: none elsewhere, no links, nothing that a bundle doesn't hold."""
    check_is_file(path)
    try:
        with zipfile.ZipFile(path) as bundle:
            entries = bundle.infolist()
            _check_entries(path, entries)
            for entry in entries:
                with bundle.open(entry) as stream:
                    # what the directory of the zip says of a size needn't be so
                    content = stream.read(entry.file_size + 1)
                if len(content) != entry.file_size:
                    raise InputError(f"{path}: {entry.filename}: of another size than the zip says; {NEW_BUNDLE}")
                target = folder / entry.filename
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: no zip that can be read ({error}); {NEW_BUNDLE}") from None


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) > MOST_FILES:
        raise InputError(f"{path}: {len(names)} files, a bundle has at most {MOST_FILES}; {NEW_BUNDLE}")
    for entry in entries:
        name = entry.filename
        if not NAMES.fullmatch(name):
            raise InputError(f"{path}: {name[:80]!r} is no file of a bundle (results alone, no images); {NEW_BUNDLE}")
        if names.count(name) > 1:
            raise InputError(f"{path}: {name} stands in it {names.count(name)} times; {NEW_BUNDLE}")
        kind = entry.external_attr >> 16
        if kind and not stat.S_ISREG(kind) and stat.S_IFMT(kind):
            raise InputError(f"{path}: {name} is a link or no file; {NEW_BUNDLE}")
    if sum(entry.file_size for entry in entries) > LARGEST_BYTES:
        raise InputError(f"{path}: more than {LARGEST_BYTES} bytes unpacked; is it a bundle of results?")
    for needed in (CHECKSUMS, RESULTS, *BESIDE):
        if needed not in names:
            raise InputError(f"{path}: no {needed}; {NEW_BUNDLE}")


def _check_sums(path: Path, folder: Path) -> None:
    sums = read_document(folder / CHECKSUMS)
    there = {found.relative_to(folder).as_posix(): found for found in folder.rglob("*") if found.is_file()}
    del there[CHECKSUMS]
    for name in sorted(sums.keys() | there.keys()):
        if name not in there or name not in sums:
            lacking = "named in its checksums and not there" if name in sums else "without a checksum"
            raise InputError(f"{path}: {name[:80]}: {lacking}; {NEW_BUNDLE}")
        if hashlib.sha256(there[name].read_bytes()).hexdigest() != sums[name]:
            raise InputError(f"{path}: {name}: not as it was bundled (its checksum is another); {NEW_BUNDLE}")


def _check_schema(where: str, told: Mapping[str, Any]) -> None:
    schema = read_document(SCHEMA_FILE)
    known = schema["properties"]["schema"]["const"]
    if told.get("schema") != known:
        raise InputError(
            f"{where}: schema {str(told.get('schema'))[:20]!r}, this version reads {known}; bundle the run with the "
            "version that merges"
        )
    error = min(
        Draft202012Validator(schema).iter_errors(told), key=lambda found: list(map(str, found.path)), default=None
    )
    if error is not None:
        place = ".".join(map(str, error.path)) or "the whole"
        raise InputError(f"{where}: {place}: {error.message[:300]}; {NEW_BUNDLE}")


def _check_people(folder: Path, told: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Refuse numbers that aren't finite, arms that are none, and another number of people than the card says."""
    endpoint = endpoint_of(told["endpoint"])
    where = RunFolder(folder).metric(endpoint.measure.table)
    read_table(where, numbers=[endpoint.measure.column])
    for entry in told["arms"]:
        try:
            json.loads(entry["parameters"]).items()
        except (ValueError, AttributeError, RecursionError):
            raise InputError(
                f"{folder}/{RESULTS}: arms: the parameters of '{entry['id']}' are no JSON object; {NEW_BUNDLE}"
            ) from None
    ids = {entry["id"] for entry in told["arms"]}
    if len(ids) < len(told["arms"]) or RAW not in ids:
        raise InputError(f"{folder}/{RESULTS}: arms: an id stands twice, or '{RAW}' is missing; {NEW_BUNDLE}")
    raw = next(entry for entry in told["arms"] if entry["id"] == RAW)
    if raw["role"] != "arm" or raw["uses_other_scans"]:
        raise InputError(f"{folder}/{RESULTS}: arms: '{RAW}' is what all are compared with, no control; {NEW_BUNDLE}")
    unknown = sorted(set(table["method"]) - ids)
    if unknown:
        raise InputError(f"{where}: numbers of '{unknown[0][:80]}', which is no arm of {RESULTS}; {NEW_BUNDLE}")
    keys = [name for name in ("method", "subject", "scanner_a", "scanner_b") if name in table]
    if table.duplicated(keys).any():
        raise InputError(f"{where}: a person's pair of scanners stands twice under an arm; {NEW_BUNDLE}")
    people = table["subject"].nunique()
    if people > told["study"]["people"]:
        raise InputError(
            f"{folder}/{RESULTS}: study.people is {told['study']['people']}, {where} has {people}; {NEW_BUNDLE}"
        )


def _check_numbers(results: Results, folder: Path) -> None:
    """Refuse results that don't follow from the people's numbers: everything that these tell is computed again."""
    where, told, scale = f"{folder}/{RESULTS}", results.told, results.told["endpoint"]["raw"]
    again = endpoint_numbers(results.table, results.rescans, results.endpoint)
    for name, value in again.items():
        if not alike(value, told["endpoint"][name], scale):
            raise InputError(
                f"{where}: endpoint.{name} is {told['endpoint'][name]}, its people give {value}; {NEW_BUNDLE}"
            )
    computed = numbers_of(
        results.table, results.rescans, results.endpoint, results.arms, pd.DataFrame(columns=VERDICT_COLUMNS)
    )
    if [entry["arm"] for entry in computed] != [entry["arm"] for entry in told["results"]]:
        raise InputError(f"{where}: results: other arms than under arms; {NEW_BUNDLE}")
    for own, sent in zip(computed, told["results"], strict=True):
        for name in ("people", "mean", "low", "high"):
            if not alike(own[name], sent[name], scale):
                raise InputError(
                    f"{where}: {name} of {own['arm']} is {sent[name]}, its people give {own[name]}; {NEW_BUNDLE}"
                )
        for name in ("control", "over", "people", "answer"):
            right, said = ([gain[name] for gain in entry["gains"]] for entry in (own, sent))
            if right != said:
                raise InputError(
                    f"{where}: gains of {own['arm']}: {name} is {_listed(said)}, its people give {_listed(right)}; "
                    f"{NEW_BUNDLE}"
                )
    wrong = first_difference(gains_in(computed), gains_in(told["results"]), scale)
    if wrong:
        raise InputError(f"{where}: {wrong}, by the numbers of its people; {NEW_BUNDLE}")
    for own, sent in zip(computed, told["results"], strict=True):
        _check_verdict(where, results.arms[own["arm"]], own, sent, results)


def _listed(cells: Sequence[object]) -> str:
    return f"'{', '.join(map(str, cells))[:200]}'"


def _check_verdict(where: str, arm: Arm, own: Mapping[str, Any], said: Mapping[str, Any], results: Results) -> None:
    """Refuse a verdict that doesn't follow from the gains and from the shares that the run says are kept."""
    kept = Kept(*(math.nan if said[name] is None else said[name] for name in KEPT_NUMBERS)).answer
    right = {"removed": UNKNOWN, "kept": kept, "harmonizes": NOT_SHOWN}
    if own["gains"]:
        part = results.gains[results.gains["method"] == arm.id]
        removed, why = removed_by_arm(arm, part, results.endpoint.measure.better, results.arms)
        harmonized = harmonizes(removed, kept) if arm.competes else ""
        right = {"removed": removed, "kept": kept, "harmonizes": harmonized, "why": why_of(removed, why, kept)}
        over_raw = part[part["control"] == "raw"].iloc[0].to_dict()
        for name, share in removed_shares(over_raw, results.endpoint.sign).items():
            if not alike(share, said[name], 1.0):
                raise InputError(
                    f"{where}: {arm.id}: {name} is {said[name]}, its people give {share:.6g}; {NEW_BUNDLE}"
                )
    elif not any(said[name] for name in right):
        # RAW, and controls without numbers, have no verdict
        return
    for name, word in right.items():
        if said[name] != word:
            raise InputError(f"{where}: {arm.id}: {name} is '{said[name]}', its numbers say '{word}'; {NEW_BUNDLE}")
