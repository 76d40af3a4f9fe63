"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.sheet import read_sheet
from core.study import Study
from tests.support.made_up_study import write_study


@pytest.fixture(scope="session")
def sheet(tmp_path_factory) -> Path:
    """The sheet of a made-up study: 3 subjects x 3 scanners on a 6 mm grid."""
    return write_study(tmp_path_factory.mktemp("made_up"))


@pytest.fixture(scope="session")
def study(sheet) -> Study:
    """That study, scaled as it enters a run."""
    return read_sheet(sheet, scale="brain")
