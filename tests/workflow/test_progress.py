"""What the terminal says of a run's jobs, by the records of Snakemake's log."""

from __future__ import annotations

import io
import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.progress import Progress, WithoutJobs, in_words


class Told:
    """A run's log, record by record, at times of the test's choice."""

    def __init__(self):
        self.now = 0.0
        self.out = io.StringIO()
        self.progress = Progress(self.out, clock=lambda: self.now)

    def say(self, event, **told):
        self.progress.emit(logging.makeLogRecord({"event": event, **told}))

    def job(self, number, rule, begin, end, **wildcards):
        self.now = begin
        self.say(LogEvent.JOB_INFO, jobid=number, rule_name=rule, wildcards=wildcards)
        self.now = end
        self.say(LogEvent.JOB_FINISHED, job_id=number)


@pytest.fixture
def told():
    found = Told()
    found.say(LogEvent.RUN_INFO, stats={"prepare": 1, "fit": 2, "apply": 2, "all": 1, "total": 6})
    return found


def test_a_line_a_job_names_step_and_arm_and_what_is_left(told):
    told.job(1, "prepare", 0, 10, group="0000")
    told.job(2, "fit", 10, 110, arm="mispel")
    told.job(3, "fit", 110, 310, arm="ravel")
    told.job(4, "apply", 310, 320, arm="mispel", batch="0000")
    told.job(5, "apply", 320, 330, arm="ravel", batch="0000")
    assert told.out.getvalue().splitlines() == [
        # four jobs of ten seconds each, for all that is known
        "1 of 5: prepare 0000, 10 s; about 40 s left",
        # one more fit, and two jobs of the mean of both kinds
        "2 of 5: fit mispel, 2 min; about 4 min left",
        "3 of 5: fit ravel, 3 min; about 3 min left",
        "4 of 5: apply mispel 0000, 10 s; about 10 s left",
        "5 of 5: apply ravel 0000, 10 s",
    ]


def test_jobs_that_run_at_once_take_less_together(told):
    told.say(LogEvent.JOB_INFO, jobid=1, rule_name="fit", wildcards={"arm": "a"})
    told.job(2, "fit", 0, 60, arm="b")
    told.say(LogEvent.JOB_FINISHED, job_id=1)
    # prepare and two of apply, a minute each, two at once
    assert told.out.getvalue().splitlines()[-1] == "2 of 5: fit a, 60 s; about 2 min left"


def test_what_is_no_job_of_the_run_is_not_told_of(told):
    told.job(9, "all", 0, 1)
    told.say(LogEvent.JOB_FINISHED, job_id=77)
    told.progress.emit(logging.makeLogRecord({"msg": "Building DAG of jobs..."}))
    assert told.out.getvalue() == ""


def test_a_failed_job_is_told_at_once_and_kept_for_the_end(told, tmp_path):
    log = tmp_path / "logs" / "fit" / "mine.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: no such file\n")
    for _ in range(2):
        told.say(LogEvent.JOB_ERROR, jobid=1, rule_name="fit", log=[str(log)])
    expected = f"fit mine: no such file ({log})"
    assert told.out.getvalue().splitlines() == [f"failed: {expected}"]
    assert told.progress.failed == [expected]
    # of jobs that were submitted together
    told.say(LogEvent.JOB_ERROR, job_error_info=[{"rule_name": rule, "log": []} for rule in ("apply", "segment")])
    assert told.progress.failed[1:] == ["apply failed without a log", "segment failed without a log"]


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"event": LogEvent.JOB_STARTED, "msg": "Execute 1 jobs..."}, False),
        ({"event": LogEvent.JOB_FINISHED, "msg": "Finished jobid: 3"}, False),
        ({"event": LogEvent.JOB_INFO, "msg": "rule fit"}, False),
        ({"event": LogEvent.PROGRESS, "msg": "1 of 2 steps"}, False),
        ({"msg": "Select jobs to execute..."}, False),
        ({"event": LogEvent.JOB_ERROR, "msg": "Error in rule fit"}, True),
        ({"msg": "Nothing to be done"}, True),
    ],
)
def test_the_terminal_shows_one_line_a_job_and_every_error(record, shown):
    assert WithoutJobs().filter(logging.makeLogRecord(record)) is shown


def test_a_job_is_shown_whole_where_its_command_line_is_asked_for():
    record = logging.makeLogRecord({"event": LogEvent.JOB_INFO, "msg": "rule fit"})
    assert WithoutJobs(commands=True).filter(record)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (89, "89 s"), (91, "2 min"), (5399, "90 min"), (7200, "2.0 hours")]
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
