"""Several processes of one step: whose answer counts, and how the step ends where one of them does."""

from __future__ import annotations

import os
import signal
import time
import warnings
from functools import partial
from pathlib import Path

import pytest

from core.errors import Caution, InputError, NotApplicable
from core.files import read_json
from core.jobs.ranks import at_fault, rank, ranks
from core.jobs.record import run_step
from tests.support.processes import is_alive, needs_proc, wait_until

TERMINATED, KILLED = -signal.SIGTERM, -signal.SIGKILL


@pytest.mark.parametrize(
    ("codes", "answered", "cause"),
    [
        ({}, {1: "ok", 0: "ok"}, 0),
        # the first to say what is wrong; the launcher ended the third
        ({0: 1, 1: 1, 2: TERMINATED}, {1: "failed", 0: "failed"}, 1),
        # even where the launcher ended it before it had left
        ({0: 1, 1: TERMINATED}, {1: "failed", 0: "failed"}, 1),
        # whoever talked to the one that was killed said that it was gone
        ({0: 1, 1: KILLED}, {0: "failed"}, 1),
        ({0: TERMINATED, 1: KILLED}, {}, 1),
        ({0: 1, 1: 7, 2: TERMINATED}, {0: "failed"}, 1),
        # one that ended well is no cause, and the launcher may end it before it has left
        ({0: 1}, {1: "ok", 0: "failed"}, 0),
        ({0: 1, 1: TERMINATED}, {1: "ok", 0: "failed"}, 0),
        ({0: 1, 1: TERMINATED}, {1: "ok", 0: "not_applicable"}, 0),
        ({0: TERMINATED}, {}, 0),
    ],
)
def test_which_process_made_all_end(codes, answered, cause):
    assert at_fault(codes, answered) == cause


def test_a_process_that_is_alone_is_the_first_of_one():
    assert (rank(), ranks()) == (0, 1)


def work(what: str, noted: str = "") -> str:
    """The work of one of two processes: the second one's end is `what`, and the first waits for it."""
    if noted:
        with open(f"{noted}-{rank()}", "w") as file:
            file.write(str(os.getpid()))
    if rank() == 0 and what in ("input", "killed", "silent", "long"):
        time.sleep(600)
    if what == "input":
        raise InputError("scan.nii.gz: broken")
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "silent":
        os._exit(7)
    if what == "not applicable":
        raise NotApplicable("one scanner")
    if what == "first fails" and rank() == 0:
        raise ValueError("of the first")
    if rank() == 0:
        warnings.warn("look at it", Caution, stacklevel=1)
    return f"device {rank()} of {ranks()}"


def recorded(what: str, folder: Path) -> dict:
    status = folder / "fit.json"
    run_step(partial(work, what), status_file=status, method="a", step="fit", processes=2, on_failure="record")
    return read_json(status)


@pytest.mark.slow
def test_the_first_ones_answer_is_the_steps(tmp_path):
    record = recorded("well", tmp_path)
    assert (record["status"], record["device"], record["reason"]) == ("ok", "device 0 of 2", "look at it")
    assert record["peak_mb"] > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "status", "reason"),
    [
        ("input", "failed", "scan.nii.gz: broken"),
        ("killed", "failed", "process 2 of 2 was killed (SIGKILL); systems do so when memory runs out"),
        ("silent", "failed", "process 2 of 2 left with exit code 7"),
        ("not applicable", "not_applicable", "one scanner"),
        ("first fails", "failed", "ValueError: of the first"),
    ],
)
def test_one_that_ends_ends_all_and_is_recorded(what, status, reason, tmp_path):
    record = recorded(what, tmp_path)
    assert record["status"] == status
    assert record["reason"].startswith(reason)


@pytest.mark.slow
@needs_proc
def test_no_process_is_left_when_the_time_is_over(tmp_path):
    status, noted = tmp_path / "fit.json", tmp_path / "pid"
    step = partial(work, "long", str(noted))
    run_step(step, status_file=status, method="a", step="fit", processes=2, on_failure="record", minutes=15 / 60)
    assert "it took longer than 0.25 minutes" in read_json(status)["reason"]
    processes = [int((tmp_path / f"pid-{number}").read_text()) for number in (0, 1)]
    assert wait_until(lambda: not any(map(is_alive, processes)), seconds=10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "raised", "told"),
    [
        ("input", InputError, "scan.nii.gz: broken"),
        ("not applicable", NotApplicable, "one scanner"),
        ("killed", SystemExit, r"a failed at step fit: process 2 of 2 was killed \(SIGKILL\)"),
    ],
)
def test_by_hand_it_is_raised(what, raised, told):
    with pytest.raises(raised, match=told):
        run_step(partial(work, what), status_file=None, method="a", step="fit", processes=2)
