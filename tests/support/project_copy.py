"""A copy of the project into which a test may put files, and pages of docs/ to take them from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

FOLDERS = ("baselines", "config", "core", "evaluation", "mispel", "profiles", "segmentation", "studies", "workflow")


def copy_project(folder: Path) -> None:
    """Copy all that a run needs."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)


def python(project: Path, *words: str) -> subprocess.CompletedProcess:
    """Run a module of the copy."""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def shown(page: str, language: str) -> list[str]:
    """A page's blocks of that language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.DOTALL)
