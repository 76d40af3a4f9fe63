"""How an arm's step ended: recorded in a small file, so that a failure is shown and never just missing."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from core.errors import Caution, InputError, NotApplicable, in_words, is_place_trouble
from core.files import read_json, write_json
from core.jobs.child import Ended, in_child
from core.jobs.cost import peak_mb
from core.jobs.ranks import in_ranks, rank

OnFailure = Literal["stop", "record"]
LONGEST_REASON = 2000


def run_step(
    work: Callable[[], str | None],
    *,
    status_file: Path | str | None,
    method: str,
    step: str,
    on_failure: OnFailure = "stop",
    minutes: float = 0,
    requires: Iterable[Path | str] = (),
    placeholders: Iterable[Path | str] = (),
    processes: int = 1,
) -> str:
    """Do `work` (which may return the device it used), record in `status_file` how it ended, return that.

    The record holds method, step, status (ok, not_applicable, failed), reason, seconds, peak_mb and
    device; the reason of one that ended ok is the `Caution`s given meanwhile. The work is done in a child
    process, so that being killed, or taking longer than `minutes` (0: no limit), is a failure like others.
    When a step named in `requires` (status files) did not end ok, the work is left out and this step ends the
    same way, with that step's name in the reason. With `on_failure="record"` a failure is recorded and the
    command goes on to succeed; with "stop" an `InputError` is raised as it was, and any other failure ends the
    command with 1 and a sentence. A full or read-only disk is no arm's fault: it ends the command so in either
    case.
    `placeholders` are the files that the workflow expects: where the work made none, they are empty.
    Several `processes` do the work together (`core.jobs.ranks`), which then can be pickled: the step ends as they do.
    Without a `status_file`, and in a process that torchrun has started beside another, only the work is done, here
    and without a limit, as by hand: it raises `InputError`, `NotApplicable`, what a full or read-only disk raises, or,
    after the traceback of any other failure, which its author needs, `SystemExit` with the sentence of a run.
    """
    attempt = partial(_attempt, work)
    if processes > 1:
        attempt = partial(in_ranks, attempt, processes)
    elif status_file is None or rank() > 0:
        _do_by_hand(work, method, step)
        return "ok"
    begun = time.monotonic()
    record: dict[str, Any] = {"method": method, "step": step, "status": "ok", "reason": ""}
    record |= {"device": "cpu", "peak_mb": peak_mb()} | _outcome_of(requires)
    if record["status"] == "ok":
        try:
            answer = in_child(attempt, seconds=minutes * 60 or None)
        except Ended as ended:
            answer = {"status": "failed", "reason": str(ended), "peak_mb": ended.peak_mb}
        at_fault = answer.pop("input_error", False)
        if answer.pop("place_trouble", False):
            sys.exit(f"error: {answer['reason']}; what is finished is kept: make room, then start again to go on")
        record.update(answer)
        if record["status"] == "failed" and (on_failure == "stop" or status_file is None):
            if at_fault:
                raise InputError(record["reason"])
            sys.exit(_failed(method, step, record["reason"]))
    if status_file is None:
        if record["status"] == "not_applicable":
            raise NotApplicable(record["reason"])
        return "ok"
    if record["status"] != "ok":
        _touch(placeholders)
    record["seconds"] = round(time.monotonic() - begun, 3)
    record["peak_mb"] = round(record["peak_mb"], 1)
    write_json(status_file, record)
    status: str = record["status"]
    return status


def _do_by_hand(work: Callable[[], str | None], method: str, step: str) -> None:
    """Do the work here; a failure is told with its traceback, and ends with the sentence of a run."""
    try:
        work()
    except (InputError, NotApplicable):
        raise
    except Exception as error:
        if is_place_trouble(error):
            raise
        traceback.print_exc()
        sys.exit(_failed(method, step, in_words(error)))


def _failed(method: str, step: str, reason: str) -> str:
    """The sentence that a failure ends with."""
    return f"error: {method} failed at step {step}: {reason}"


def _touch(placeholders: Iterable[Path | str]) -> None:
    """Make the files empty that aren't there."""
    for path in map(Path, placeholders):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def _attempt(work: Callable[[], str | None]) -> dict[str, Any]:
    """Do the work; how it ended."""
    try:
        with _cautions() as told:
            ended: dict[str, Any] = {"device": work() or "cpu"}
        ended["reason"] = _kept("; ".join(told))
    except NotApplicable as reason:
        ended = {"status": "not_applicable", "reason": _kept(str(reason))}
    except InputError as error:
        ended = {"status": "failed", "reason": _kept(str(error)), "input_error": True}
    except Exception as error:
        if is_place_trouble(error):
            return {"status": "failed", "reason": _kept(str(error)), "place_trouble": True}
        traceback.print_exc()
        ended = {"status": "failed", "reason": _kept(in_words(error))}
    return ended | {"peak_mb": peak_mb()}


@contextlib.contextmanager
def _cautions() -> Iterator[list[str]]:
    """The `Caution`s given inside, each once, in a list that grows; they are shown as ever."""
    told: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Any, category: Any, *place: Any, **options: Any) -> None:
            if issubclass(category, Caution) and str(message) not in told:
                told.append(str(message))
            show(message, category, *place, **options)

        warnings.showwarning = shown
        yield told


def _kept(reason: str) -> str:
    """A reason, cut where it is longer than a table's cell should be."""
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."


def _outcome_of(requires: Iterable[Path | str]) -> dict[str, str]:
    """The first outcome among earlier steps that isn't ok, as this step's own; empty if all are ok."""
    for path in requires:
        earlier = read_json(path)
        if earlier["status"] != "ok":
            reason = earlier["reason"]
            if not reason.startswith("at step "):
                reason = f"at step {earlier['step']}: {reason}"
            return {"status": earlier["status"], "reason": reason}
    return {}
