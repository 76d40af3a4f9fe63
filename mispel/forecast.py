"""How long a step of the training will take, by its first batches."""

from __future__ import annotations

import time

import torch

from mispel.compute import on_gpu

TIMED_BATCHES = 3
"""Which the forecast goes by, after the first, which is slower."""
LONG_HOURS = 3
"""Beyond this, on a CPU, a shorter training is named."""
UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


class Forecast:
    """Times a step's first batches, and says once how long all `count` of them will take."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.count, self.device = count, device
        self.done = 0
        self.begun = 0.0

    def batch_is_done(self) -> str | None:
        """To be called after each batch; the sentence, when it is time to say it."""
        self.done += 1
        if self.done in (1, 1 + TIMED_BATCHES):
            if on_gpu(self.device):
                torch.cuda.synchronize(self.device)
            before, self.begun = self.begun, time.perf_counter()
            if self.done > 1:
                return self.sentence((self.begun - before) / TIMED_BATCHES)
        return None

    def sentence(self, seconds: float) -> str:
        """How long it will take at so many seconds a batch."""
        whole = self.count * seconds
        long = not on_gpu(self.device) and whole > LONG_HOURS * 3600
        shorter = "; the presets laptop and demo, or fewer epochs, take less" if long else ""
        return f"{self.count} batches at {seconds:.2g} s: about {in_words(whole)}{shorter}"


def in_words(seconds: float) -> str:
    """A time in the largest unit of which it has two."""
    unit = next((unit for unit, length in UNITS.items() if seconds >= 2 * length), "seconds")
    return f"{seconds / UNITS[unit]:.0f} {unit}"
