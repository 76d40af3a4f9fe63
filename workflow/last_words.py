"""What a run says last, in the terminal: what was found and where it stands, or what went wrong, in its own words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from core.jobs.cost import MARK
from core.run_folder import RunFolder

FAILED = re.compile(r"^Error in rule (\S+):$(.*?)(?=^\S)", re.DOTALL | re.MULTILINE)
LOG = re.compile(r"^ +log: (.+?)(?: \(check log file\(s\) for error details\))?$", re.MULTILINE)
LONGEST = 110
"""Letters of a line about an arm."""


def found(run: Path | str) -> list[str]:
    """The answer, a line an arm, and the report's path, of a run with a report; else nothing."""
    from evaluation.report.first_screen import first_screen
    from evaluation.runs.finished_run import read_run, shorten

    at = RunFolder(Path(run))
    if not at.report.is_file():
        return []
    told = first_screen(read_run(run))
    lines = []
    if told:
        lines += [told["answer"], f"By: {told['endpoint'].partition(':')[0]}."]
        removed, kept, *_ = told["questions"].values()
        for of_scanners, of_person in zip(removed, kept, strict=True):
            answer, person = (line["text"].partition(". ")[0].rstrip(".") for line in (of_scanners, of_person))
            lines.append(
                f"  {of_scanners['label']}: {shorten(answer, LONGEST)}; the person: {person.partition(':')[0]}"
            )
    return [*lines, f"Report: {at.report}"]


def failures(log: str) -> Iterator[str]:
    """By Snakemake's log of a run a line for each job that failed: which it was, and its own last sentence."""
    for failed in FAILED.finditer(f"{log}\nend"):
        named = LOG.search(failed[2])
        path = None if named is None else Path(named[1].split(",")[0])
        if path is None or not path.is_file():
            yield f"{failed[1]} failed without a log"
        else:
            place = path.parts[path.parts.index("logs") + 1 :] if "logs" in path.parts else path.parts[-1:]
            yield f"{' '.join(place).removesuffix('.log')}: {last_sentence(path)} ({path})"


def last_sentence(path: Path) -> str:
    """What a job's log says went wrong: its last line that begins with "error:", or else its last line but the cost."""
    lines = [
        line.strip() for line in path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    ]
    lines = [line for line in lines if line and not line.startswith(MARK)]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")
