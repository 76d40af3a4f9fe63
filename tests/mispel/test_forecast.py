"""What a training says that it will take, before it has taken it."""

from __future__ import annotations

import pytest
import torch

from mispel import forecast
from mispel.forecast import Forecast, in_words


def test_the_first_batch_doesnt_count_and_it_is_said_once(monkeypatch):
    clock = iter([100.0, 106.0])
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: next(clock))
    waiting = Forecast(6000, torch.device("cpu"))
    told = [waiting.batch_is_done() for _ in range(20)]
    assert told[:3] == [None] * 3
    assert told[4:] == [None] * 16
    assert told[3] == "6000 batches at 2 s: about 3 hours; the presets laptop and demo, or fewer epochs, take less"


def test_a_short_training_is_over_before_it_is_told():
    short = Forecast(3, torch.device("cpu"))
    assert [short.batch_is_done() for _ in range(3)] == [None] * 3
    assert "laptop" not in Forecast(100, torch.device("cpu")).sentence(0.1)
    assert "laptop" not in Forecast(10**6, torch.device("cuda")).sentence(1.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 seconds"), (90, "90 seconds"), (150, "2 minutes"), (86400, "24 hours"), (4e5, "5 days")],
)
def test_times_are_in_units_that_people_count_in(seconds, words):
    assert in_words(seconds) == words
