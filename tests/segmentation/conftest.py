"""What several engines' tests segment."""

from __future__ import annotations

import pytest

from tests.support.atlas_brain import atlas_brain, atlas_scan


@pytest.fixture(scope="session")
def brain():
    """The atlas's mask, its tissues and its affine."""
    return atlas_brain()


@pytest.fixture(scope="session")
def scan(brain):
    """A scan of it, without a bias field."""
    return atlas_scan(brain[1])
