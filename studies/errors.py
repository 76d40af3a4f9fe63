"""The one error that means: what was given cannot be used, and this is what to change."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """A mistake in what the user gave.

    The message names the file or key, the number or value found, and the remedy.  Commands print it
    without a traceback and exit with status 2.
    """


class NotApplicable(Exception):
    """Raised by a method that cannot be used on a study, with the reason; an outcome, not a failure."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint " (did you mean 'x'?)" for a misspelt `name`, or the list of what is known."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""
