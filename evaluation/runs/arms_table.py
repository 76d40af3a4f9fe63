"""What a run's arms are, as its file `arms.tsv` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.errors import InputError
from core.files import read_table
from core.ids import check_id
from core.names import Gives, Role
from core.run_folder import RunFolder

FLAGS = ("uses_other_scans", "learns_scanners", "random_fit", "maps_intensities")
CARD = ("license", "year", "trained_on", "needs", "unseen_subjects", "unseen_scanners")
"""Columns of a method's card; empty in a run that was made before there were cards."""

WORDS = ("of", "variant", "parameters", *CARD)
"""Columns of text that not every run has."""


@dataclass(frozen=True)
class Arm:
    """An arm: its id, its method's, what a person calls it, whose it is, what it can't do.

    variant : what sets it apart from the published method, after its label.
    role : what it is there for (`core.names.Role`); of : the arm that it is a control or a further fit of.
    gives : images, or volumes alone.
    uses_other_scans, learns_scanners, random_fit, maps_intensities : see `baselines.interface.Harmonizer`. Volumes
    harmonized of an arm whose fit is random have a random fit, too.
    parameters : in use, as JSON; empty where the run doesn't say.
    license, year, trained_on, needs, unseen_subjects, unseen_scanners : its method's card, in words.
    """

    id: str
    method: str
    label: str
    citation: str
    limits: str
    variant: str = ""
    role: Role = "arm"
    of: str = ""
    gives: Gives = "images"
    uses_other_scans: bool = False
    learns_scanners: bool = False
    random_fit: bool = False
    maps_intensities: bool = False
    parameters: str = ""
    license: str = ""
    year: str = ""
    trained_on: str = ""
    needs: str = ""
    unseen_subjects: str = ""
    unseen_scanners: str = ""

    @property
    def due(self) -> tuple[Role, ...]:
        """The controls without which nothing can be said of the arm, made or not."""
        permuted: tuple[Role, ...] = ("permuted",) if self.learns_scanners else ()
        return permuted if self.maps_intensities else (*permuted, "blur")

    @property
    def competes(self) -> bool:
        """Whether it is compared with others: no control, no further fit, and no user of a person's other scans."""
        return self.role == "arm" and not self.uses_other_scans


def read_arms(run: Path) -> dict[str, Arm]:
    """The arms of a run by id, in order; none where the run doesn't say.

    Raises `InputError` for a table without a column, and an arm that can't be an id.
    """
    path = RunFolder(run).arms
    if not path.is_file():
        return {}
    table = read_table(path)
    for column in ("arm", "method", "label", "citation", "limits"):
        if column not in table:
            raise InputError(f"{path}: no column '{column}'; start the run again to have it made anew")
    for arm in table["arm"]:
        # it names folders of the run
        check_id(str(arm), f"{path}, column arm")
    # a run made before arms had roles is still to be redrawn: it had no controls but those that said so
    role = table.get("control", pd.Series("no", index=table.index)).map({"yes": "control"}).fillna("arm")
    table = table.assign(
        role=table.get("role", role),
        gives=table.get("gives", pd.Series("images", index=table.index)),
        **{name: _texts(table.get(name, pd.Series("", index=table.index))) for name in WORDS},
        **{flag: table.get(flag, pd.Series("no", index=table.index)) for flag in FLAGS},
    )
    return {
        row["arm"]: Arm(
            id=row["arm"],
            method=row["method"],
            label=row["label"],
            citation=row["citation"],
            limits=row["limits"],
            role=row["role"],
            gives=row["gives"],
            **{name: row[name] for name in WORDS},
            **{flag: row[flag] == "yes" for flag in FLAGS},
        )
        for row in table.to_dict("records")
    }


def _texts(cells: pd.Series) -> pd.Series:
    """A column as it was written: a year is text, too, and missing is nothing."""
    whole = cells.convert_dtypes()
    return whole.astype("string").fillna("").astype(object)
