"""What import-linter can't say of modules that are found by name: each can be dropped in, or taken out, alone."""

from __future__ import annotations

import pytest

from workflow import source_hash
from workflow.source_hash import loaded_files, matching, module_file


@pytest.mark.parametrize(
    "pattern",
    [
        "evaluation.figures.figure*",
        "evaluation.tables.table*",
        "segmentation.engines.*",
        "studies.sources.*",
        "evaluation.commands.*",
        "studies.commands.*",
        "baselines.commands.*",
    ],
)
def test_they_know_no_other_of_their_kind(pattern, monkeypatch):
    monkeypatch.setattr(source_hash, "FOUND_BY_NAME", {})
    modules = matching(pattern)
    assert len(modules) > 2
    own = {module: module_file(module) for module in modules}
    for module in modules:
        others = {path for other, path in own.items() if other != module}
        assert not loaded_files(module) & others, module
