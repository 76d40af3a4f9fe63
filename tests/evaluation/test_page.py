"""A run's page of Markdown: what it links to is there, and nothing of the user's machine is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from core.errors import InputError
from core.files import read_json, write_json
from evaluation.__main__ import main
from evaluation.report import render
from evaluation.report.page import publish
from evaluation.tables import draw as draw_tables
from tests.support.example_run import write_example_run
from tests.support.pictures import a_picture


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = write_example_run(tmp_path_factory.mktemp("runs") / "example", subjects=4)
    main(["statistics", str(folder), "--bootstrap", "100"])
    draw_tables(folder)
    a_picture(folder / "figures" / "figure4_slices.png")
    provenance = read_json(folder / "provenance.json")
    provenance["config"] = {"run": "example", "study": {"sheet": {"scans": "/home/somebody/scans.tsv"}}}
    provenance["machine"]["command"] = "snakemake --cores 2 --configfile /home/somebody/mine.yaml"
    write_json(folder / "provenance.json", provenance)
    render(folder)
    return folder


def test_a_page_holds_the_answer_and_what_it_links_to(run, tmp_path):
    out = tmp_path / "docs" / "example"
    page = publish(run, out).read_text(encoding="utf-8")
    assert "simulated" in page.partition("\n")[0]
    assert "**Primary endpoint:**" in page
    assert "### What this hangs on" in page
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert {"configuration.yaml", "provenance.json"} < set(links)
    assert any(link.endswith(".png") for link in links)
    assert all((out / link).is_file() for link in links if "://" not in link)


def test_nothing_of_the_machines_folders_is_published(run, tmp_path):
    out = tmp_path / "page"
    publish(run, out)
    written = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".png"]
    assert all("somebody" not in path.read_text(encoding="utf-8") for path in written)
    assert "scans: scans.tsv" in (out / "configuration.yaml").read_text(encoding="utf-8")


def test_a_page_is_replaced_and_anything_else_is_left(run, tmp_path):
    out = tmp_path / "page"
    first = publish(run, out).read_bytes()
    (out / "tables" / "of_before.md").write_text("old")
    assert publish(run, out).read_bytes() == first
    assert not (out / "tables" / "of_before.md").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.md").write_text("mine")
    with pytest.raises(InputError, match="something else than a page"):
        publish(run, other)
    assert (other / "thesis.md").exists()


def test_a_run_that_no_longer_says_what_its_arms_are_is_refused(run, tmp_path):
    changed = tmp_path / "run"
    shutil.copytree(run, changed)
    (changed / "arms.tsv").unlink()
    with pytest.raises(InputError, match=r"arms\.tsv: names no '.*', of which .* has a verdict; start the run again"):
        publish(changed, tmp_path / "page")
    assert not (tmp_path / "page").exists()
