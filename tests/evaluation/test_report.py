"""The report: one page, offline, with the run's own numbers, and the same bytes for the same files."""

from __future__ import annotations

import base64
import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import InputError
from core.files import read_json, read_table, write_json, write_table, write_text
from evaluation import figures, scan_outliers
from evaluation.figures import slices
from evaluation.report import content, first_screen, mosaic, render, viewer
from evaluation.report.templates import with_code
from evaluation.runs.finished_run import read_run
from tests.support.example_run import PAPER_METHODS, PAPER_SCANNERS, write_example_run
from tests.support.pictures import a_picture


class Page(HTMLParser):
    """The parts of a page that tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.words: list[str] = []
        self.scripts: dict[str, str] = {}
        self._open: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.addresses += [given[name] for name in ("src", "href", "data", "action", "srcset") if name in given]
        self.ids.add(given.get("id", ""))
        if tag in ("script", "style"):
            self._open.append((tag, given))

    def handle_endtag(self, tag):
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, text):
        if not self._open:
            self.words.append(" ".join(text.split()))
        elif self._open[-1][0] == "script":
            self.scripts[self._open[-1][1].get("id", "")] = text

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with a failed arm, a missing scan and one figure; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "example"
    write_example_run(folder, failed=["ravel"], missing=[("02", "Prisma")])
    a_picture(folder / "figures" / "figure5_rmse.png")
    render(folder)
    return folder


@pytest.fixture(scope="module")
def page(run) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_the_page_needs_nothing_but_itself(page):
    assert page.addresses
    inside = [address for address in page.addresses if not address.startswith("data:")]
    assert all(address.startswith("#") and address[1:] in page.ids for address in inside)
    assert not {"link", "iframe", "object", "embed"} & set(page.tags)


def test_the_same_files_give_the_same_bytes(run, tmp_path):
    elsewhere = tmp_path / "example"
    shutil.copytree(run, elsewhere)
    (elsewhere / "report.html").unlink()
    assert render(elsewhere).read_bytes() == (run / "report.html").read_bytes()


def test_it_says_what_was_run_and_that_it_is_simulated(page):
    assert "5 subjects, each scanned on 4 scanners (GE, Philips, Prisma, Trio): 19 scans, 1 missing" in page.text
    assert "Simulated data." in page.text
    assert "simulated" in page.text


def test_real_scans_are_not_called_simulated(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, simulated=False)
    shutil.rmtree(folder / "images")
    assert "imulated" not in Page(render(folder).read_text(encoding="utf-8")).text


def test_a_failed_arm_stands_in_the_summary_and_among_the_arms_with_its_reason(run, page):
    assert "RAVEL: failed at step fit: no control voxel is CSF in all images; try prob 0.9" in page.text
    found = {arm["id"]: arm for arm in content.arms(read_run(run))}
    assert found["ravel"]["status"] == "failed"
    assert found["ravel"]["reason"].startswith("fit: no control voxel")
    assert found["raw"]["status"] == "ok"
    assert found["raw"]["reason"] == ""
    assert found["mispel"]["citation"]
    assert found["mispel"]["limits"]


def test_headline_numbers_are_means_over_the_pairs_of_the_runs_tables(tmp_path):
    folder = write_example_run(tmp_path / "run")
    path = folder / "tables" / "table3_volume_differences.tsv"
    table = read_table(path)
    mispel = (table["tissue"] == "GM") & (table["method"] == "mispel")
    table.loc[mispel, "mean"] = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]
    table.loc[mispel & (table["pair"] == "GE-Trio"), "significant"] = "no"
    write_table(path, table)
    found = content.headline(read_run(folder))
    column = found["columns"].index("GM difference, mL")
    cells = {row["label"]: row["cells"][column] for row in found["rows"]}
    assert cells["MISPEL"] == {"value": "4.0", "best": True, "stars": "5 of 6"}
    assert cells["RAW"] == {"value": "45.6", "best": False, "stars": ""}
    assert found["rule"] == read_run(folder).rule == "posterior > 0.8"
    told = Page(render(folder).read_text(encoding="utf-8")).text
    assert "Volumes and Dice are by the run's own rule, posterior > 0.8. Each arm is its first fit." in " ".join(
        told.split()
    )


def test_tables_keep_bold_stars_and_notes_and_mark_the_papers_rows():
    html = content.table_html("### T\n\n| a | b |\n| --- | --- |\n| RAW, paper | **1.2** (0.3)\\* |\n\n\\*: |x| < 1\n")
    assert '<tr class="paper">\n<td>RAW, paper</td>\n<td><strong>1.2</strong> (0.3)*</td>' in html
    assert "<p>*: |x| &lt; 1</p>" in html
    assert 'class="sortable"' in html


def test_the_papers_tables_come_first(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    write_text(folder / "tables" / "a_further_one.md", "### Further\n")
    found = [(table["title"], str(table["html"])) for table in content.tables(read_run(folder))]
    titles = ["SSIM between scanners", "Differences of volumes, mL, between scanners", "Further"]
    assert [title for title, _ in found] == titles
    assert all(title in html for title, html in found)


def test_every_figure_has_a_tab_to_stand_in():
    assert all(figures.load(name).TOPIC for name in figures.names())


def test_nothing_from_a_run_becomes_html(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    evil = "</script><script>alert(1)</script><img src=x>"
    status = read_table(folder / "status.tsv").astype({"reason": object})
    status.loc[0, ["status", "reason"]] = ["failed", evil]
    write_table(folder / "status.tsv", status)
    write_text(folder / "tables" / "table_evil.md", f"### {evil}\n\n| {evil} |\n| --- |\n| {evil} |\n")
    write_json(folder / "provenance.json", {"config": {"run": evil}, "note": evil})
    scripts = Page(render(folder).read_text(encoding="utf-8"))
    # the places of people's dots, the viewer's images, and the code
    assert scripts.tags.count("script") == 3
    assert "x" not in scripts.addresses


def test_where_dots_are_too_many_nobody_is_ringed(tmp_path, monkeypatch):
    folder = write_example_run(tmp_path / "run", subjects=2, methods=("raw", "mispel"))
    figures.draw_one(folder, "figure3_volumes")
    # two people, two arms, three tissues, four scanners
    for most, named in ((48, {"01", "02"}), (47, set())):
        monkeypatch.setattr(content, "MOST_DOTS", most)
        (shown,) = content.figures(read_run(folder))["Volumes"]
        assert set(shown["people"]) == named


def test_words_between_backticks_are_code_and_the_rest_is_escaped():
    assert with_code("a `seed: <b>` & `c`") == "a <code>seed: &lt;b&gt;</code> &amp; <code>c</code>"


def test_figures_are_inside_with_their_captions(run, page):
    picture = (run / "figures" / "figure5_rmse.png").read_bytes()
    assert f"data:image/png;base64,{base64.b64encode(picture).decode()}" in page.addresses
    assert "whiskers are 95 % intervals over subjects" in page.text
    assert "figure6_dice" not in page.ids


def test_times_add_up_by_arm(run):
    found = content.times(read_run(run))
    assert found["steps"] == ["fit", "apply", "segment", "measure"]
    assert [row["total"] for row in found["rows"]] == ["6.0", "10.0", "14.0", "18.0"]
    assert [row["peak"] for row in found["rows"]] == ["300", "301", "302", "303"]


def test_provenance_is_all_there(page):
    for word in ("Provenance", "0" * 40, "made up", "seed: 0", "scans.tsv"):
        assert word in page.text


def test_a_run_with_little_in_it_still_has_a_report(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    for name in ("images", "metrics", "statistics", "tables", "models", "segmentations"):
        shutil.rmtree(folder / name)
    (folder / "status.tsv").unlink()
    (folder / "provenance.json").unlink()
    found = Page(render(folder).read_text(encoding="utf-8"))
    assert "Not recorded." in found.text
    with pytest.raises(InputError, match="scans.tsv"):
        render(tmp_path)


# --- the slice viewer -------------------------------------------------------------------------------


def _cut(content: str, shape: list[int], columns: int) -> np.ndarray:
    """A picture of `mosaic.sheet` back as a volume (X, Y, Z), as the page's script reads it."""
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        sheet = np.asarray(picture.convert("L")).astype(float)
    wide, deep, tall = shape
    rows = [divmod(place, columns) for place in range(tall)]
    axial = [sheet[row * deep : (row + 1) * deep, column * wide : (column + 1) * wide] for row, column in rows]
    return np.stack([np.rot90(part, -1) for part in axial], axis=2)


