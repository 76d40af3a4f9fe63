"""Words and numbers that mean the same everywhere."""

from __future__ import annotations

from typing import Literal

RAW = "raw"
"""The arm that every other is compared with: the scans as they entered the study."""

TISSUES = ("CSF", "GM", "WM")
"""In the order of their labels, 1 to 3, and of their intensities in a T1-weighted image."""

PAPER_TISSUES = ("GM", "WM", "CSF")
"""In the order of the paper's Table 3, in which they are shown."""

SEGMENTER_SCALE = 1000.0
"""What the segmenter sees is RAW, a brain of mean 1, times this: intensities of the size that FAST was made for."""

MISSING = "n/a"
"""A cell of a table without a value."""

SCAN_IDS = ("subject", "scanner", "scanner_a", "scanner_b", "session", "session_a", "session_b")
"""The columns of a table that say of which scan, or pair of scans, a row is."""

FIRST_SESSION = "1"
"""What the session of a scan is called that nobody named; a rescan's is another."""

ARM_STEPS = ("fit", "apply", "intensities", "segment", "resegment", "measure")
"""The steps of an arm, in order: names of rules, records and logs."""

WORST_FIRST = ("failed", "not_applicable", "ok")
"""How a step may end."""

METHOD_ENTRY_POINTS = "mispel_benchmark.methods"
"""The group of entry points by which another distribution brings a method."""

Role = Literal["arm", "control", "permuted", "blur", "seed"]
"""What an arm is in a run for: to be judged; a control of its own; another arm's method on permuted scanner labels;
a blur as smooth as another arm; another arm's fit under another seed."""

Contrast = Literal["T1w", "T2w"]
"""Of an image of a scan."""

Gives = Literal["images", "volumes"]
"""What an arm gives of every scan."""

Scale = Literal["brain", "volume", "none"]
"""What an image is divided by when it enters a study, see `core.images.scale_to_mean`."""
