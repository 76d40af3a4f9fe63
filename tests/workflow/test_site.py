"""The site's pages: every key and measure from where it is defined, and no link that leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from evaluation.measures.registry import measures
from tests.support.paths import ROOT
from workflow import site


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("site") / "docs"
    site.lay_out(made)
    return made


def flat(content: dict, before: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield before + key
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")


def test_every_key_of_the_configuration_is_there_with_its_default():
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    found = {key: (default, told) for key, default, told in site.keys_of(text)}
    content = yaml.safe_load(text)
    # a mapping in braces stands in one line with its keys
    inline = tuple(f"{key}." for key, (default, _) in found.items() if default.startswith("{"))
    assert set(found) == {key for key in flat(content) if not key.startswith(inline)}
    assert found["study.phantom.voxel_size_mm"] == ("2", "1 or 2 mm.")
    # a block's own keys say what it is
    assert [key for key, (default, told) in found.items() if "." not in key and default and not told] == []


def test_every_measure_is_there_in_words(folder):
    page = (folder / "pages" / "measures.md").read_text(encoding="utf-8")
    for measure in measures().values():
        assert f"`{measure.name}`: " in page
        assert measure.definition in page


def test_links_between_pages_lead_to_pages(folder):
    pages = folder / "pages"
    linked = {(path.parent / link).resolve() for path in pages.rglob("*.md") for link in links_of(path.read_text())}
    assert len(linked) > 10
    assert [str(path) for path in linked if not path.exists()] == []


def links_of(text: str) -> list[str]:
    return re.findall(r"\]\(([^)#:]+\.(?:md|png|svg))[)#]", text)


@pytest.mark.slow
def test_the_site_is_built(monkeypatch, tmp_path):
    monkeypatch.setattr(site, "BUILD", tmp_path / "docs")
    assert site.main() == 0
    index = (tmp_path / "docs" / "site" / "index.html").read_text(encoding="utf-8")
    assert "measures.html" in index
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css)', index)
