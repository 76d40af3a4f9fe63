"""`python -m evaluation`: an arm's steps, a run's tables, and each measure by hand."""

from __future__ import annotations

from functools import partial

from core.jobs.command import call_verb, run

main = partial(call_verb, "evaluation", __doc__)

if __name__ == "__main__":
    run(main)
