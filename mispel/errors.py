"""What can go wrong while MISPEL trains."""

from __future__ import annotations

from core.errors import InputError


class TrainingError(InputError):
    """Training cannot go on or gave nothing usable; the message says what was found and what to change."""
