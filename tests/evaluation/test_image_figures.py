"""Histograms by scanner, what is left between scanners, and the forest of gains: what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.files import read_table, write_table
from evaluation.figures import figure_forest, figure_histograms, figure_residuals, style
from evaluation.runs.finished_run import read_run
from evaluation.verdicts.gains import GAIN_COLUMNS
from tests.support.example_run import write_example_run


def drawn(module, folder: Path) -> style.Page | None:
    """A figure of a run as matplotlib's object; None where nothing is drawn."""
    return module.make(read_run(folder))


@given(slope=st.floats(0.1, 1000), shift=st.floats(-1000, 1000))
def test_histograms_dont_see_an_arms_unit(slope, shift):
    generator = np.random.default_rng(3)
    images = {scanner: [generator.normal(100, 20 + 5 * place, 4000)] for place, scanner in enumerate(("GE", "Trio"))}
    moved = {scanner: [slope * brain + shift for brain in brains] for scanner, brains in images.items()}
    found, other = (figure_histograms.histograms(given) for given in (images, moved))
    width = (figure_histograms.HIGHEST - figure_histograms.LOWEST) / figure_histograms.BINS
    for scanner, density in found.items():
        # rounding may carry a voxel over an edge
        assert np.abs(density - other[scanner]).sum() * width < 0.01
        assert 0.98 < density.sum() * width <= 1.0 + 1e-9


def test_a_line_a_scanner_and_a_panel_an_arm(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, missing=[("01", "Trio"), ("02", "Trio")])
    figure = drawn(figure_histograms, folder)
    panels = [axis for axis in figure.axes if axis.lines]
    assert [axis.get_title() for axis in panels] == ["RAW", "WS", "RAVEL", "MISPEL"]
    assert {len(axis.lines) for axis in panels} == {3}
    tallest = max(line.get_ydata().max() for axis in panels for line in axis.lines)
    assert all(axis.get_ylim()[0] == 0 and axis.get_ylim()[1] >= tallest for axis in panels)


@given(seed=st.integers(0, 99), scanners=st.integers(2, 5))
def test_residuals_cancel_out_and_equal_images_leave_none(seed, scanners):
    generator = np.random.default_rng(seed)
    images = {str(name): generator.uniform(1, 2, (4, 5, 3)) for name in range(scanners)}
    left = figure_residuals.residuals(images)
    assert np.abs(sum(left.values())).max() < 1e-6
    same = figure_residuals.residuals(dict.fromkeys(images, images["0"]))
    assert max(figure_residuals.root_mean_square(residual) for residual in same.values()) < 1e-6


def test_a_residual_is_in_percent_of_the_gray_range_and_none_outside_the_brain():
    brain = np.linspace(1, 2, 4000).reshape(10, 20, 20)
    brain[0] = 0
    brighter = np.where(brain > 0, brain + 0.1, 0)
    left = figure_residuals.residuals({"a": brain, "b": brighter})
    low, high = np.percentile(np.concatenate([brain[brain > 0], brighter[brighter > 0]]), [0.5, 99.5])
    assert figure_residuals.root_mean_square(left["b"]) == pytest.approx(100 * 0.05 / (high - low))
    assert (left["a"][0] == 0).all()
    assert left["a"][1:].max() < 0 < left["b"][1:].min()


def test_the_mean_of_scans_leaves_less_between_scanners(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    figure = drawn(figure_residuals, folder)
    numbers = [float(axis.get_xlabel().split()[0]) for axis in figure.axes if axis.get_xlabel().endswith("%")]
    by_arm = np.array(numbers).reshape(4, 4).mean(axis=1)
    # the example's MISPEL differs by a seventh of the others
    assert by_arm[3] < by_arm[:3].min()


def test_one_scanner_alone_has_no_residual(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2, scanners=("GE", "Trio"))
    for path in (folder / "images").rglob("*Trio*"):
        path.unlink()
    assert drawn(figure_residuals, folder) is None


def gains(**changes) -> dict:
    row = {"endpoint": "primary", "measure": "volume_difference_pve", "tissue": "GM", "method": "mispel"}
    row |= {"control": "raw", "control_arm": "raw", "n": 6, "seeds": 1, "control_seeds": 1, "value": 10.0}
    row |= {"control_value": 12.0, "rescan": 2.0, "gain": 2.0, "gain_low": 1.0, "gain_high": 3.0}
    return row | {"seed_share": 0.0, "margin": 0.5, "answer": "beyond"} | changes


def test_a_gain_is_the_share_of_the_way_to_a_rescan_or_to_the_best():
    higher = {"endpoint": "exploratory", "measure": "ssim", "tissue": None}
    table = pd.DataFrame(
        [
            gains(),
            gains(control="blur", control_arm="mispel_blur", control_value=11.0, gain=1.0),
            gains(**higher, value=0.9, control_value=0.8, rescan=None, gain=0.1),
            # RAW is better than its rescans: there is no way to go
            gains(measure="dice", tissue="GM", endpoint="exploratory", control_value=0.9, rescan=0.8, gain=0.1),
        ]
    )[GAIN_COLUMNS]
    found = figure_forest.in_units_of_raw(table)
    assert list(found["measure"]) == ["volume_difference_pve", "volume_difference_pve", "ssim"]
    assert list(found["share"]) == pytest.approx([0.2, 0.1, 0.5])
    assert found["share_low"].iloc[0] == pytest.approx(0.1)
    assert found["margin_share"].iloc[0] == pytest.approx(0.05)


def test_the_forest_shows_arms_that_compete_in_the_primary_endpoints_tissue(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    arms = read_table(folder / "arms.tsv")
    rows = [gains(method=arm, control=control) for arm in arms["arm"][1:] for control in ("raw", "blur")]
    rows += [gains(endpoint="exploratory", tissue="WM"), gains(endpoint="exploratory", measure="ssim", tissue=None)]
    write_table(folder / "statistics" / "gains.tsv", pd.DataFrame(rows)[GAIN_COLUMNS])
    figure = drawn(figure_forest, folder)
    assert [axis.get_title() for axis in figure.axes] == list(figure_forest.CONTROLS.values())
    names = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert names == ["Absolute difference of volumes, partial-volume sum, GM"]
    dots = [[line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"] for axis in figure.axes]
    assert [len(found) for found in dots] == [3, 0, 3]
    assert dots[0] == pytest.approx([0.2] * 3)


def test_no_gains_no_forest(tmp_path):
    assert drawn(figure_forest, write_example_run(tmp_path / "run", subjects=2)) is None


def test_raw_alone_has_no_gains_and_no_forest(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=2)
    write_table(folder / "statistics" / "gains.tsv", pd.DataFrame(columns=GAIN_COLUMNS))
    assert drawn(figure_forest, folder) is None
