"""A log of limited size, whatever is printed: its beginning, its end, and how much is left out between."""

from __future__ import annotations

import contextlib
import os

HEAD_BYTES = 500_000
TAIL_BYTES = 500_000


class ShortLog:
    """Writes what it is given to an open file: the first `HEAD_BYTES` at once, the last `TAIL_BYTES` at the end."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.written = 0
        self.left_out = 0
        self.tail = bytearray()

    def write(self, block: bytes) -> None:
        """Take what was printed."""
        fits = max(0, HEAD_BYTES - self.written)
        self._out(block[:fits])
        self.written += len(block[:fits])
        self.tail += block[fits:]
        # cut now and then, not at every block
        if len(self.tail) > 2 * TAIL_BYTES:
            self._cut()

    def finish(self) -> None:
        """Write the end, after a line that says what is left out before it."""
        self._cut()
        if self.left_out:
            self._out(f"\n... {self.left_out} bytes of this log are left out here ...\n".encode())
        self._out(bytes(self.tail))
        self.tail.clear()

    def _cut(self) -> None:
        beyond = max(0, len(self.tail) - TAIL_BYTES)
        self.left_out += beyond
        del self.tail[:beyond]

    def _out(self, block: bytes) -> None:
        # a full disk must not end what watches over the work, which will meet it too
        with contextlib.suppress(OSError):
            while block:
                block = block[os.write(self.file, block) :]
