"""Reference material that may lie beside the checkout: tests that read it skip, and say so, without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.paths import ROOT

SHARED = ROOT.parent / "shared"


def shared(path: str) -> Path:
    """A path in the folder `shared` beside the checkout; skips the test where it is missing."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"needs {path} in the folder 'shared' beside the checkout")
    return found
