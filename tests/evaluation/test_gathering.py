"""Arms' parts joined into a run's metrics."""

from __future__ import annotations

import pytest

from core.errors import InputError
from core.sheet import read_sheet
from evaluation.arms.gathering import gather


def test_a_run_of_which_nothing_was_measured_is_refused_in_words(sheet, tmp_path):
    with pytest.raises(InputError, match="of no arm were volumes measured.*status says"):
        gather(tmp_path, read_sheet(sheet), ["raw"], batches=None, seed=0, resamples=10)
    assert not (tmp_path / "metrics").exists()
