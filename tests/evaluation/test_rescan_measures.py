"""Differences between a person's scans and rescans of one scanner: the floor of every difference."""

import pandas as pd

from evaluation.measures.rescans import rescan_differences


def test_differences_between_sessions_by_each_rule():
    volumes = pd.DataFrame(
        [
            {"method": "raw", "subject": "1", "scanner": "A", "session": session, "tissue": "GM"}
            | {"volume_ml": 500.0 + shift, "volume_ml_pve": 600.0 - 2 * shift, "volume_ml_hard": 550.0}
            for session, shift in (("1", 0.0), ("2", 3.0), ("3", -1.0))
        ]
    )
    found = rescan_differences(volumes, [("1", "2"), ("1", "3"), ("2", "3")])
    assert list(zip(found["session_a"], found["session_b"], strict=True)) == [("1", "2"), ("1", "3"), ("2", "3")]
    assert list(found["difference_ml"]) == [-3, 1, 4]
    assert list(found["absolute_difference_ml_pve"]) == [6, 2, 8]
    assert list(found["difference_ml_hard"]) == [0, 0, 0]
    assert rescan_differences(volumes.head(1), []).empty
