"""The measure of the brain's edge, its table, figure, and the warnings that come of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.brain_edge import depth
from core.errors import Caution
from core.files import read_table, write_table
from core.jobs.record import run_step
from core.names import TISSUES
from core.study import Study
from evaluation.__main__ import main
from evaluation.measures import edge
from evaluation.measures.interface import Person, Range
from evaluation.report import content
from evaluation.report.first_screen import first_screen
from evaluation.runs.finished_run import read_run
from evaluation.runs.status_table import join_status
from evaluation.tables import table_edge
from tests.support.example_run import write_example_run
from tests.support.measured import measured_of


def person_of(images: dict[str, np.ndarray], mask: np.ndarray, tissues: dict[str, np.ndarray]) -> Person:
    ends = Range(0.0, 1.0)
    return Person(
        images=images,
        own_images=images,
        masks=dict.fromkeys(images, mask),
        labels={},
        tissues=tissues,
        own_range=ends,
        reference_range=ends,
        voxel_sizes=(1.0, 1.0, 1.0),
    )


def test_the_bias_is_what_was_done_to_a_layer_and_no_tissues_brightness():
    mask = np.zeros((20, 21, 22), bool)
    mask[2:-2, 3:-3, 1:-4] = True
    depths = depth(mask)
    random = np.random.default_rng(0)
    kinds = random.integers(0, 3, mask.shape) * (depths < 6)
    tissues = {tissue: mask & (kinds == number) for number, tissue in enumerate(TISSUES)}
    raw = {scanner: np.where(mask, random.uniform(1, 3, mask.shape), 0) for scanner in ("a", "b")}
    changed = {name: image.copy() for name, image in raw.items()}
    for scanner, by in (("a", -0.2), ("b", 0.1)):
        changed[scanner][depths == 1] += by * raw[scanner][mask].mean()
        changed[scanner][depths == 3] += 0.5 * by * raw[scanner][mask].mean()
        # nothing outside the brain counts
        changed[scanner][~mask] = 9
    brighter = {name: np.where(tissues["CSF"], image + 1, image) for name, image in raw.items()}
    rows = [
        {"method": arm, "subject": "01", **row}
        for arm, images in (("raw", raw), ("arm", changed), ("brighter", brighter))
        for row in edge.of_person(person_of(images, mask, tissues))
    ]
    measured = measured_of(Study(()), ["raw", "arm", "brighter"], {"edge": pd.DataFrame(rows)})
    found = edge.of_study(measured)["edge"].set_index(["method", "scanner"])
    third = (depths == 3).sum() / np.isin(depths, (3, 4)).sum()
    np.testing.assert_allclose(found.loc["raw", list(edge.BIASES.values())], 0)
    np.testing.assert_allclose(found.loc[("arm", "a"), list(edge.BIASES.values())], [-0.2, 0, -0.1 * third, 0], 1e-9)
    np.testing.assert_allclose(found.loc["arm", "edge_bias"], [-0.2, 0.1])
    assert (found.loc["brighter", "bias_1"] < found.loc["brighter", "bias_deeper"] - 0.05).all()
    np.testing.assert_allclose(found.loc["brighter", "edge_bias"], 0, atol=1e-9)


@pytest.fixture
def run(tmp_path):
    folder = write_example_run(tmp_path, subjects=3)
    path = folder / "metrics" / "edge.tsv"
    table = read_table(path)
    dark = (table["method"] == "mispel") & (table["scanner"] == "GE")
    write_table(path, table.assign(edge_bias=table["edge_bias"].where(~dark, -0.15)))
    return folder


def test_an_arm_that_changes_the_edge_is_warned_of(run):
    main(["statistics", str(run), "--bootstrap", "100"])
    warnings = " ".join(first_screen(read_run(run))["warnings"])
    assert "MISPEL changes the brain's outermost layer" in warnings
    assert "-0.15 (GE) of" in warnings
    assert "RAVEL changes" not in warnings


def test_the_table_has_every_arm_but_raw(run):
    table = table_edge.make(read_run(run)).data
    assert set(table["method"]) == {"whitestripe", "ravel", "mispel"}
    of_ge = table[(table["quantity"] == "bias at the edge by scanner") & (table["value_of"] == "GE")]
    assert of_ge.set_index("method").loc["mispel", "mean"] == pytest.approx(-0.15)


def test_what_a_step_cautions_of_stands_in_the_record_and_the_report(run):
    def work() -> None:
        import warnings

        warnings.warn("not for the record", UserWarning, stacklevel=1)
        for _ in range(2):
            warnings.warn("the edge is dark", Caution, stacklevel=1)

    for fold in ("fit-1", "fit-2"):
        run_step(work, status_file=run / "status" / "mispel" / f"{fold}.json", method="mispel", step="fit")
    row = join_status(run / "status", ["mispel"]).iloc[0]
    assert (row["status"], row["reason"]) == ("ok", "the edge is dark")
    status = read_table(run / "status.tsv")
    fitted = (status["method"] == "mispel") & (status["step"] == "fit")
    write_table(run / "status.tsv", status.assign(reason=np.where(fitted, row["reason"], "")))
    arms = {arm["id"]: arm for arm in content.arms(read_run(run))}
    assert (arms["mispel"]["status"], arms["mispel"]["reason"]) == ("ok", "fit: the edge is dark")
    assert arms["raw"]["reason"] == ""
