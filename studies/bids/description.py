"""What a BIDS dataset says of itself: its dataset_description.json."""

from __future__ import annotations

from pathlib import Path

from core.documents import read_document

FIELDS = {"name": "Name", "license": "License", "reference": "DatasetDOI"}
LONGEST = 300


def dataset_card(folder: Path) -> dict[str, str]:
    """Name, license and DOI of a dataset, those that it says; nothing without a description.

    Raises `InputError` for a description that can't be read.
    """
    path = folder / "dataset_description.json"
    if not path.is_file():
        return {}
    told = read_document(path)
    found = {name: told.get(field) for name, field in FIELDS.items()}
    return {name: value.strip()[:LONGEST] for name, value in found.items() if isinstance(value, str) and value.strip()}
