"""A small real run of the whole DAG, and what it does with bad input."""

from __future__ import annotations

import html
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from core.files import read_table
from evaluation.figures import draw_one
from tests.support.made_up_study import write_study
from tests.support.paths import ROOT
from tests.support.runs import planned, snakemake, write_config
from workflow.source_hash import loaded_files

pytestmark = pytest.mark.slow

PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")}
COLUMNS = {
    "metrics/ssim.tsv": "method subject scanner_a scanner_b ssim",
    "metrics/volumes.tsv": "method subject scanner tissue volume_ml",
    "metrics/volume_differences.tsv": "method subject scanner_a scanner_b tissue difference_ml absolute_difference_ml",
    "metrics/dice.tsv": "method subject scanner_a scanner_b tissue dice",
    "metrics/rmse.tsv": "method scanner_a scanner_b tissue rmse_ml ci_low ci_high n",
    "statistics/paired_tests.tsv": "measure tissue scanner_a scanner_b method reference n mean reference_mean "
    "mean_difference t df p p_holm p_bh dz better significant",
    "status.tsv": "method step status reason seconds peak_mb device",
}


SPY = """
import os, sys
words = sys.orig_argv
if "-m" in words and words[words.index("-m") + 1] in {packages}:
    out = open(os.path.join({folder!r}, f"{{os.getpid()}}.txt"), "a", buffering=1)
    print(*words[words.index("-m") + 1 :][:2], file=out)

    def spy(event, arguments):
        if event == "open" and str(arguments[0]).startswith({root!r}) and str(arguments[0]).endswith((".py", ".pyc")):
            print(arguments[0], file=out)

    sys.addaudithook(spy)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a finished run of 3 people on 3 scanners, one scan missing; what its jobs opened is in `opened`."""
    folder = tmp_path_factory.mktemp("dag")
    write_study(folder / "own", missing=("02", "Gamma"))
    (folder / "opened").mkdir()
    packages = ("studies", "baselines", "evaluation")
    spy = SPY.format(packages=packages, folder=str(folder / "opened"), root=str(ROOT))
    (folder / "sitecustomize.py").write_text(spy)
    done = snakemake(folder, "--configfile", write_config(folder, people_per_job=2), also=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Report: results/small/report.html" in done.stderr
    return folder


def test_every_file_of_the_contract_is_there(finished):
    run = finished / "results" / "small"
    methods = ["raw", "whitestripe", "ravel", "mispel"]
    for method in methods:
        assert len(list((run / "images" / method).glob("sub-*_scanner-*_T1w.nii.gz"))) == 8
        assert len(list((run / "segmentations" / method).glob("sub-*_scanner-*_dseg.nii.gz"))) == 8
        assert (run / "models" / method / "method.json").exists()
    for path, columns in COLUMNS.items():
        table = read_table(run / path)
        assert list(table.columns[: len(columns.split())]) == columns.split(), path
        assert list(dict.fromkeys(table["method"])) == methods, path
    for table in ("table2_ssim", "table3_volume_differences"):
        for ending in ("tsv", "md", "tex"):
            assert (run / "tables" / f"{table}.{ending}").stat().st_size
    for figure in ("figure1_scanner_effects", "figure3_volumes", "figure4_slices", "figure5_rmse", "figure6_dice"):
        for ending in ("png", "svg"):
            assert (run / "figures" / f"{figure}.{ending}").stat().st_size
    page = (run / "report.html").read_text()
    assert "<html" in page
    assert 'src="http' not in page
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["config"]["run"] == "small"
    assert provenance["machine"]["command"].startswith("snakemake ")
    assert provenance["machine"]["command"] in html.unescape(page)
    steps = {(row["step"], row["arm"]): row for row in provenance["machine"]["steps"]}
    for step in ("fit", "apply", "intensities", "segment", "measure"):
        assert {arm for name, arm in steps if name == step} == {"raw", "whitestripe", "ravel", "mispel"}
    assert {name for name, arm in steps if not arm} >= {"check_study", "prepare", "scans", "metrics", "statistics"}
    assert steps["fit", "mispel"]["cpu_s"] > 0
    assert steps["fit", "mispel"]["peak_mb"] > 50
    assert set(pd.read_csv(run / "status.tsv", sep="\t")["status"]) == {"ok"}


def test_a_missing_scan_shows_in_n(finished):
    tests = read_table(finished / "results" / "small" / "statistics" / "paired_tests.tsv")
    assert set(tests["n"][(tests["scanner_a"] == "Alpha") & (tests["scanner_b"] == "Beta 2")]) == {3}
    assert set(tests["n"][tests["scanner_b"] == "Gamma"]) == {2}


def test_a_second_call_does_nothing(finished):
    again = snakemake(finished, "--configfile", str(finished / "config.yaml"))
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_snakemakes_own_report_holds_the_page(finished):
    page = finished / "snakemake.html"
    done = snakemake(finished, "--configfile", str(finished / "config.yaml"), "--report", str(page))
    assert done.returncode == 0, done.stderr[-2000:]
    text = page.read_text(encoding="utf-8")
    assert "report.html" in text
    assert "figure5_rmse.png" in text
    assert "table2_ssim.tsv" in text


def test_a_rules_code_holds_all_that_its_jobs_load(finished):
    """What a job of a small run opens of this project's code lies in the hash of its verb, arms and engine."""
    chosen = ("studies.sources.sheet", "segmentation.engines.gmm", "mispel.method")
    chosen += tuple(f"baselines.{arm}" for arm in ("raw", "whitestripe", "ravel"))
    seen = set()
    for record in (finished / "opened").iterdir():
        command, *opened = record.read_text().splitlines()
        package, verb = command.split()
        files = {path for path in map(source_of, opened) if path.relative_to(ROOT).parts[0] in PACKAGES}
        hashed = loaded_files(f"{package}.__main__", f"{package}.commands.{verb.replace('-', '_')}", *chosen)
        assert {ROOT / package / "__main__.py"} < files <= hashed, command
        seen.add(command)
    assert len(seen) > 15


def source_of(path: str) -> Path:
    """The source of a compiled file; another file is its own."""
    return Path(importlib.util.source_from_cache(path) if path.endswith(".pyc") else path)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the project, to be edited."""
    for name in {"config", *PACKAGES}:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "Snakefile", tmp_path / "Snakefile")
    return tmp_path


def comment(*paths: Path) -> None:
    """Add a comment to each of these files, and those in folders."""
    assert paths
    for path in paths:
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            file.write_text(file.read_text() + "\n# a comment\n")


def test_code_that_a_run_does_not_use_plans_nothing(finished, copy):
    """The run is of a sheet, its arms are the paper's, its engine is gmm."""
    studies = [path for path in (copy / "studies").rglob("*.py") if "phantom" in str(path) or "bids" in str(path)]
    methods = [copy / "baselines" / f"{name}.py" for name in ("mica", "combat", "nyul", "external")]
    others = [next(copy.rglob("engines/fsl.py")), copy / "mispel" / "bench.py"]
    comment(*studies, *methods, *others)
    done = snakemake(finished, "-n", "--configfile", str(finished / "config.yaml"), project=copy)
    assert planned(done) == {}


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("baselines/ravel.py", {"fit": 1, "apply": 2, "count_intensities": 2, "intensities": 1, "segment": 2}),
        ("mispel/losses.py", {"fit": 1, "apply": 2, "count_intensities": 2, "intensities": 1, "segment": 2}),
        ("evaluation/measures/sharpness.py", {"measure": 8}),
    ],
)
def test_code_that_a_run_uses_plans_what_stands_on_it(finished, copy, path, rules):
    comment(copy / path)
    done = snakemake(finished, "-n", "--configfile", str(finished / "config.yaml"), project=copy)
    found = planned(done)
    assert {rule: found.get(rule) for rule in rules} == rules
    of_arms = {"fit", "apply", "count_intensities", "intensities", "segment"}
    assert not set(found) & ({*of_arms, "prepare", "scans"} - set(rules))
    assert {"measure", "metrics", "statistics", "tables", "figures", "report"} <= set(found)


