"""`python -m mispel`, installed as `mispel`: MISPEL for people who want just that."""

from __future__ import annotations

from functools import partial

from core.jobs.command import call_verb, run

main = partial(call_verb, "mispel", __doc__)


def console() -> None:
    """The installed command `mispel`."""
    run(main)


if __name__ == "__main__":
    console()
