"""`python -m studies`: make or import scans."""

from __future__ import annotations

from functools import partial

from core.jobs.command import call_verb, run

main = partial(call_verb, "studies", __doc__)

if __name__ == "__main__":
    run(main)
