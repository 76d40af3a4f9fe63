"""A study's card: what its source says of the scans."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.files import write_json
from studies.bids.description import dataset_card
from studies.sources import source


def test_a_datasets_card_is_what_it_says(tmp_path: Path):
    assert dataset_card(tmp_path) == {}
    told = {"Name": " Somebody's brains ", "License": "CC0", "DatasetDOI": 7, "BIDSVersion": "1.8.0"}
    write_json(tmp_path / "dataset_description.json", told)
    assert dataset_card(tmp_path) == {"name": "Somebody's brains", "license": "CC0"}
    (tmp_path / "dataset_description.json").write_text("[")
    with pytest.raises(InputError, match="dataset_description.json"):
        dataset_card(tmp_path)


def test_the_phantoms_card_names_its_variant_and_a_sheet_has_none():
    assert source("phantom").card({"variant": "noise_heavy"})["name"] == "digital phantom, noise_heavy"
    assert source("sheet").card({"scans": "scans.tsv"}) == {}
