"""What a run says last, in the terminal: what was found and where it stands, or what went wrong, in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.jobs.cost import MARK
from core.run_folder import RunFolder

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


def learned(run: Path | str) -> list[str]:
    """From how many people on each arm surely gains and keeps the person, a line an arm, and where the curve lies."""
    from core.files import read_table
    from evaluation.learning import answers
    from evaluation.runs.finished_run import read_run, shorten

    opened, folder = read_run(run), RunFolder(Path(run)).learning
    summary = read_table(folder / "learning_summary.tsv")
    told = answers(summary, {arm: opened.label(arm) for arm in summary["arm"]})
    lines = [f"  {shorten(sentence, 2 * LONGEST)}" for sentence in told]
    return ["What is sure, by people learned from:", *lines, f"Learning curve: {folder / 'learning.png'}"]


def failure(rule: str, logs: Sequence[str]) -> str:
    """A line about a job that failed: which it was, by its rule or its own log, and its last sentence."""
    path = Path(logs[0]) if logs else None
    if path is None or not path.is_file():
        return f"{rule} failed without a log"
    place = path.parts[path.parts.index("logs") + 1 :] if "logs" in path.parts else path.parts[-1:]
    return f"{' '.join(place).removesuffix('.log')}: {last_sentence(path)} ({path})"


def last_sentence(path: Path) -> str:
    """What a job's log says went wrong: its last line that begins with "error:", or else its last line but the cost."""
    lines = [
        line.strip() for line in path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    ]
    lines = [line for line in lines if line and not line.startswith(MARK)]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")
