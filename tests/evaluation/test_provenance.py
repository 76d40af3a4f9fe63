"""What a run says of itself, read: of another version or somebody else's it is refused with a sentence."""

from __future__ import annotations

import re

import pytest

from core.errors import InputError
from core.files import read_json, write_json
from evaluation.runs.finished_run import read_run
from evaluation.runs.provenance import read_provenance
from evaluation.runs.study_card import study_card
from tests.support.example_run import write_example_run


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), None),
        ((), []),
        ((), "words"),
        (("config",), None),
        (("config",), "words"),
        (("config", "methods"), "words"),
        (("config", "study"), ["words"]),
        (("config", "evaluation"), None),
        (("config", "evaluation", "primary"), {}),
        (("inputs",), ["words"]),
        (("machine",), "words"),
        (("project_version",), 3),
    ],
)
def test_what_is_of_another_form_is_refused_with_its_place(path, value, tmp_path):
    run = write_example_run(tmp_path, subjects=2, methods=("raw",))
    told = read_json(run / "provenance.json")
    inner = told
    for name in path[:-1]:
        inner = inner[name]
    if path:
        inner[path[-1]] = value
    write_json(run / "provenance.json", told if path else value)
    with pytest.raises(InputError, match=r"provenance\.json: not what a run writes .*start the run again") as refused:
        read_provenance(run)
    assert ".".join(path) in str(refused.value)
    for reader in (study_card, lambda opened: opened.primary_measure):
        with pytest.raises(InputError, match=r"provenance\.json"):
            reader(read_run(run))


@pytest.mark.parametrize("lacking", ["config", "project_version", "machine.date"])
def test_what_is_lacking_is_named_to_whom_it_matters(lacking, tmp_path):
    run = write_example_run(tmp_path, subjects=2, methods=("raw",))
    told = read_json(run / "provenance.json")
    *path, last = lacking.split(".")
    inner = told
    for name in path:
        inner = inner[name]
    del inner[last]
    write_json(run / "provenance.json", told)
    assert read_provenance(run, "inputs") == told
    with pytest.raises(InputError, match=re.escape(f"provenance.json: no '{lacking}'") + ".*start the run again"):
        read_provenance(run, "inputs", lacking)
