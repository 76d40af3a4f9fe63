"""The one error that means: what was given cannot be used, and this is what to change."""

from __future__ import annotations

import contextlib
import difflib
import errno
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

PLACE_TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class InputError(Exception):
    """A mistake in what the user gave.

    The message names the file or key, the number or value found, and the remedy. Commands print it
    without a traceback and exit with status 2.
    """


class Remark(UserWarning):
    """What was used as well as can be, and should be looked at: a sentence as an `InputError`'s, told on stderr."""


def remark(sentence: str) -> None:
    """Tell something that should be looked at; the same sentence once."""
    warnings.warn(sentence, Remark, stacklevel=1)


@contextlib.contextmanager
def kept_remarks() -> Iterator[list[str]]:
    """The remarks that are made in the block, which are told all the same."""
    kept: list[str] = []
    tell = warnings.showwarning

    def keep(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, Remark):
            kept.append(str(message))
        tell(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("default", Remark)
        warnings.showwarning = keep
        yield kept


class NotApplicable(Exception):
    """Raised by a method that cannot be used on a study, with the reason; an outcome, not a failure."""


class Caution(UserWarning):
    """What whoever looks at a step's results must know, though the step ended well: its record tells it too."""


def is_place_trouble(error: BaseException | None) -> bool:
    """Whether an error is, or came from, a place that takes no more files: a full or read-only disk, a quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in PLACE_TROUBLES:
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def saying_where(where: str) -> Iterator[None]:
    """Have an exception from the block, of code that isn't ours or failed on one image, say where it came from.

    It stays what it was, with a note (PEP 678): `in_words` and its traceback end with that. What was given and can't
    be used says its place itself.
    """
    try:
        yield
    except (InputError, NotApplicable):
        raise
    except Exception as error:
        error.add_note(where)
        raise


def in_words(error: BaseException) -> str:
    """An exception in a line: its type, what it says, and the notes on where it came from."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error}" + (f" ({notes})" if notes else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint " (did you mean 'x'?)" for a misspelt `name`, or the list of what is known."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""