def test_tables_and_figures_are_redrawn_without_the_dag(finished):
    run = finished / "results" / "small"
    made = [*(run / "tables").iterdir(), *(run / "figures").glob("figure5_rmse.*")]
    before = {path: path.read_bytes() for path in made}
    for path in made:
        path.unlink()
    subprocess.run([sys.executable, "-m", "evaluation", "tables", str(run)], check=True, cwd=finished)
    draw_one(run, "figure5_rmse")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 3}, "unknown key 'sede' (did you mean 'seed'?)"),
        ({"study": {"source": "phantom"}, "methods": {"ravle": {}}}, "no method 'ravle' (did you mean 'ravel'?)"),
        ({"study": {"source": "sheet", "sheet": {"scans": "absent.tsv"}}}, "absent.tsv"),
        ({"study": {"source": "phantom", "phantom": {"subjects": 1}}}, "at least 2 subjects"),
        ({"study": {"source": "phantom", "phantom": {"scanners": ["GE"]}}}, "at least 2 scanners"),
    ],
)
def test_bad_configuration_stops_at_once(tmp_path, changes, message):
    done = snakemake(tmp_path, "--configfile", write_config(tmp_path, **changes))
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_a_broken_scan_stops_before_any_work(tmp_path):
    sheet = write_study(tmp_path / "own")
    table = pd.read_csv(sheet, sep="\t", dtype=str)
    (tmp_path / "own" / "03_1.nii.gz").write_bytes(b"\x1f\x8b broken")
    table.to_csv(sheet, sep="\t", index=False)
    done = snakemake(tmp_path, "--configfile", write_config(tmp_path))
    assert done.returncode != 0
    log = (tmp_path / "results" / "small" / "logs" / "check_study.log").read_text()
    assert "row 9" in log
    assert "03_1.nii.gz" in log
    assert "Traceback" not in log
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("check_study: ")]
    assert "row 9" in told
    assert not (tmp_path / "results" / "small" / "scans.tsv").exists()


@pytest.mark.parametrize(("name", "jobs", "arms"), [("config", 1, 14), ("paper", 3, 10), ("paper-2mm", 3, 10)])
def test_shipped_configurations_plan(tmp_path, name, jobs, arms):
    counts = planned(snakemake(tmp_path, "-n", "--configfile", str(ROOT / "config" / f"{name}.yaml")))
    assert counts["prepare"] >= jobs
    # with controls and, in the demo, three seeds of MISPEL and of its fit on permuted labels
    assert counts["fit"] == arms
