"""What a run has measured, for tests of the measures that need everyone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from core.study import Study
from evaluation.measures.interface import Measured


def measured_of(
    study: Study,
    arms: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    *,
    arrays: Callable[[str, str], dict] = lambda module, arm: {},
    regions: Callable[[str], pd.DataFrame] = lambda arm: pd.DataFrame(columns=["rescan"]),
) -> Measured:
    """Tables by name, and what else is given; 300 resamples of seed 0."""
    return Measured(study=study, arms=arms, tables=tables, arrays=arrays, regions=regions, seed=0, resamples=300)
