"""What every command shares: how it fails, and how it shows that it is getting on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from tqdm import tqdm

from core.errors import InputError, NotApplicable, is_place_trouble
from core.jobs.cost import say_cost

Item = TypeVar("Item")


def run(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and exit with 0 or what it returns.

    One sentence and 2 for an `InputError`, 3 for a `NotApplicable`, 1 for a full or read-only disk, 130 for
    an interrupt.
    """
    try:
        code = main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except NotApplicable as reason:
        print(f"not applicable: {reason}", file=sys.stderr)
        code = 3
    except OSError as error:
        if not is_place_trouble(error):
            raise
        print(f"error: {error}; what is finished is kept: make room, then start again to go on", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted; start it again to go on", file=sys.stderr)
        code = 130
    say_cost()
    sys.exit(code or 0)


def progress(items: Iterable[Item], *, what: str, total: int | None = None) -> Iterable[Item]:
    """Yield `items` while saying on standard error what is done, how far it is and how long still.

    In a log, where lines can't be rewritten, it speaks at most every ten seconds.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        mininterval=0.2 if terminal else 10,
        dynamic_ncols=terminal,
        ncols=80,
    )
