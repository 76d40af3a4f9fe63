"""A finished run as the figures and the report see it: its files, nothing else.

Everything is optional but `scans.tsv`: what a failed or left-out arm didn't write is simply not there,
and a figure is drawn from what there is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from core import folds, left_out
from core.errors import InputError
from core.files import read_table
from core.names import Role
from core.run_folder import RunFolder, image_name, scan_name
from core.sheet import followed_up, read_rows, rescanned
from evaluation.runs.arms_table import Arm, read_arms
from evaluation.runs.provenance import read_provenance
from evaluation.volume_rules import runs_rule

WITHOUT_SEEDS: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "seed")
"""The roles of all arms but further fits under other seeds."""


ENDED = {"failed": "failed", "not_applicable": "not applicable"}
"""How a step ended that gave nothing, in words."""


@dataclass(frozen=True)
class Setback:
    """A step of an arm that gave nothing: `status` is failed or not_applicable."""

    arm: str
    step: str
    status: str
    reason: str


def says_simulated(marks: Iterable[object]) -> bool:
    """Whether any value of a sheet's column `simulated` marks a scan as simulated."""
    return any(str(mark).lower() in ("simulated", "true", "yes") for mark in marks)


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """The tables and images of a run folder, with its scans, scanners, pairs and arms in their order.

    `rescans` are the sheet's rows of people scanned on a scanner again; neither holds its follow-ups. `roles` says
    which arms its tables and lists hold, all by default; see `only`.
    """

    folder: Path
    scans: pd.DataFrame
    rescans: pd.DataFrame = field(default_factory=pd.DataFrame)
    roles: tuple[Role, ...] = get_args(Role)
    _tables: dict[str, pd.DataFrame | None] = field(default_factory=dict, repr=False)
    _views: dict[tuple[Role, ...], FinishedRun] = field(default_factory=dict, repr=False)

    def only(self, *roles: Role) -> FinishedRun:
        """The run with the arms of these roles alone; an arm that the run doesn't describe stays.

        Whoever asks for the same roles again is given the same run, with the tables that it has read.
        """
        if roles not in self._views:
            self._views[roles] = dataclasses.replace(self, roles=roles, _tables={})
        return self._views[roles]

    def shows(self, arm: str) -> bool:
        """Whether tables and lists hold this arm."""
        return arm not in self.described or self.described[arm].role in self.roles

    @property
    def files(self) -> RunFolder:
        """Where its files lie."""
        return RunFolder(self.folder)

    @cached_property
    def subjects(self) -> list[str]:
        """Subjects in the order of the sheet."""
        return list(dict.fromkeys(self.scans["subject"]))

    @cached_property
    def scanners(self) -> list[str]:
        """Scanners in the order of the sheet."""
        return list(dict.fromkeys(self.scans["scanner"]))

    @cached_property
    def left_out(self) -> str:
        """The scanner that no fit saw; empty where all were seen."""
        marks = self.scans.get(left_out.COLUMN)
        return "" if marks is None else left_out.marked(zip(self.scans["scanner"], marks, strict=True))

    @property
    def protocol(self) -> str:
        """What the arms are judged on, as tables say it."""
        withheld = [f"held out, {self.folds} folds"] if self.folds else []
        withheld += [f"without {self.left_out}"] if self.left_out else []
        return ", ".join(withheld) or "transductive"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every pair of scanners, in the order of the scanners; of a scanner left out, those that it is in."""
        return left_out.pairs_of(self.scanners, self.left_out)

    @cached_property
    def simulated(self) -> bool:
        """Whether any scan of the sheet is marked as simulated."""
        return "simulated" in self.scans and says_simulated(self.scans["simulated"])

    @cached_property
    def rule(self) -> str:
        """The run's own rule of what counts as a tissue, as "posterior > 0.8"; empty without volumes."""
        return runs_rule(self.table("metrics/volumes.tsv", ["rule"]))

    @cached_property
    def folds(self) -> int:
        """How many folds people were divided into; 0 where all are judged by fits that saw them."""
        return self.scans[folds.COLUMN].nunique() if folds.COLUMN in self.scans else 0

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What it says of itself (`read_provenance`); nothing where it doesn't."""
        return read_provenance(self.folder) if self.files.provenance.is_file() else {}

    @cached_property
    def primary_measure(self) -> str:
        """The measure that the configuration names as the primary endpoint; empty where the run doesn't say."""
        config = read_provenance(self.folder, "config")["config"] if self.files.provenance.is_file() else {}
        return str(config["evaluation"]["primary"]["measure"]) if "evaluation" in config else ""

    @cached_property
    def described(self) -> dict[str, Arm]:
        """What the run says of its arms, by id."""
        return read_arms(self.folder)

    @cached_property
    def status(self) -> pd.DataFrame:
        """`status.tsv`, or an empty table with its columns."""
        columns = ["method", "step", "status", "reason", "seconds", "peak_mb", "device"]
        found = (
            self.only(*get_args(Role)).table("status.tsv") if self.roles != get_args(Role) else self.table("status.tsv")
        )
        return pd.DataFrame(columns=columns) if found is None else found.reindex(columns=columns)

    @cached_property
    def arms(self) -> list[str]:
        """Every arm that the run's files name: those of `status.tsv` in its order, then the others."""
        named = list(self.status["method"].dropna())
        for name in ("ssim", "volumes", "dice", "rmse"):
            found = self.table(f"metrics/{name}.tsv")
            if found is not None and "method" in found:
                named += list(found["method"].dropna())
        images = self.folder / "images"
        if images.is_dir():
            named += sorted(folder.name for folder in images.iterdir() if folder.is_dir())
        return [arm for arm in dict.fromkeys(named) if self.shows(arm)]

    def arms_in(self, table: pd.DataFrame) -> list[str]:
        """The arms that a table has rows for, in the run's order."""
        there = set(table["method"])
        return [arm for arm in self.arms if arm in there]

    @cached_property
    def setbacks(self) -> list[Setback]:
        """The first step of each arm that failed or didn't apply; later steps only inherit it."""
        rows = self.status[self.status["status"].isin(["failed", "not_applicable"])]
        return [
            Setback(row["method"], row["step"], row["status"], text(row["reason"]))
            for row in rows.drop_duplicates("method").to_dict("records")
        ]

    def notes(self) -> list[str]:
        """Sentences for a figure's footnote: on held-out people, and on the arms that failed or didn't apply."""
        protocol = f"Held out: everyone's images come from fits without them ({self.folds} folds)."
        marked = [self.label(arm) for arm in self.arms if self._uses_other_scans(arm)]
        other = f"Not ranked, since a person's other scans are used: {', '.join(marked)}."
        of_volumes = [self.label(arm) for arm in self.arms if self._gives_volumes(arm)]
        lacking = f"No numbers of images, since volumes alone are harmonized: {', '.join(of_volumes)}."
        unseen = f"{self.left_out} is left out of every fit; what is shown are its pairs with the others."
        told = [(protocol, self.folds), (unseen, self.left_out), (other, marked), (lacking, of_volumes)]
        return [*(note for note, applies in told if applies), *self.setback_notes()]

    @cached_property
    def _not_applied(self) -> set[str]:
        ended = self.status[self.status["step"] == "apply"]
        return set(ended["method"][ended["status"] != "ok"])

    def _uses_other_scans(self, arm: str) -> bool:
        return arm in self.described and self.described[arm].role == "arm" and self.described[arm].uses_other_scans

    def _gives_volumes(self, arm: str) -> bool:
        return arm in self.described and self.described[arm].gives == "volumes"

    def setback_notes(self) -> list[str]:
        """A sentence on the arms that failed or didn't apply."""
        told = [
            f"{self.label(setback.arm)} ({setback.step}: {ENDED[setback.status]}"
            + (f", {shorten(setback.reason, 90)}" if setback.reason else "")
            + ")"
            for setback in self.setbacks
        ]
        return [f"Without {'; '.join(told)}."] if told else []

    def label(self, arm: str) -> str:
        """An arm's name as a person reads it, with what sets it apart; its id where the run says no other."""
        about = self.described.get(arm)
        return " ".join(filter(None, [about.label, about.variant])) if about else arm

    def published_name(self, arm: str) -> str:
        """What the paper calls the arm, if it is one of the paper's."""
        return self.described[arm].label if arm in self.described else arm

    def table(self, name: str, columns: Iterable[str] = ()) -> pd.DataFrame | None:
        """A table of the run by its path in the folder, or None if the run has none.

        Raises `InputError` where a column of `columns` is missing.
        """
        if name not in self._tables:
            path = self.folder / name
            # an arm that failed leaves empty files where the workflow expects some
            read = read_table(path) if path.is_file() and path.stat().st_size else None
            if read is not None and "method" in read and path != self.files.arms:
                read = read[read["method"].map(self.shows).to_numpy(dtype=bool)].reset_index(drop=True)
            self._tables[name] = read
        found = self._tables[name]
        if found is not None:
            for column in columns:
                if column not in found:
                    raise InputError(f"{self.folder / name}: no column '{column}'; make the run's tables anew")
        return found

    def image_path(self, arm: str, subject: str, scanner: str, session: str = "") -> Path | None:
        """An arm's image of one scan, or of the rescan of that session; None if there is none.

        Of an arm that couldn't harmonize a batch of people the others' images aren't shown: they'd pass for all.
        """
        if arm in self._not_applied:
            return None
        path = self.files.images(arm) / image_name(scan_name(subject, scanner, session))
        return path if path.is_file() and path.stat().st_size else None

    def model_files(self, name: str) -> list[tuple[str, Path]]:
        """Files of that name in the arms' model folders (and in their folds'), as (arm or fold, path in the run)."""
        found = []
        for arm in self.arms:
            folder = self.files.model(arm)
            for path in sorted(folder.rglob(name)):
                inner = path.parent.relative_to(folder).parts
                found.append((", ".join([self.label(arm), *inner]), path.relative_to(self.folder)))
        return found

    def with_images(self, arms: Iterable[str] | None = None) -> list[str]:
        """The arms of `methods` (default: all) that left at least one image of the sheet's scans."""
        scans = list(zip(self.scans["subject"], self.scans["scanner"], strict=True))
        wanted = self.arms if arms is None else arms
        return [m for m in wanted if any(self.image_path(m, *scan) is not None for scan in scans)]

    def example_subject(self, arms: Iterable[str]) -> str | None:
        """The first subject with the most images over `methods` and scanners; None without images."""
        arms = list(arms)
        counts = {
            subject: sum(
                self.image_path(arm, subject, scanner) is not None for arm in arms for scanner in self.scanners
            )
            for subject in self.subjects
        }
        best = max(counts.values(), default=0)
        return next((subject for subject, count in counts.items() if count == best), None) if best else None


def read_run(folder: Path | str) -> FinishedRun:
    """Open a run's folder; raises `InputError` where it holds no `scans.tsv`."""
    folder = Path(folder)
    sheet = RunFolder(folder).sheet
    if not sheet.is_file():
        raise InputError(f"{sheet}: no such file; give the folder of a finished run, such as results/demo")
    scans = read_rows(sheet)
    again, later = rescanned(scans), followed_up(scans)
    first = ~again & ~later
    return FinishedRun(folder, scans[first].reset_index(drop=True), scans[again].reset_index(drop=True))


def text(value: object) -> str:
    """A cell as text, nothing for a missing one."""
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)


def shorten(sentence: str, longest: int) -> str:
    """The beginning of a sentence, up to a word's end where it is cut."""
    sentence = " ".join(sentence.split())
    return sentence if len(sentence) <= longest else sentence[:longest].rsplit(" ", 1)[0] + " …"


def is_yes(values: pd.Series) -> np.ndarray:
    """A column of yes/no, true/false or 1/0 as bool; missing is False."""
    return values.astype(str).str.lower().isin(["true", "yes", "1", "1.0"]).to_numpy()
