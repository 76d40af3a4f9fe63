"""Figures for a paper: a column's or a page's width, without title and mark, in other forms where much is shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from matplotlib.text import Text
from PIL import Image

from core.files import read_table
from core.names import PAPER_TISSUES
from evaluation import figures
from evaluation.__main__ import main
from evaluation.figures import figure5_rmse, media
from evaluation.figures.media import COLUMN, PAGE, PAPER, REPORT
from evaluation.figures.panels import some
from tests.support.drawn_figures import axes_of, drawn, overlaps, texts
from tests.support.example_run import PAPER_SCANNERS, write_example_run

AGAIN = ("figure4_slices", "figure5_rmse", "figure_edge", "figure_mispel_embeddings")

SMALLEST = 6.0
"""Points: smaller letters can't be read in print."""

TWELVE = ("raw", "whitestripe", "ravel", "mispel", *(f"another method {number}" for number in range(8)))
FORTY = tuple(f"Site {number:02d}" for number in range(40))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A small simulated run; not to be changed."""
    return write_example_run(tmp_path_factory.mktemp("runs") / "few", subjects=3, shape=(8, 10, 8))


@pytest.fixture(scope="module")
def twelve_arms(tmp_path_factory) -> Path:
    """A run of twelve arms; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "arms"
    return write_example_run(folder, subjects=2, methods=TWELVE, shape=(8, 10, 8))


@pytest.fixture(scope="module")
def forty_scanners(tmp_path_factory) -> Path:
    """A run of forty scanners, 780 pairs; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "scanners"
    return write_example_run(folder, subjects=2, methods=("raw", "mispel"), scanners=FORTY, shape=(8, 10, 8))


@pytest.mark.slow
def test_a_papers_figures_are_pdf_and_png_at_both_widths_with_the_same_bytes_each_time(tmp_path, run):
    for place in ("a", "b"):
        shutil.copytree(run, tmp_path / place)
    main(["figures", str(tmp_path / "a"), "--paper"])
    # the second time a few of them, as all take a minute
    for name in AGAIN:
        figures.draw_for_paper(tmp_path / "b", name)
    written = {path.name: path for path in (tmp_path / "a/figures/paper").iterdir()}
    wide = {"figure_mispel_embeddings"}
    for name in [*drawn(run)]:
        for medium in (PAGE,) if name in wide else PAPER:
            made = {kind: written.pop(f"{name}_{medium.name}.{kind}") for kind in ("pdf", "png", "txt")}
            for path in made.values() if name in AGAIN else ():
                assert path.read_bytes() == (tmp_path / "b/figures/paper" / path.name).read_bytes(), path.name
            content = made["pdf"].read_bytes()
            assert b"CreationDate" not in content
            assert b"/Type3" not in content
            assert b"/FontFile2" in content
            with Image.open(made["png"]) as picture:
                assert picture.info["dpi"][0] == pytest.approx(300, abs=0.1)
                assert picture.width <= 300 * medium.width
            assert made["txt"].read_text().startswith("Simulated data. ")
    assert written == {}
    assert not list((tmp_path / "a/figures").glob("*.png"))


def test_captions_say_what_the_picture_leaves_out(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, methods=("raw",), simulated=False, shape=(8, 10, 8))
    stale = folder / "figures/paper/figure5_rmse_column.eps"
    stale.parent.mkdir(parents=True)
    stale.touch()
    figures.draw_for_paper(folder, "figure5_rmse")
    told = " ".join((folder / "figures/paper/figure5_rmse_column.txt").read_text().split())
    assert told.startswith("Figure 5. RMSE of volumes between scanners (posterior > 0.8). ")
    assert figure5_rmse.CAPTION in told
    assert told.endswith(figure5_rmse.WHISKERS)
    assert "imulated" not in told
    assert not stale.exists()


@pytest.mark.slow
@pytest.mark.parametrize("medium", PAPER, ids=lambda medium: medium.name)
@pytest.mark.parametrize("which", ["run", "twelve_arms", "forty_scanners"])
def test_on_paper_nothing_touches_all_is_legible_and_fits(which, medium, request):
    for name, page in drawn(request.getfixturevalue(which), on=medium).items():
        width, height = page.get_size_inches()
        assert width <= medium.width + 1e-6, name
        assert height <= medium.tallest, name
        assert min(text.get_fontsize() for text in page.findobj(Text) if text.get_text()) >= SMALLEST, name
        assert not any("imulated" in text for text in texts(page)), name
        assert "Simulated data." in page.in_words(""), name
        with media.on(medium):
            assert overlaps(page) == [], name


@pytest.mark.slow
@pytest.mark.parametrize("which", ["twelve_arms", "forty_scanners"])
def test_in_the_report_too_much_is_shown_in_another_form(which, request):
    for name, page in drawn(request.getfixturevalue(which)).items():
        assert page.get_size_inches()[1] <= REPORT.tallest, name
        assert overlaps(page) == [], name


def test_where_pairs_are_too_many_boxes_hold_them(forty_scanners):
    page = drawn(forty_scanners, "figure5", PAGE)["figure5_rmse"]
    assert page.caption == figure5_rmse.OVER_PAIRS
    assert "Each box is over 780 pairs of scanners." in page.sentences
    table = read_table(forty_scanners / "metrics/rmse.tsv")
    for axis, tissue in zip(axes_of(page), PAPER_TISSUES, strict=True):
        medians = [line.get_ydata()[0] for line in axis.lines if line.get_linewidth() == 1.4]
        rows = table[table.tissue == tissue]
        assert medians == pytest.approx([rows[rows.method == arm].rmse_ml.median() for arm in ("raw", "mispel")])


def test_stars_of_too_many_pairs_are_counted(forty_scanners):
    page = drawn(forty_scanners, "figure6", PAGE)["figure6_dice"]
    for axis in axes_of(page):
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "780"]


def test_some_of_many_scanners_are_shown_and_it_is_said(forty_scanners):
    for medium, most in ((COLUMN, 4), (PAGE, 8), (REPORT, 8)):
        page = drawn(forty_scanners, "figure4", medium)["figure4_slices"]
        assert len(axes_of(page)) == 2 * most
        said = f"{most} of 40 scanners are shown, evenly from the first to the last in the sheet."
        assert said in page.sentences
    assert some(PAPER_SCANNERS, 4, "scanners") == (list(PAPER_SCANNERS), [])
    assert some(FORTY, 3, "scanners")[0] == ["Site 00", "Site 20", "Site 39"]
