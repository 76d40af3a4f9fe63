"""Figures from the files of a run: what they show, that nothing overlaps, and that bytes repeat."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_string
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image

from core.errors import InputError
from core.files import read_json, read_table, write_table
from core.names import PAPER_TISSUES
from core.scan_quality import sentences
from evaluation import figures
from evaluation.figures import figure_verdict, panels, slices, style
from evaluation.figures.media import REPORT
from evaluation.runs.finished_run import read_run
from evaluation.verdicts.verdict import VERDICT_COLUMNS
from tests.support.drawn_figures import axes_of, drawn, overlaps, texts
from tests.support.example_run import PAPER_SCANNERS, write_example_run
from tests.support.paths import ROOT

PAPER_FIGURES = [
    "figure1_scanner_effects",
    "figure3_volumes",
    "figure4_slices",
    "figure5_rmse",
    "figure6_dice",
]
ALL_FIGURES = [
    *PAPER_FIGURES,
    "figure_edge",
    "figure_histograms",
    "figure_mispel_embeddings",
    "figure_mispel_training",
    "figure_residuals",
    "figure_truth",
]
LONG_NAMES = ["A" * 64, "Magnetom Prisma fit at the second site", "GE", "scanner_with_underscores_3T"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A small run with a missing scan; not to be changed."""
    return write_example_run(tmp_path_factory.mktemp("runs") / "example", missing=[("02", "Prisma")])


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_figure_is_a_png_and_an_svg_with_the_same_bytes_each_time(tmp_path):
    first = write_example_run(tmp_path / "a", subjects=2, methods=("raw", "mispel"), scanners=("GE", "Trio"))
    second = tmp_path / "b"
    shutil.copytree(first, second)
    paths = figures.draw(first)
    assert sorted({path.stem for path in paths}) == sorted(ALL_FIGURES)
    assert figures.draw(second, threads=2) == [second / path.relative_to(first) for path in paths]
    for path in paths:
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.info["dpi"][0] >= 149.9
        elif path.suffix == ".svg":
            head = path.read_text()[:3000]
            assert "<svg" in head
            assert "<dc:date>" not in head


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="scans.tsv"):
        figures.draw(tmp_path)


