"""`python -m baselines`: every arm by hand, MISPEL too."""

from __future__ import annotations

from functools import partial

from core.jobs.command import call_verb, run

main = partial(call_verb, "baselines", __doc__)

if __name__ == "__main__":
    run(main)