def test_the_viewer_holds_each_scans_volume_and_labels(run, page):
    data = json.loads(page.scripts["viewer-data"])
    assert [arm for arm, _ in data["arms"]] == ["raw", "whitestripe", "mispel"]
    assert data["scanners"] == list(PAPER_SCANNERS)
    person = data["people"]["02"]
    assert "raw/Prisma" not in person["images"]
    assert len(person["images"]) == len(person["labels"]) == 9
    opened = read_run(run)
    scanners = ("GE", "Philips", "Trio")
    images = [slices.read_canonical(opened.image_path("mispel", "02", scanner))[0] for scanner in scanners]
    gray = slices.gray_range(images)
    raw = [slices.read_canonical(opened.image_path("raw", "02", scanner))[0] for scanner in scanners]
    box = slices.brain_box(np.any([image != 0 for image in raw], axis=0))
    for scanner, image in zip(scanners, images, strict=True):
        shown = _cut(person["images"][f"mispel/{scanner}"], person["shape"], person["columns"])
        expected = mosaic.to_bytes(image[box], gray)
        # the codec costs a few gray levels
        assert np.abs(shown - expected).mean() < 8
        assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.98
        path = opened.files.segmentations("mispel") / f"sub-02_scanner-{scanner}_dseg.nii.gz"
        labels = _cut(person["labels"][f"mispel/{scanner}"], person["shape"], person["columns"])
        assert np.array_equal(labels / mosaic.LEVEL, slices.read_canonical(path)[0][box])


