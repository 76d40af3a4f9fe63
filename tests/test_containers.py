"""The Dockerfile and apptainer.def, as far as that goes without Docker: what they copy, and that it is enough."""

from __future__ import annotations

import re
import shutil
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.project_copy import FOLDERS, python

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (ROOT / "apptainer.def").read_text(encoding="utf-8")
PLACE = "/opt/mispel-benchmark/"


def copied() -> dict[str, str]:
    """Where the Dockerfile puts what, by its path in the checkout; both from the project's folder."""
    found = {}
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, flags=re.MULTILINE):
        *sources, target = line.split()
        found |= {source: source if target == "./" else target for source in sources}
    return found


def test_what_is_copied_is_there_and_is_what_a_run_needs():
    assert [path for path in copied() if not (ROOT / path).exists()] == []
    assert {*FOLDERS, "Snakefile", "pyproject.toml", "requirements.lock", "container"} <= copied().keys()


def test_apptainer_copies_the_same_to_the_same_places():
    files = APPTAINER.partition("%files\n")[2].partition("\n\n")[0]
    assert f"WORKDIR {PLACE.rstrip('/')}\n" in DOCKERFILE
    assert dict(line.split() for line in files.splitlines()) == {path: PLACE + to for path, to in copied().items()}


def test_both_start_from_the_same_image_and_install_by_one_script():
    assert (
        re.search(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)[1]
        == re.search(r"^From: (\S+)", APPTAINER, flags=re.MULTILINE)[1]
    )
    assert "RUN container/install.sh\n" in DOCKERFILE
    assert f"%post\n    {PLACE}container/install.sh\n" in APPTAINER
    assert (ROOT / "container" / "install.sh").stat().st_mode & 0o111


def test_what_is_ignored_is_not_what_is_copied():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    ignored = [line for line in lines if line and not line.startswith("#")]
    assert [path for path in copied() if any(fnmatch(path, pattern) for pattern in ignored)] == []


def test_the_entry_point_is_a_command_that_is_installed_and_no_root_runs_it():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert re.search(r'^ENTRYPOINT \["([\w-]+)"\]', DOCKERFILE, flags=re.MULTILINE)[1] in scripts
    assert re.findall(r"^USER (\w+)", DOCKERFILE, flags=re.MULTILINE) == ["benchmark"]


def test_they_are_built_and_tried_on_a_tag():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "container.yaml").read_text(encoding="utf-8"))
    assert workflow[True]["push"] == {"tags": ["v*"]}  # YAML reads `on` as true
    for job in workflow["jobs"].values():
        said = " ".join(step.get("run", "") for step in job["steps"])
        assert " build " in said
        assert "--version" in said


@pytest.mark.slow
def test_what_is_copied_is_enough_to_plan_a_run(tmp_path):
    project = tmp_path / "image"
    for source, target in copied().items():
        (project / target).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, project / target)
    done = python(project, "snakemake", "--dry-run")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "report" in done.stdout


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
