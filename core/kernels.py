"""Compiling once: Numba kernels whose machine code is kept on disk and whose first use says so."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba.core import event

# Sums may be taken in the order that fills a vector register; the same machine code always takes
# the same order, so the bytes repeat. Infinities and NaN keep their meaning.
_FASTMATH = {"contract", "nsz", "reassoc"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` at its first call, without the interpreter's lock, and keep the code.

    The code goes beside the source, or where that can't be written into the user's cache folder
    (or NUMBA_CACHE_DIR). With no such folder at all it is compiled anew in every process.
    """

    def compiled(*, cache: bool) -> Callable[..., Any]:
        return numba.njit(function, cache=cache, nogil=True, fastmath=_FASTMATH, error_model="numpy", boundscheck=False)

    try:
        return compiled(cache=True)
    except (RuntimeError, OSError):
        return compiled(cache=False)


class _Announcer(event.Listener):
    def __init__(self, what: str) -> None:
        self.what = what
        self.announced = False

    def on_start(self, started: event.Event) -> None:
        if not self.announced:
            self.announced = True
            print(
                f"compiling {self.what}; this takes some 20 s, and is kept for the next time",
                file=sys.stderr,
                flush=True,
            )

    def on_end(self, ended: event.Event) -> None:
        pass


@contextlib.contextmanager
def announced(what: str) -> Iterator[None]:
    """Say on stderr, once, that `what` is being compiled, if anything in the block really is.

    Numba raises its event after it has looked for kept code and found none.
    """
    with event.install_listener("numba:compile", _Announcer(what)):
        yield
