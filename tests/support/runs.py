"""Real runs of the workflow on made-up scans."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.paths import ROOT

NO_CONTROLS = {"permuted": False, "matched_blur": False, "seeds": 1}
NO_CONTROL_ARMS = dict.fromkeys(("oracle", "cohort_mean", "person_mean"))
QUICK_MISPEL = {"preset": "demo", "width": 4, "step1_epochs": 1, "step2_epochs": 2}


def snakemake(folder: Path, *words: str, project: Path = ROOT, also: Path = ROOT) -> subprocess.CompletedProcess:
    """Run the workflow of `project` with `folder` as the working directory; modules may lie in `also` too."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(project / "Snakefile"), "--directory", str(folder)]
    environment = {**os.environ, "PYTHONPATH": f"{project}:{also}"}
    return subprocess.run(
        [*command, "--cores", "2", *words], capture_output=True, text=True, cwd=folder, env=environment
    )


def planned(done: subprocess.CompletedProcess) -> dict[str, int]:
    """How many jobs of each rule a dry run names."""
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def write_config(folder: Path, **changes) -> str:
    """A configuration of a quick run on made-up scans, without controls; returns its path."""
    config = {
        "run": "small",
        "study": {"source": "sheet", "sheet": {"scans": str(folder / "own" / "scans.tsv")}},
        "methods": {
            "ravel": {"engine": "gmm", "probability": 0.7},
            "mispel": QUICK_MISPEL,
            **NO_CONTROL_ARMS,
        },
        "controls": NO_CONTROLS,
        "segmentation": {"engine": "gmm"},
        "people_per_job": 3,
    }
    # arms that a test names come beside these
    config |= changes | {"methods": config["methods"] | changes.get("methods", {})}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)
