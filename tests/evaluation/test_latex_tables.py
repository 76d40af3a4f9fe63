"""Tables as LaTeX: as wide as a column or a page, in the paper's look, and compiled where there is a LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from evaluation.__main__ import main
from evaluation.tables.latex import COLUMN, NOTES, PAGE, SIZES, SPARE, TALLEST, grids, latex, text_width, to_latex
from evaluation.tables.layout import Entry, Panel, Table
from tests.evaluation.test_tables import with_statistics
from tests.support.example_run import write_example_run

PAIRS = ["GE-Philips", "GE-Prisma", "GE-Trio", "Philips-Prisma", "Philips-Trio", "Prisma-Trio"]
LIKE_TABLE_3 = Panel(
    "Mean absolute differences of volumes",
    ["Tissue", "Method", "n", *PAIRS],
    [
        [tissue, method, "18", *[Entry("30.01", " (63.57)", star=method != "RAW")] * 6]
        for tissue in ("GM", "WM", "CSF")
        for method in ("RAW", "WS", "RAVEL", "MISPEL")
    ],
)


def a_table(*panels: Panel, notes: tuple[str, ...] = ()) -> Table:
    return Table("table_x", "Of this & that", pd.DataFrame(), panels, notes)


def test_widths_are_those_of_computer_modern():
    """The published widths of cmr10 are 0.5 em a digit, 0.833 m, 0.333 a space, 0.389 a parenthesis; cmr9's 0.514."""
    small = SIZES[0]
    assert text_width("0123456789", small) == pytest.approx(10 * 0.514 * 9, rel=2e-3)
    assert text_width("m (", small) == pytest.approx((0.833 + 0.333 + 0.389) * 9 * 1.028, rel=3e-3)
    assert text_width("<", small) == text_width("=", small)


def test_the_papers_table_3_spans_a_page_with_merged_tissues_and_a_head_over_the_pairs():
    (grid,) = grids(LIKE_TABLE_3)
    assert grid.page
    assert COLUMN < grid.width <= PAGE
    text = to_latex(a_table(LIKE_TABLE_3))
    assert text.startswith("\\begin{table*}\n\\centering\n\\caption{Of this \\& that}\\label{tab:table_x}\n")
    assert r"& & & \multicolumn{6}{c}{Mean absolute differences of volumes} \\" in text
    assert r"\cmidrule{4-9}" in text
    assert [line.split(" & ")[0] for line in text.splitlines() if "RAW" in line] == [
        rf"\multirow{{4}}{{*}}{{{tissue}}}" for tissue in ("GM", "WM", "CSF")
    ]
    assert text.count(r"\midrule") == 3


def test_a_wide_panel_without_n_is_set_in_blocks_that_each_name_their_rows():
    """Gains by four segmenters and their rules, as `table_segmenters` has them."""
    segmenters = [f"{name}, {rule}" for name in ("hmrf", "gmm", "atropos", "unified") for rule in ("sum", "hard label")]
    gains = [Entry("101.89", " (-63.57 to 120.12)", star=True)] * len(segmenters)
    blocks = grids(Panel("Gains", ["Method", *segmenters], [["ComBat", *gains], ["Nyul", *gains]]))
    assert len(blocks) > 1
    assert all(block.width <= PAGE for block in blocks)
    assert [[row[0] for row in block.rows] for block in blocks] == [["ComBat", "Nyul"]] * len(blocks)
    assert sum(len(block.heads) - 1 for block in blocks) == len(segmenters)


def test_a_small_table_stands_in_a_column():
    panel = Panel("", ["Method", "n", "SSIM"], [["RAW", "18", Entry("0.91", " (0.01)", best=True)]])
    (grid,) = grids(panel)
    assert not grid.page
    text = to_latex(a_table(panel))
    assert r"\begin{table}" in text
    assert r"\begin{tabular*}{\columnwidth}{@{\extracolsep{\fill}}lrr@{}}" in text
    assert r"RAW & 18 & \textbf{0.91} (0.01) \\" in text


