"""What stands last in the terminal: the answer, or which job failed, in its own words."""

from __future__ import annotations

from evaluation.__main__ import main
from evaluation.report import render
from evaluation.tables import draw
from tests.support.example_run import write_example_run
from workflow.last_words import failure, found, last_sentence

SAID = """\
MISPEL step 1:  10%|#   | 3/30\rMISPEL step 1:  20%|##  | 6/30
error: MISPEL step 1, epoch 2: the outputs are no longer finite; lower --param learning_rate
cost: {"seconds": 3.0, "cpu_s": 2.9, "peak_mb": 700.0}
"""


def test_a_failed_job_is_named_and_says_why(tmp_path):
    log = tmp_path / "logs" / "fit" / "mispel" / "fit.log"
    log.parent.mkdir(parents=True)
    log.write_text(SAID)
    told = failure("fit", [str(log)])
    assert told.startswith("fit mispel fit: MISPEL step 1, epoch 2: the outputs are no longer finite; ")
    assert str(log) in told
    assert failure("tables", []) == "tables failed without a log"
    assert failure("tables", [str(tmp_path / "none.log")]) == "tables failed without a log"


def test_the_last_sentence_is_the_last_thing_said(tmp_path):
    log = tmp_path / "one.log"
    for said, expected in (("", "it said nothing"), ("so far\nKilled\ncost: {}\n", "Killed")):
        log.write_text(said)
        assert last_sentence(log) == expected


def test_a_finished_run_ends_with_its_answer_in_few_lines(tmp_path):
    run = write_example_run(tmp_path / "results" / "example", subjects=4)
    assert found(run) == []
    main(["statistics", str(run), "--bootstrap", "100"])
    draw(run)
    render(run)
    lines = found(run)
    assert lines[-1] == f"Report: {run / 'report.html'}"
    assert "harmonize" in lines[0]
    assert lines[1].startswith("By: ")
    assert any(line.casefold().startswith("  mispel") for line in lines)
    assert len(lines) <= 12
    assert max(map(len, lines[1:-1])) < 200
