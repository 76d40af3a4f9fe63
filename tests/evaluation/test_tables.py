"""The tables of a run: the paper's layout, what is bold and starred, and the paper's own numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.errors import InputError
from core.files import read_table, write_table
from evaluation.__main__ import main
from evaluation.measures.registry import find
from evaluation.runs.finished_run import read_run
from evaluation.tables import table_claims
from evaluation.tables.cells import summarize
from evaluation.tables.latex import latex, to_latex
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.published import paper_numbers
from evaluation.tables.writing import to_markdown
from tests.support.example_run import write_example_run


def with_statistics(run: Path, engine: str = "hmrf") -> Path:
    """Give an example run the tests that its numbers lead to, and its volumes the engine's name."""
    path = run / "metrics/volumes.tsv"
    write_table(path, read_table(path).assign(engine=engine))
    main(["statistics", str(run)])
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A simulated run with a missing scan and a failed arm, its tables written."""
    folder = tmp_path_factory.mktemp("tables")
    write_example_run(folder, subjects=6, missing=[("02", "GE")], failed=["ravel"])
    main(["tables", str(with_statistics(folder))])
    return folder


def markdown_rows(run: Path, name: str) -> list[list[str]]:
    lines = (run / "tables" / f"{name}.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


@pytest.mark.slow
def test_table_2_has_the_papers_layout_and_its_numbers_beside(run):
    header, _, *rows = markdown_rows(run, "table2_ssim")
    pairs = ["GE-Philips", "GE-Prisma", "GE-Trio", "Philips-Prisma", "Philips-Trio", "Prisma-Trio"]
    assert header == ["Method", "n", *pairs]
    assert [row[0] for row in rows] == ["RAW", "RAW, paper", "WS", "WS, paper", "MISPEL", "MISPEL, paper"]
    assert rows[1][1:3] == ["18", "0.75 (0.04)"]
    assert rows[5][-1] == "**0.91** (0.03)"
    data = read_table(run / "tables/table2_ssim.tsv").set_index(["method", "pair"])
    assert data.loc[("whitestripe", "Prisma-Trio"), "paper_mean"] == 0.89


def test_ssims_other_definitions_stand_beside_table_2(run):
    header, _, *rows = markdown_rows(run, "table2_ssim_definitions")
    assert header[:3] == ["Method", "n", "Table 2: 3-D, in the mask"]
    assert [row[0] for row in rows[:4]] == ["RAW", "WS", "MISPEL", "RAW, affine ceiling"]
    assert rows[3][3:] == ["n/a"] * 3
    metrics = read_table(run / "metrics/ssim.tsv")
    for row, (method, column) in zip(
        (rows[0], rows[1], rows[3]),
        (("raw", "ssim"), ("whitestripe", "ssim"), ("raw", "ssim_affine_ceiling")),
        strict=True,
    ):
        people = metrics[metrics.method == method].groupby("subject")[column].mean()
        assert row[1:3] == ["6", f"{people.mean():.3f} ({people.std(ddof=1):.3f})"]
    data = read_table(run / "tables/table2_ssim_definitions.tsv")
    assert set(data[data.measure == "ssim_affine_ceiling"].method) == {"raw"}
    assert set(data[data.measure == "pearson"].significant.dropna()) <= {"yes", "no"}


def test_table_3_has_a_row_a_tissue_and_method(run):
    header, _, *rows = markdown_rows(run, "table3_volume_differences")
    assert header[:3] == ["Tissue", "Method", "n"]
    assert [row[0] for row in rows] == ["GM"] * 6 + ["WM"] * 6 + ["CSF"] * 6
    paper = {(row[0], row[1]): row for row in rows}
    assert paper["GM", "MISPEL, paper"][3:5] == ["21.12 (12.08)", r"**10.35** (6.57)\*"]


def test_means_are_those_of_the_metrics_and_n_shows_the_missing_scan(run):
    metrics = read_table(run / "metrics/volume_differences.tsv")
    data = read_table(run / "tables/table3_volume_differences.tsv")
    metrics["pair"] = metrics.scanner_a + "-" + metrics.scanner_b
    for _, cell in data.iterrows():
        keys = ["tissue", "method", "pair"]
        values = metrics[(metrics[keys] == cell[keys]).all(axis=1)]
        assert cell["mean"] == pytest.approx(values.absolute_difference_ml.mean(), rel=1e-5)
        assert cell["sd"] == pytest.approx(values.absolute_difference_ml.std(ddof=1), rel=1e-5)
        assert cell["n"] == (5 if "GE" in cell.pair else 6)
    row = next(row for row in markdown_rows(run, "table3_volume_differences") if row[:2] == ["GM", "WS"])
    assert row[2] == "6"
    assert row[3].endswith("[n = 5]")
    assert "[n" not in row[-1]


@pytest.mark.parametrize(
    ("name", "measure", "better"),
    [("table2_ssim", "ssim", "max"), ("table3_volume_differences", "volume_difference", "min")],
)
def test_bold_is_the_best_and_the_stars_are_those_of_the_tests(run, name, measure, better):
    data = read_table(run / f"tables/{name}.tsv")
    keys = ["tissue", "pair"] if "tissue" in data else ["pair"]
    for _, cell in data.groupby(keys):
        assert list(cell.best == "yes") == list(cell["mean"] == cell["mean"].agg(better))
    tests = read_table(run / "statistics/paired_tests.tsv").query("measure == @measure")
    tests["pair"] = tests.scanner_a + "-" + tests.scanner_b
    both = data.merge(tests, on=[*keys, "method"], suffixes=("", "_tested"))
    assert len(both) == len(data)
    assert list(both.significant.fillna("n/a")) == list(both.significant_tested.fillna("n/a"))
    printed = sum(cell.count(r"\*") for row in markdown_rows(run, name) if "paper" not in "".join(row) for cell in row)
    assert printed == (data.significant == "yes").sum() > 0


def test_what_must_be_said_is_said_under_each_table(run):
    for path in (run / "tables").glob("*.md"):
        text = path.read_text()
        assert text.startswith("### ")
        assert "(simulated)" in text.splitlines()[0]
        assert "Simulated:" in text
        assert "Without RAVEL (fit: failed" in text
    assert "three-dimensional, Gaussian window of sigma 1.5" in (run / "tables/table2_ssim.md").read_text()
    assert "hmrf" in (run / "tables/table3_volume_differences.md").read_text()


def test_there_is_a_table_of_rules_and_one_of_the_truth(run):
    rules = read_table(run / "tables/table_volume_rules.tsv")
    assert set(rules.rule) == {
        "volume_ml_posterior",
        "volume_ml_hard",
        "volume_ml_pve_threshold",
        "volume_ml_pve",
    }
    volumes = read_table(run / "metrics/volumes.tsv").query("tissue == 'GM' and method == 'raw'")
    row = rules.query("quantity == 'volume' and rule == 'volume_ml_hard' and tissue == 'GM' and method == 'raw'").iloc[
        0
    ]
    assert row["mean"] == pytest.approx(volumes.groupby("subject").volume_ml_hard.mean().mean(), rel=1e-5)
    assert row.n == 6
    truth = read_table(run / "tables/table_truth.tsv")
    absolute = truth.query("value_of == 'absolute_error_ml_pve' and tissue == 'WM'")
    assert list(absolute.best == "yes") == list(absolute["mean"] == absolute["mean"].min())
    assert "Dice with the true labels" in (run / "tables/table_truth.md").read_text()
    assert read_table(run / "tables/table_dice.tsv").tissue.unique().tolist() == ["GM", "WM", "CSF"]


def test_drawing_again_gives_the_same_bytes(run):
    before = {path.name: path.read_bytes() for path in (run / "tables").iterdir()}
    main(["tables", str(run)])
    assert before == {path.name: path.read_bytes() for path in (run / "tables").iterdir()}


def test_other_methods_and_scanners_have_no_numbers_of_the_paper(tmp_path):
    run = write_example_run(tmp_path, subjects=3, methods=("raw", "mine"), scanners=("A", "B"), simulated=False)
    main(["tables", str(with_statistics(run, engine="gmm"))])
    text = (run / "tables/table2_ssim.md").read_text()
    assert "paper" not in text
    assert "imulated" not in text
    assert [row[0] for row in markdown_rows(run, "table2_ssim")[2:]] == ["RAW", "mine"]
    assert "stands in for FAST" in (run / "tables/table3_volume_differences.md").read_text()
    assert not (run / "tables/table_truth.md").exists()


def test_a_pair_in_the_other_order_is_the_papers_pair(tmp_path):
    run = write_example_run(tmp_path, subjects=3, methods=("raw",), scanners=("Trio", "GE"))
    main(["tables", str(with_statistics(run))])
    data = read_table(run / "tables/table2_ssim.tsv")
    assert list(data.pair) == ["Trio-GE"]
    assert list(data.paper_mean) == [0.78]


def test_one_subject_has_a_mean_without_an_sd_or_a_star(tmp_path):
    run = write_example_run(tmp_path, subjects=1)
    main(["tables", str(with_statistics(run))])
    row = markdown_rows(run, "table2_ssim")[2]
    assert row[1] == "1"
    assert row[2].endswith("(n/a)")
    assert r"\*" not in "".join(cell for row in markdown_rows(run, "table2_ssim") for cell in row)


def test_a_run_without_numbers_or_statistics_says_so(tmp_path):
    run = write_example_run(tmp_path, subjects=2)
    (run / "statistics/paired_tests.tsv").unlink()
    with pytest.raises(InputError, match="paired_tests.tsv: no such file; run `statistics` first"):
        main(["tables", str(run)])
    ssim = read_table(run / "metrics/ssim.tsv")
    write_table(run / "metrics/ssim.tsv", ssim.iloc[:0])
    with pytest.raises(InputError, match="no arm gave results"):
        main(["tables", str(run)])
    with pytest.raises(InputError, match="scans.tsv: no such file"):
        main(["tables", str(tmp_path / "elsewhere")])


def test_nan_values_do_not_count_and_never_are_the_best():
    values = pd.DataFrame(
        [
            ("n/a", method, "A-B", subject, value)
            for method, vector in {"raw": [0.5, float("nan")], "ws": [float("nan")] * 2}.items()
            for subject, value in zip("12", vector, strict=True)
        ],
        columns=["tissue", "method", "column", "subject", "value"],
    )
    table = summarize(values, {"A-B": find("dice")}).set_index("method")
    assert list(table.n) == [1, 0]
    assert list(table.best) == ["yes", "no"]


def test_markup_is_escaped():
    table = Table(
        "t",
        "50 % & more_",
        pd.DataFrame(),
        [Panel("", ["Method", "n"], [["a|b_c", Entry("1", " (2)", True, True)]])],
        ["p < 1 *"],
    )
    assert r"| a\|b_c | **1** (2)\* |" in to_markdown(table)
    assert r"p < 1 \*" in to_markdown(table)
    assert r"a\textbar{}b\_c & \textbf{1} (2)$^{*}$ \\" in to_latex(table)
    assert latex("50 % & more_") == r"50 \% \& more\_"


def test_the_papers_best_are_the_ones_it_prints_bold():
    ssim = paper_numbers("table2_ssim", "higher")
    assert set(ssim[ssim.best == "yes"].method) == {"MISPEL"}
    assert len(ssim) == 24
    volumes = paper_numbers("table3_volume_differences", "lower")
    best = volumes[volumes.best == "yes"]
    assert (best.method == "MISPEL").sum() == 15
    assert len(best) == 18
    # the paper leaves Philips-Trio's CSF bold out of its best mean, RAVEL's 12.90
    assert ("CSF", "Philips-Trio") in set(
        best[best.method == "RAVEL"][["tissue", "pair"]].itertuples(index=False, name=None)
    )


def test_claims_hold_mispel_against_the_papers_arms_alone(tmp_path):
    write_example_run(tmp_path, subjects=3, methods=("raw", "whitestripe", "mispel", "mine"))
    path = tmp_path / "metrics/volume_differences.tsv"
    table = read_table(path)
    column = "absolute_difference_ml"
    write_table(path, table.assign(**{column: table[column].where(table["method"] != "mine", 0.0)}))
    means = table.pivot_table(index=["tissue", "scanner_a", "scanner_b"], columns="method", values=column)
    wins = (means["mispel"] <= means[["raw", "whitestripe", "mispel"]].min(axis=1)).sum()
    found = {claim.claim: claim.here for claim in table_claims.claims(read_run(tmp_path).only("arm"))}
    assert wins > 0
    assert found["MISPEL has the smallest volume differences (the run's rule)"] == f"{wins} of 18 cases, beside RAW, WS"


def test_a_run_is_read_once(run):
    opened = read_run(run)
    assert opened.simulated
    assert opened.arms_in(opened.table("metrics/ssim.tsv")) == ["raw", "whitestripe", "mispel"]