def test_gray_levels_fill_the_scale_and_the_background_is_black():
    pixels = np.array([[0.0, -2.0], [1.0, 9.0]])
    assert mosaic.to_bytes(pixels, (-1.0, 3.0)).tolist() == [[0, 0], [128, 255]]


def test_voxels_become_cubes_and_what_shrinks_is_averaged():
    slab = np.zeros((10, 12, 6), dtype=np.float32)
    slab[:, :, 2] = 3
    edges = np.array([1.0, 1.0, 2.0])
    assert mosaic.cubes(slab, edges, 1.0).shape == (10, 12, 12)
    assert mosaic.cubes_of_labels(slab, edges, 1.0)[0, 0].tolist() == [0] * 4 + [3] * 2 + [0] * 6
    fine = np.tile([0.0, 2.0], (8, 8, 4)).astype(np.float32)
    coarse = mosaic.cubes(fine, np.ones(3), 2.0)
    assert coarse.shape == (4, 4, 4)
    assert np.abs(coarse[:, :, 1:-1] - 1).max() < 0.2


@given(shape=st.tuples(*[st.integers(1, 9)] * 3), seed=st.integers(0, 99))
def test_a_sheet_holds_every_voxel(shape, seed):
    volume = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)
    found = _cut(mosaic.png(mosaic.sheet(volume)), list(shape), mosaic.columns(shape[2]))
    assert np.array_equal(found / mosaic.LEVEL, volume)


def test_large_images_come_on_larger_cubes():
    edges = np.ones(3)
    assert viewer.edge_for((100, 100, 100), edges, 1) == 1.0
    assert viewer.edge_for((100, 100, 100), edges, 1000) ** 3 == pytest.approx(1e9 / viewer.MOST_VOXELS)


def test_a_large_run_shows_fewer_people_and_says_so(tmp_path, monkeypatch):
    folder = write_example_run(tmp_path / "run", subjects=4)
    monkeypatch.setattr(viewer, "MOST_IMAGES", 2 * len(PAPER_METHODS) * len(PAPER_SCANNERS))
    found = viewer.build(read_run(folder))
    assert (list(found.subjects), found.left_out) == (["01", "02"], 2)
    told = " ".join(Page(render(folder).read_text(encoding="utf-8")).text.split())
    assert "2 of 4 people are here; the others' images are in the run's folder images ." in told


def test_people_with_scans_to_look_at_come_first_in_the_viewer(tmp_path, monkeypatch):
    folder = write_example_run(tmp_path / "run", subjects=3)
    quality = pd.DataFrame({"subject": ["01", "03"], "scanner": "GE", "status": ["left_out", "kept"], "flags": "small"})
    write_table(folder / "study" / "quality.tsv", quality)
    apart = pd.DataFrame([("02", "GE", "roughness", 9.0, 1.0, 8.0)], columns=scan_outliers.COLUMNS)
    monkeypatch.setattr(scan_outliers, "of_run", lambda _: apart)
    found = viewer.build(read_run(folder))
    assert (list(found.subjects), found.flagged, found.left_out) == (["03", "02", "01"], 2, 0)
    monkeypatch.setattr(viewer, "MOST_IMAGES", 1)
    told = " ".join(Page(render(folder).read_text(encoding="utf-8")).text.split())
    assert "1 of 3 people is here, first those with scans to look at; the others' images" in told


def test_what_was_told_of_scans_stands_below_the_answer(tmp_path, monkeypatch):
    run = write_example_run(tmp_path / "run", subjects=2)
    write_json(run / "study" / "remarks.json", ["a.nii.gz: 7 of the mask's voxels are <background>"])
    verdict = {"endpoint": "GM", "answer": "No arm.", "questions": {}, "warnings": []}
    monkeypatch.setattr(first_screen, "first_screen", lambda _: verdict)
    summary = Page(render(run).read_text()).text.partition("What it cannot do")[0]
    places = [
        summary.index(part)
        for part in (
            "Scans to look at: 1 .",
            "No arm.",
            "What this hangs on",
            "Scans to look at: 1 a.nii.gz: 7 of the mask's voxels are <background>",
        )
    ]
    assert places == sorted(places)


def test_what_the_configuration_sets_of_an_arm_stands_beside_it(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    told = read_json(folder / "provenance.json")
    told["config"]["methods"]["mispel"] = {"method": "mispel", "preset": "paper", "learning_rate": 0.0001}
    write_json(folder / "provenance.json", told)
    found = {arm["id"]: arm["parameters"] for arm in content.arms(read_run(folder))}
    assert found["mispel"] == "learning_rate 0.0001, preset paper"
    assert found["raw"] == ""
    assert "learning_rate 0.0001, preset paper" in Page(render(folder).read_text(encoding="utf-8")).text
