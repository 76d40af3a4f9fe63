"""What a gain is in: a measure of differences between scanners, of one of which the configuration makes the primary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.errors import InputError, nearest
from core.names import RAW, TISSUES
from evaluation.measures import registry
from evaluation.measures.interface import Measure

VOLUME_DIFFERENCES = "volume_differences"
"""The table of pairs that is made of all volumes, not pair by pair of images."""

STAND_INS = {"volume_difference_pve": "volume_difference_hard"}
"""What is taken for a primary endpoint that a run's segmenter can't give."""


@dataclass(frozen=True)
class Endpoint:
    """A measure, of one tissue where it has tissues, averaged over pairs of scanners."""

    measure: Measure
    tissue: str = ""
    primary: bool = False

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.measure.label}, {self.tissue}" if self.tissue else self.measure.label

    @property
    def volume_column(self) -> str:
        """Of an endpoint about volumes the column that they stand in."""
        return self.measure.column.replace("absolute_difference_ml", "volume_ml")

    @property
    def sign(self) -> float:
        """What its values are taken times so that higher is better."""
        return 1.0 if self.measure.better == "higher" else -1.0


def endpoint_label(measure: str, tissue: Any) -> str:
    """What a person calls an endpoint, from the cells of a table, where a measure without tissues has none."""
    return Endpoint(registry.find(measure), "" if pd.isna(tissue) else str(tissue)).label


def means_by_person(table: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    """An endpoint's mean over pairs (and, without a tissue, over tissues) by subject (rows) and arm (columns)."""
    if endpoint.tissue:
        table = table[table["tissue"] == endpoint.tissue]
    return table.pivot_table(
        index="subject", columns="method", values=endpoint.measure.column, aggfunc="mean", sort=False, observed=True
    )


def candidates() -> dict[str, Measure]:
    """The measures that can be an endpoint: of pairs of scanners, about what differs between them."""
    tables = {module.TABLE for module in registry.paired()} | {VOLUME_DIFFERENCES}
    return {
        measure.name: measure
        for measure in registry.measures().values()
        if measure.table in tables and (measure.tested or (measure.summary and measure.summary.asks == "removed"))
    }


def check_primary(measure: str, tissue: str) -> None:
    """Raise `InputError` for a primary endpoint that is no measure of differences between scanners.

    A measure by tissue needs a tissue, another one has none ("").
    """
    if measure not in candidates():
        raise InputError(
            f"evaluation.primary.measure: '{measure}' is no measure of pairs of scanners"
            f"{nearest(measure, candidates())}; there are {', '.join(candidates())}"
        )
    if candidates()[measure].by_tissue != bool(tissue):
        wanted = f"one of {', '.join(TISSUES)}" if candidates()[measure].by_tissue else "null"
        raise InputError(f"evaluation.primary.tissue: '{tissue or 'null'}' for {measure}; give {wanted}")


def endpoints(tables: Mapping[str, pd.DataFrame], primary: str, tissue: str) -> list[Endpoint]:
    """The primary endpoint, then every other measure of differences between scanners, tissue by tissue.

    `tables` are the run's, by name. Where the segmenter estimates no partial volumes, the hard label stands in for
    their sum. Raises `InputError` where the primary one isn't among them.
    """
    check_primary(primary, tissue)
    primary = primary if _has_numbers(tables, primary) else STAND_INS.get(primary, primary)
    found = []
    for measure in candidates().values():
        if _has_numbers(tables, measure.name):
            table = tables[measure.table]
            names = [name for name in TISSUES if (table["tissue"] == name).any()] if "tissue" in table else [""]
            found += [Endpoint(measure, name, measure.name == primary and name == tissue) for name in names]
    if not any(endpoint.primary for endpoint in found):
        there = [endpoint.tissue or "null" for endpoint in found if endpoint.measure.name == primary]
        raise InputError(
            f"evaluation.primary.tissue: '{tissue or 'null'}' for {primary}; give one of {', '.join(there) or 'none'}"
        )
    return sorted(found, key=lambda endpoint: not endpoint.primary)


def _has_numbers(tables: Mapping[str, pd.DataFrame], name: str) -> bool:
    measure = candidates()[name]
    return measure.has_numbers_in(tables.get(measure.table))


def rescan_floor(rescans: pd.DataFrame | None, endpoint: Endpoint) -> float:
    """RAW's mean between scans and rescans, of the same table between them; NaN without any."""
    if rescans is None or rescans.empty:
        return math.nan
    return float(means_by_person(rescans, endpoint).get(RAW, pd.Series(dtype=float)).mean())


def volumes_of_endpoint(tables: Mapping[str, pd.DataFrame], endpoint: Endpoint) -> pd.DataFrame | None:
    """The rows of the volumes that an endpoint is about; None where it isn't about volumes, or there are none."""
    volumes = tables.get("volumes")
    if endpoint.measure.table != VOLUME_DIFFERENCES or volumes is None or endpoint.volume_column not in volumes:
        return None
    return volumes[volumes["tissue"] == endpoint.tissue] if endpoint.tissue else volumes
