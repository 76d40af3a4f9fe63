"""The words in which gains and verdicts are told, and the shares from which on they hold."""

from __future__ import annotations

BEYOND, WORSE, UNCLEAR, UNKNOWN = "beyond", "worse", "no clear difference", "not known"
LITTLE_BETTER, LITTLE_WORSE = "better by little", "worse by little"
"""The interval leaves out 0, but not what counts."""

ONE_FIT = "beyond in one fit"
"""Beyond, by the one fit of a method whose training is random: of the variance of MISPEL's gains on real brains eight
to nine tenths were the seeds' (docs/results/real-seeds)."""

SMOOTHER = "smoother than a rescan"
NOT_COMPARED = "not compared"
KEPT, LOST = "kept", "lost"
HARMONIZES, NOT_SHOWN = "yes", "not shown"

KEPT_SHARE = 0.9
"""Of RAW's variance between people, that an arm must keep to count as keeping the person."""

SMALLEST_SHARE = 0.1
"""Of what there is to gain, from RAW to its rescans (or to the best value), that a gain must surely exceed to count.

Together with `KEPT_SHARE` it refuses a cheat: mixing in so little of everyone's mean that the person counts as kept
takes away less than that of the differences. And no blur is beyond its match by a difference of widths."""
