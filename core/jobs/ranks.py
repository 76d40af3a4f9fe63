"""Whether this process is one of several that torchrun started to do one piece of work together."""

from __future__ import annotations

import os


def rank() -> int:
    """Its number among them; the first, 0, writes what the work makes. 0 of a process that is alone."""
    return int(os.environ["RANK"]) if ranks() > 1 else 0


def ranks() -> int:
    """How many they are; 1 where torchrun started none."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1
