"""How an arm's step ended: recorded in a small file, so that a failure is shown and never just missing."""

from __future__ import annotations

import resource
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from studies.errors import InputError, NotApplicable
from studies.files import read_json, write_json

OnFailure = Literal["stop", "record"]


def run_step(
    work: Callable[[], str | None],
    *,
    status_file: Path | str | None,
    method: str,
    step: str,
    on_failure: OnFailure = "stop",
    requires: Iterable[Path | str] = (),
    placeholders: Iterable[Path | str] = (),
) -> None:
    """Do `work` (which may return the device it used) and record in `status_file` how it ended.

    The record holds method, step, status (ok, not_applicable, failed), reason, seconds, peak_mb and
    device.  When a step named in `requires` (status files) did not end ok, the work is left out and
    this step ends the same way, with that step's name in the reason.  With `on_failure="record"` an
    exception is recorded and the command goes on to succeed; with "stop" it is raised.
    `placeholders` are the files that the workflow expects: where the work made none, they are empty.
    Without a `status_file` only the work is done, as by hand.
    """
    if status_file is None:
        work()
        return
    begun = time.monotonic()
    record = {"method": method, "step": step, "status": "ok", "reason": "", "device": "cpu"}
    record.update(_outcome_of(requires))
    if record["status"] == "ok":
        try:
            record["device"] = work() or "cpu"
        except NotApplicable as reason:
            record.update(status="not_applicable", reason=str(reason))
        except Exception as error:
            if on_failure == "stop":
                raise
            traceback.print_exc()
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            record.update(status="failed", reason=f"{kind}{error}")
    if record["status"] != "ok":
        for path in map(Path, placeholders):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    record["seconds"] = round(time.monotonic() - begun, 3)
    # children count too: a method may do its work in other processes
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record["peak_mb"] = round(max(peaks) / 1024, 1)
    write_json(status_file, record)


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