def test_texts_are_broken_into_lines_where_a_page_is_too_narrow():
    sentence = "A long sentence that says what was found, and why it was or wasn't found here and nowhere else. "
    (grid,) = grids(Panel("", ["Claim", "Seen", "Why"], [[sentence, "yes", 2 * sentence]]))
    assert set(grid.wrapped) == {0, 2}
    assert grid.width == pytest.approx(PAGE - SPARE)
    assert grid.row_height(grid.rows[0]) > 2 * grid.size.skip


def test_more_pairs_than_a_page_is_wide_go_into_blocks_that_repeat_the_methods():
    names = [f"Site {one:02d}-Site {two:02d}" for one in range(7) for two in range(one)]
    row = [Entry(f"{number}.01", " (63.57)") for number, _ in enumerate(names)]
    found = grids(Panel("Differences", ["Tissue", "Method", "n", *names], [["GM", "RAW", "18", *row]]))
    assert len(found) > 1
    assert all(grid.width <= PAGE for grid in found)
    assert [cell for grid in found for cell in grid.rows[0][3:]] == row
    assert {tuple(grid.rows[0][:3]) for grid in found} == {("GM", "RAW", "18")}


def test_more_rows_than_a_page_is_high_go_onto_floats_of_one_number():
    rows = [[f"Method {number}", "18", Entry("0.91")] for number in range(170)]
    text = to_latex(a_table(Panel("", ["Method", "n", "SSIM"], rows), notes=("Bold: best.",)))
    floats = text.count(r"\begin{table}")
    assert 170 * SIZES[0].skip / TALLEST < floats <= 4
    assert text.count(r"\label{tab:table_x}") == 1
    assert text.count(r"\addtocounter{table}{-1}") == floats - 1
    assert re.findall(r"Method (\d+) ", text) == [str(number) for number in range(170)]
    assert text.index("Bold: best.") > text.index("Method 169")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The folder of the tables of a run with six scanners and many methods."""
    run = tmp_path_factory.mktemp("tables") / "run"
    methods = ("raw", "whitestripe", "ravel", "mispel", *(f"another_method_{number}" for number in range(4)))
    write_example_run(run, subjects=3, scanners=tuple("ABCDEF"), methods=methods, shape=(8, 10, 8))
    main(["tables", str(with_statistics(run))])
    return run / "tables"


def test_every_float_of_a_run_fits_on_a_page_and_says_simulated(written):
    for path in written.glob("*.tex"):
        for part in path.read_text().split(r"\begin{table")[1:]:
            assert "(simulated)" in part, path.name
            skips = {size.command: size.skip for size in SIZES}
            high = 0.0
            for size, body in re.findall(r"^\{(\\\w+)$(.*?)^\\par\\medskip\}$", part, re.MULTILINE | re.DOTALL):
                high += skips[size] * len(re.findall(r"\\\\$", body, re.MULTILINE))
            assert high + NOTES.skip * part.count(rf"{{{NOTES.command}\raggedright ") <= TALLEST, path.name


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_latex_sets_every_table_within_its_width(written, tmp_path):
    names = sorted(path.stem for path in written.glob("*.tex"))
    inputs = "\n".join(rf"\input{{{written / name}.tex}}\clearpage" for name in names)
    page = (
        r"\documentclass[10pt,twocolumn]{article}\usepackage{array,booktabs,multirow}"
        rf"\setlength{{\textwidth}}{{{2 * COLUMN + 29:g}pt}}\setlength{{\columnsep}}{{29pt}}"
        rf"\setlength{{\textheight}}{{{TALLEST + 10:g}pt}}\setlength{{\topmargin}}{{-50pt}}"
        rf"\begin{{document}}{inputs}\end{{document}}"
    )
    (tmp_path / "page.tex").write_text(page)
    done = subprocess.run(
        ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.findall(r"Overfull \\hbox.*|Float too large.*", done.stdout) == []


def test_dashes_and_dots_are_latexs():
    assert latex("a – b…") == r"a -- b\ldots{}"