def test_a_table_without_its_column_is_refused(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    path = folder / "metrics" / "rmse.tsv"
    write_table(path, read_table(path).drop(columns="ci_low"))
    with pytest.raises(InputError, match="rmse.tsv: no column 'ci_low'"):
        figures.load("figure5_rmse").make(read_run(folder))


def test_figures_without_anything_to_draw_say_so_or_are_removed(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, methods=("raw",), simulated=False)
    for name in ("metrics", "images"):
        shutil.rmtree(folder / name)
    stale = folder / "figures" / "figure_truth.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    paths = figures.draw(folder)
    assert sorted({path.stem for path in paths}) == PAPER_FIGURES
    assert not stale.exists()


# --- what is shown ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_simulated_stands_in_every_figure_of_simulated_scans_and_in_no_other(tmp_path, run):
    simulated = drawn(run)
    assert sorted(simulated) == sorted(ALL_FIGURES)
    for name, figure in simulated.items():
        assert "simulated" in texts(figure), name
    real = write_example_run(tmp_path / "real", subjects=2, simulated=False)
    for name, figure in drawn(real).items():
        assert not any("imulated" in text for text in texts(figure)), name


@pytest.mark.slow
def test_a_failed_arm_is_named_with_its_reason_and_its_empty_files_are_no_images(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, failed=["ravel"])
    empty = folder / "images" / "ravel" / "sub-01_scanner-GE_T1w.nii.gz"
    empty.parent.mkdir()
    empty.touch()
    for name, figure in drawn(folder).items():
        footnotes = " ".join(texts(figure)).replace("\n", " ")
        assert "Without RAVEL (fit: failed, no control voxel" in footnotes or name == "figure1_scanner_effects", name
        assert "RAVEL" not in [text for text in texts(figure) if text == "RAVEL"], name


def test_bars_are_the_tables_numbers_whatever_its_order(tmp_path):
    folder = write_example_run(tmp_path / "run")
    path = folder / "metrics" / "rmse.tsv"
    table = read_table(path)
    turned = table.sample(frac=1, random_state=1)
    odd = turned.index % 2 == 1
    turned.loc[odd, ["scanner_a", "scanner_b"]] = turned.loc[odd, ["scanner_b", "scanner_a"]].to_numpy()
    write_table(path, turned)
    figure = drawn(folder, "figure5")["figure5_rmse"]
    pairs = list(itertools.combinations(PAPER_SCANNERS, 2))
    for axis, tissue in zip(axes_of(figure), PAPER_TISSUES, strict=True):
        for bars, method in zip(axis.containers, ("raw", "whitestripe", "ravel", "mispel"), strict=True):
            rows = table[(table["tissue"] == tissue) & (table["method"] == method)]
            expected = rows.set_index(["scanner_a", "scanner_b"])["rmse_ml"].loc[pairs]
            assert [bar.get_height() for bar in bars] == pytest.approx(list(expected))
        assert "mL" in axis.get_ylabel()
        assert axis.get_ylim()[0] == 0
        whiskers = np.concatenate([lines.get_segments() for lines in axis.collections])
        expected = table[table["tissue"] == tissue]
        assert sorted(whiskers[:, 1, 1]) == pytest.approx(sorted(expected["ci_high"]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("figure3", ["(posterior > 0.8)"]),
        ("figure5", ["(posterior > 0.8)", "95 % interval over subjects", "jackknife"]),
        ("figure6", ["(posterior > 0.8)", "Whiskers: one standard deviation"]),
        ("figure_truth", ["(partial-volume sum)"]),
    ],
)
def test_a_figure_says_by_which_rule_and_what_its_whiskers_are(run, name, words):
    (figure,) = drawn(run, name).values()
    shown = " ".join(texts(figure)).replace("\n", " ")
    assert [word for word in words if word not in shown] == []


def test_an_endless_whisker_is_cut_and_said_to_go_on(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    path = folder / "metrics/rmse.tsv"
    table = read_table(path)
    table.loc[table.index[0], "ci_high"] = 1e6
    write_table(path, table)
    figure = drawn(folder, "figure5")["figure5_rmse"]
    assert "goes on beyond" in " ".join(texts(figure)).replace("\n", " ")
    tallest = table[table.tissue == table.tissue[0]].rmse_ml.max()
    axis = axes_of(figure)[PAPER_TISSUES.index(table.tissue[0])]
    assert max(lines.get_segments()[0][1, 1] for lines in axis.collections) == pytest.approx(3 * tallest)


def test_a_missing_bar_is_left_out():
    figure = Figure()
    axis = figure.subplots()
    heights = np.array([[1.0, np.nan], [2.0, 3.0]])
    panels.grouped_bars(axis, heights, heights - 0.1, heights + 0.1, looks=[style.Look("#000000")] * 2)
    assert [len(bars) for bars in axis.containers] == [2, 1]
    assert np.isfinite(axis.get_ylim()).all()


def test_only_significantly_better_is_starred(tmp_path):
    folder = write_example_run(tmp_path / "run")
    path = folder / "statistics" / "paired_tests.tsv"
    table = read_table(path)
    dice = table["measure"] == "dice"
    worse = dice & (table["method"] == "ravel") & (table["tissue"] == "GM") & (table["scanner_a"] == "GE")
    table.loc[worse, "mean_difference"] = -0.2
    table.loc[worse, "significant"] = "yes"
    gone = dice & (table["method"] == "mispel") & (table["scanner_b"] == "Trio")
    table.loc[gone, "significant"] = "no"
    write_table(path, table)
    figure = drawn(folder, "figure6")["figure6_dice"]
    for axis in axes_of(figure):
        stars = sorted(found.xy[0] for found in axis.texts if found.get_text() == "*")
        # MISPEL's bars are the last of four, and its pairs without Trio are groups 0, 1 and 3
        assert [round(place - 0.315) for place in stars] == [0, 1, 3]


def test_boxes_hold_the_volumes_and_a_missing_scan_shows_as_n(run):
    figure = drawn(run, "figure3")["figure3_volumes"]
    volumes = read_table(run / "metrics" / "volumes.tsv")
    axis = axes_of(figure)[0]
    medians = [line.get_ydata()[0] for line in axis.lines if line.get_linewidth() == 1.4]
    expected = (
        volumes[volumes["tissue"] == "GM"].groupby(["method", "scanner"], sort=False)["volume_ml"].median().to_numpy()
    )
    assert medians == pytest.approx(list(expected), rel=1e-5)
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["GE", "Philips", "Prisma\nn=4", "Trio"] * 4
    assert any("n = 4 to 5 subjects" in text for text in texts(figure))


def test_a_row_of_slices_has_one_gray_scale_and_a_missing_scan_keeps_its_place(tmp_path):
    missing = [("01", "Trio"), ("02", "GE")]
    folder = write_example_run(tmp_path / "run", subjects=2, missing=missing)
    figure = drawn(folder, "figure4")["figure4_slices"]
    grid = np.array(axes_of(figure)).reshape(4, 4)
    scanners = read_run(folder).scanners
    for row in grid:
        assert len({axis.images[0].get_clim() for axis in row if axis.images}) == 1
        assert [bool(axis.images) for axis in row] == [scanner != "Trio" for scanner in scanners]
    assert len({row[0].images[0].get_clim() for row in grid}) == 4


def test_histograms_have_identical_axes(run):
    figure = drawn(run, "figure1")["figure1_scanner_effects"]
    histograms = [axis for axis in axes_of(figure) if not axis.images]
    assert len(histograms) == len(PAPER_SCANNERS)
    assert len({(axis.get_xlim(), axis.get_ylim()) for axis in histograms}) == 1
    assert len({axis.images[0].get_clim() for axis in axes_of(figure) if axis.images}) == 1


@pytest.mark.parametrize("flips", itertools.product([1, -1], repeat=3))
def test_the_subjects_left_is_on_the_left_and_the_front_at_the_top(flips):
    affine = np.diag([*(2.0 * np.array(flips)), 1.0])
    image = np.zeros((7, 9, 5), dtype=np.float32)
    # a voxel far to the left, to the front, and low
    place = [0 if flips[0] == 1 else 6, 8 if flips[1] == 1 else 0, 1 if flips[2] == 1 else 3]
    image[tuple(place)] = 1
    turned, edges = slices.canonical(image, affine)
    assert edges == pytest.approx([2, 2, 2])
    axial = slices.upright(turned, 2, 1)
    assert axial.shape == (9, 7)
    assert axial[0, 0] == 1
    assert slices.upright(turned, 0, 0)[3, 8] == 1


def test_the_embeddings_figure_shows_scan_maps_and_output(run):
    figure = drawn(run, "embeddings")["figure_mispel_embeddings"]
    assert len(axes_of(figure)) == 4 * 8
    assert {"scan", "l = 1", "l = 6", "harmonized"} <= set(texts(figure))


def test_training_has_a_panel_a_step_and_a_line_a_loss(run):
    figure = drawn(run, "training")["figure_mispel_training"]
    first, second = axes_of(figure)
    assert [len(axis.lines) for axis in (first, second)] == [3, 3]
    assert first.get_yscale() == "log"
    assert first.get_xlabel() == "epoch"


# --- style ------------------------------------------------------------------------------------------


def test_a_method_keeps_its_color_and_no_two_look_alike():
    many = [f"method{number}" for number in range(42)]
    found = style.looks(["mispel", *many, "raw", "ravel", "whitestripe"])
    assert len(set(found.values())) == len(found) == 46
    few = style.looks(["raw", "whitestripe", "mispel"])
    assert all(few[method] == found[method] for method in few)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scanners", "methods"),
    [
        (PAPER_SCANNERS, ("raw", "whitestripe", "ravel", "mispel")),
        (LONG_NAMES, ("raw", "a_method_with_a_name_longer_than_any_other_of_them", "mispel")),
        (("A", "B"), ("raw",)),
        (tuple("ABCDEF"), ("raw", *(f"method{number}" for number in range(8)))),
    ],
    ids=["paper", "long", "least", "many"],
)
def test_no_text_touches_another_or_leaves_the_page(tmp_path, scanners, methods):
    folder = write_example_run(tmp_path / "run", subjects=2, scanners=scanners, methods=methods, shape=(8, 10, 8))
    for name, figure in drawn(folder).items():
        assert overlaps(figure) == [], name


@given(st.text("abcdefWM _-", min_size=1, max_size=70).filter(str.strip), st.floats(0.6, 4), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_broken_names_fit_into_their_place(name, inches, lines):
    broken = style.fit_lines(name, inches, lines, REPORT.text).split("\n")
    assert len(broken) <= lines
    assert all(style.text_width(line, REPORT.text) <= inches for line in broken)


@given(st.integers(0, 300), st.integers(1, 100))
def test_chunks_hold_every_item_once(count, largest):
    rows = panels.chunks(count, largest)
    assert [item for row in rows for item in row] == list(range(count))
    assert max(len(row) for row in rows) <= largest


# --- captions ---------------------------------------------------------------------------------------


def test_the_workflows_captions_are_the_figures_own_and_valid():
    folder = ROOT / "workflow" / "report"
    written = " ".join((folder / "figures.rst").read_text(encoding="utf-8").split())
    for module in map(figures.load, figures.names()):
        if module.__name__.rpartition(".")[2] in PAPER_FIGURES:
            assert module.TITLE in written
            assert module.CAPTION in written
    for path in folder.glob("*.rst"):
        # raises for anything that isn't valid reStructuredText
        publish_string(path.read_text(encoding="utf-8"), settings_overrides={"halt_level": 2, "report_level": 5})


def test_runs_read_ids_as_text_and_methods_in_order(run):
    opened = read_run(run)
    assert opened.subjects[0] == "01"
    assert opened.arms == ["raw", "whitestripe", "ravel", "mispel"]
    assert opened.pairs[0] == ("GE", "Philips")
    assert isinstance(opened.table("metrics/ssim.tsv"), pd.DataFrame)
    assert opened.table("metrics/none.tsv") is None


def test_quality_shows_rescans_and_one_in_the_place_of_a_scan_that_failed(tmp_path):
    """01's first scan on GE failed: the run has its first rescan as the scan, and the second under its session."""
    folder = write_example_run(tmp_path / "run", subjects=2, methods=("raw",), scanners=("GE", "Trio"))
    sheet = read_table(folder / "scans.tsv").assign(session="1")
    sheet.loc[0, "session"] = "2"
    again = sheet.iloc[[0]].assign(session="3")
    write_table(folder / "scans.tsv", pd.concat([sheet, again], ignore_index=True))
    raw = folder / "images" / "raw"
    shutil.copy(raw / "sub-02_scanner-GE_T1w.nii.gz", raw / "sub-01_scanner-GE_session-3_T1w.nii.gz")
    (folder / "study").mkdir(exist_ok=True)
    shutil.copy(raw / "sub-02_scanner-Trio_T1w.nii.gz", folder / "study" / "atlas_T1w.nii.gz")
    scans = [("01", "GE", ""), ("01", "GE", "2"), ("01", "GE", "3"), ("01", "Trio", ""), ("02", "GE", "")]
    quality = pd.DataFrame([*scans, ("02", "Trio", "")], columns=["subject", "scanner", "session"])
    flags = ["no brain was found", None, "signal-to-noise 3.0", None, None, None]
    write_table(folder / "study" / "quality.tsv", quality.assign(status=["failed", *["ok"] * 5], flags=flags))
    figure = drawn(folder, "figure_quality")["figure_quality"]
    axes = axes_of(figure)
    labels = [axis.get_ylabel() for axis in axes[::2]]
    assert labels == ["01", "01, rescan 1", "01, rescan 2", "02"]
    assert [bool(axis.images) for axis in axes] == [False, True, True, False, True, False, True, True]
    assert texts(figure).count("failed") == 1
    first, second, other = (axes[place].images[0].get_array() for place in (2, 4, 6))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(second, other)
    assert sentences(read_table(folder / "study" / "quality.tsv"), "failed") == [
        "subject 01 on GE failed: no brain was found"
    ]
    later = quality.assign(status="failed", flags="no brain was found").iloc[[2]]
    assert sentences(later, "failed") == ["subject 01 on GE, session 3 failed: no brain was found"]


def test_peoples_dots_are_where_the_picture_has_them(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=3, methods=("raw", "mispel"), missing=[("02", "Prisma")])
    figures.draw_one(folder, "figure3_volumes")
    places = read_json(folder / "figures" / "figure3_volumes.json")["people"]
    # two arms, three tissues, four scanners
    assert {name: len(found) for name, found in places.items()} == {"01": 24, "02": 18, "03": 24}
    with Image.open(folder / "figures" / "figure3_volumes.png") as picture:
        pixels = np.asarray(picture.convert("L")).astype(int)
    height, width = pixels.shape
    for across, down in places["01"] + places["02"]:
        # a white dot with a dark edge
        row, column = round(down * height), round(across * width)
        around = pixels[row - 4 : row + 5, column - 4 : column + 5]
        assert pixels[row - 1 : row + 2, column - 1 : column + 2].max() > 240
        assert around.min() < 90


def test_a_figure_without_people_names_none(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, methods=("raw", "mispel"))
    figures.draw_one(folder, "figure5_rmse")
    assert read_json(folder / "figures" / "figure5_rmse.json")["people"] == {}


def test_of_more_arms_than_there_is_room_for_names_the_compared_ones_have_theirs():
    arms = [f"arm_{number}" for number in range(20)]
    controls = [f"control_{number}" for number in range(20)]
    row = dict.fromkeys(VERDICT_COLUMNS, float("nan"))
    rows = [
        row | {"method": arm, "removed": removed, "removed_share": -0.9 + 0.1 * place, "kept_share": 1 + 0.01 * place}
        for names, removed in ((arms, "beyond"), (controls, "not compared"))
        for place, arm in enumerate(names)
    ]
    labels = {arm: f"the arm called {arm}" for arm in (*arms, *controls)}
    page = figure_verdict.plot(pd.DataFrame(rows), labels=labels, looks=style.looks(list(labels)), endpoint="GM")
    page.draw_without_rendering()
    names = [text for text in page.findobj(Annotation) if text.get_text() in labels.values()]
    assert [name.get_text() for name in names] == [labels[arm] for arm in arms]
    boxes = [Text.get_window_extent(name) for name in names]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    (axes,) = axes_of(page)
    assert all(axes.get_window_extent().contains(*corner) for box in boxes for corner in (box.min, box.max))
    assert "20 of 40 points, controls first" in page.in_words("")


def test_names_of_arms_that_lie_close_do_not_lie_on_each_other():
    arms = ["whitestripe", "ravel", "mispel", "mispel_permuted", "mispel_blur", "oracle", "cohort_mean"]
    row = dict.fromkeys(VERDICT_COLUMNS, float("nan"))
    places = zip(arms, (-0.13, 0.1, 0.004, -0.02, 0.001, 1.6, 1.7), (1.03, 0.95, 1, 1, 0.995, 1, 1.02), strict=True)
    rows = [row | {"method": arm, "removed": "beyond", "removed_share": x, "kept_share": y} for arm, x, y in places]
    labels = {arm: f"the arm called {arm}" for arm in arms}
    page = figure_verdict.plot(pd.DataFrame(rows), labels=labels, looks=style.looks(arms), endpoint="GM")
    page.draw_without_rendering()
    names = [text for text in page.findobj(Annotation) if text.get_text() in labels.values()]
    assert len(names) == len(arms)
    # without the lines to their points
    boxes = [Text.get_window_extent(name) for name in names]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    (axes,) = axes_of(page)
    assert all(axes.get_window_extent().contains(*corner) for box in boxes for corner in (box.min, box.max))
