"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.sheet import read_sheet
from core.study import Study
from tests.support.made_up_study import write_study


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of real runs and trainings first, quick ones last, so that no process is left alone with a long one."""
    slow: dict[Path, list[bool]] = {}
    for item in items:
        slow.setdefault(item.path, []).append(item.get_closest_marker("slow") is not None)
    items.sort(key=lambda item: (not all(slow[item.path]), not any(slow[item.path])))


@pytest.fixture(scope="session")
def sheet(tmp_path_factory) -> Path:
    """The sheet of a made-up study: 3 subjects x 3 scanners on a 6 mm grid."""
    return write_study(tmp_path_factory.mktemp("made_up"))


@pytest.fixture(scope="session")
def study(sheet) -> Study:
    """That study, scaled as it enters a run."""
    return read_sheet(sheet, scale="brain")
