"""Random numbers that depend on a seed and on names alone, so that no order of work changes them."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: str, separator: str = "\x1f") -> np.random.Generator:
    """A random generator of its own for each seed and sequence of names (such as subject, scanner).

    It depends on nothing else, so that people may be made in any order and in separate processes.
    """
    digest = hashlib.sha256(separator.join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32).tolist())
