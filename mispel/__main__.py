"""`python -m mispel`: MISPEL for people who want just that."""

from __future__ import annotations

from functools import partial

from core.jobs.command import call_verb, run

main = partial(call_verb, "mispel", __doc__)

if __name__ == "__main__":
    run(main)
