"""What a paper says of a run: by what ran, citing what there is a reference for."""

from __future__ import annotations

import re

import pytest

from baselines.harness.registry import method, methods
from core.errors import InputError
from core.files import read_json, write_json
from evaluation.report.methods_text import KEY, REFERENCES, bibliography, keys_by_citation, with_keys, write_methods
from evaluation.runs.finished_run import read_run
from tests.support.example_run import write_example_run

ENTRIES = bibliography(REFERENCES.read_text(encoding="utf-8"))
NO_PAPER = ("a control of this benchmark", "whoever", "Torbati et al., ICCV workshop 2021, section", "intensity-norm")


@pytest.fixture
def folder(tmp_path):
    return write_example_run(tmp_path / "run", subjects=3)


def test_every_entry_is_whole():
    text = REFERENCES.read_text(encoding="utf-8")
    assert len(ENTRIES) == len(re.findall(r"^@", text, re.MULTILINE))
    for entry in ENTRIES.values():
        assert entry.count("{") == entry.count("}")
        for field in ("author", "title", "year"):
            assert re.search(rf"^  {field} = \{{.+\}},$", entry, re.MULTILINE)


@pytest.mark.parametrize("name", methods())
def test_every_method_is_cited_by_a_reference(name):
    keys = keys_by_citation(ENTRIES)
    for part in method(name).citation.split("; "):
        assert part in keys or part.startswith(NO_PAPER), part


def test_an_unknown_citation_stays_as_it_is():
    assert with_keys("A et al. 2030; B", {"B": "b2000"}) == "A et al. 2030; [@b2000]"


def test_the_text_says_what_ran_and_the_references_hold_what_it_cites(folder):
    text_file, references = write_methods(read_run(folder))
    text = text_file.read_text(encoding="utf-8")
    assert "All scans are **simulated**: 3 people on 4 scanners (GE, Philips, Prisma, Trio)" in text
    assert "[@wang2004]" in text
    held = bibliography(references.read_text(encoding="utf-8"))
    assert held.keys() == set(KEY.findall(text))
    assert "cited_as" not in references.read_text(encoding="utf-8")
    assert "  " not in text.replace("\n\n", "\n")
    paragraphs = text.split("\n\n")
    assert [re.match(r"\*\*(\w+)\.\*\* ", part)[1] for part in paragraphs[2:]] == [
        "Data",
        "Harmonization",
        "Measures",
        "Statistics",
        "Software",
    ]
    assert text.endswith(".\n")
    assert not text.endswith("\n\n")


def test_it_follows_the_configuration(folder):
    told = read_json(folder / "provenance.json")
    told["git"]["commit"] = None
    told["config"]["segmentation"]["engine"] = "fsl"
    told["config"]["evaluation"]["primary"] = {"measure": "dice", "tissue": None}
    write_json(folder / "provenance.json", told)
    text = write_methods(read_run(folder))[0].read_text(encoding="utf-8")
    assert "FSL FAST [@zhang2001]" in text
    assert "`dice`; all else" in text
    assert "The MISPEL benchmark 0.0.0, run by Snakemake" in text


def test_a_run_that_says_nothing_of_itself_is_refused(folder):
    (folder / "provenance.json").unlink()
    with pytest.raises(InputError, match=r"provenance\.json"):
        write_methods(read_run(folder))
