"""Commands as jobs: what they start ends with them, their logs are short, and no temporary file outlives them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.jobs import log_limit, run_lock
from core.jobs.child import Ended, in_child
from core.jobs.command import call_verb
from core.jobs.log_limit import ShortLog
from core.jobs.run_process import OF_RUN, watch_run
from core.jobs.scratch import PREFIX, scratch_folder
from tests.support.paths import ROOT
from tests.support.processes import is_alive, needs_proc, parent_of, wait_until

ESCAPE = """
import subprocess, sys, time
subprocess.Popen("setsid sleep 600 & echo $! > {noted}", shell=True)
# and one whose parents are gone, in a session of its own
subprocess.Popen("setsid sh -c 'setsid sleep 600 & echo $! > {noted}2'", shell=True)
"""


def escape(noted: Path) -> list[int]:
    """Start processes that leave this one's group; their ids."""
    exec(ESCAPE.format(noted=noted))
    assert wait_until(lambda: all(path.exists() and path.read_text().strip() for path in (noted, Path(f"{noted}2"))))
    return [int(path.read_text()) for path in (noted, Path(f"{noted}2"))]


@needs_proc
@pytest.mark.parametrize("how", ["time", "answer", "killed"])
def test_who_left_the_group_ends_with_the_work_too(how, tmp_path):
    def work() -> dict:
        escape(tmp_path / "pid")
        if how == "time":
            time.sleep(60)
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return {"done": True}

    with contextlib.nullcontext() if how == "answer" else pytest.raises(Ended):
        assert in_child(work, seconds=1.5 if how == "time" else None) == {"done": True}
    for noted in ("pid", "pid2"):
        assert not is_alive(int((tmp_path / noted).read_text()))


JOB = """
import os, subprocess, sys, tempfile, time
from pathlib import Path
from core.jobs.command import run
def main():
    {escape}
    Path(tempfile.mkdtemp(), "file").touch()
    Path({place!r}, "scratch").write_text(tempfile.gettempdir())
    Path({place!r}, "worker").write_text(str(os.getpid()))
    Path({place!r}, "keeper").write_text(str(os.getppid()))
    time.sleep(600)
run(main)
"""


def start_job(folder: Path) -> subprocess.Popen:
    """A process that is a run, of which a command is a job behind a shell, as Snakemake's are; waits until it works."""
    code = JOB.format(place=str(folder), escape=ESCAPE.format(noted=folder / "pid").replace("\n", "\n    "))
    (folder / "job.py").write_text(code)
    line = f"true; {sys.executable} {folder}/job.py > {folder}/log 2>&1; true"
    starter = (
        "import os, subprocess, sys; from core.jobs.run_process import announce\n"
        f"announce({str(folder)!r})\n"
        f"subprocess.run({line!r}, shell=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir()
    run = subprocess.Popen([sys.executable, "-c", starter], env=environment)
    there = [folder / name for name in ("scratch", "worker", "keeper", "pid", "pid2")]
    assert wait_until(lambda: all(path.exists() and path.read_text().strip() for path in there))
    return run


def noted(folder: Path, *names: str) -> list[int]:
    return [int((folder / name).read_text()) for name in names]


@needs_proc
@pytest.mark.parametrize("killed", ["run", "shell", "command", "keeper", "worker"])
def test_whoever_is_killed_nothing_goes_on_and_no_temporary_file_stays(killed, tmp_path):
    run = start_job(tmp_path)
    worker, keeper, *escaped = noted(tmp_path, "worker", "keeper", "pid", "pid2")
    assert PREFIX in (tmp_path / "scratch").read_text()
    command = parent_of(keeper)
    whose = {"run": run.pid, "shell": parent_of(command), "command": command, "keeper": keeper, "worker": worker}
    os.kill(whose[killed], signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_alive, [worker, keeper, command, *escaped])))
    if killed == "keeper":
        # the next command finds the folder, since nobody holds it
        with scratch_at(tmp_path / "tmp"):
            pass
    assert not list((tmp_path / "tmp").iterdir())
    run.kill()
    run.wait()
    if killed == "worker":
        assert "it was killed (SIGKILL)" in (tmp_path / "log").read_text()


@needs_proc
def test_a_run_that_is_elsewhere_but_at_work_ends_nothing(monkeypatch):
    """As where a job's processes aren't its run's children."""
    other = subprocess.Popen(["sleep", "600"])
    monkeypatch.setenv(OF_RUN, f"{other.pid}:/nowhere")
    gone = watch_run()
    assert not gone()
    other.kill()
    assert wait_until(gone), "a process that nobody waits for is gone too"
    other.wait()
    assert gone()
    monkeypatch.setenv(OF_RUN, f"{os.getppid()}:/nowhere")
    assert not watch_run()()
    monkeypatch.delenv(OF_RUN)
    assert not watch_run()()


@contextlib.contextmanager
def scratch_at(place: Path):
    """A scratch folder in a place of the test's own."""
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    try:
        with scratch_folder():
            yield Path(tempfile.gettempdir())
    finally:
        tempfile.tempdir = before


def test_temporary_folders_in_use_stay_and_the_environment_comes_back(tmp_path):
    earlier = os.environ.get("TMPDIR")
    with scratch_at(tmp_path) as one:
        with scratch_at(tmp_path) as other:
            assert one.is_dir()
            assert other.is_dir()
            assert os.environ["TMPDIR"] == str(other)
        assert one.is_dir()
        assert not other.exists()
    assert not list(tmp_path.iterdir())
    assert os.environ.get("TMPDIR") == earlier


@needs_proc
def test_a_new_run_waits_for_the_jobs_of_one_that_was_killed(tmp_path, monkeypatch):
    code = f"from core.jobs.run_lock import join; join({str(tmp_path)!r}); print('joined', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    job = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes)
    assert job.stdout.readline() == "joined\n"
    monkeypatch.setattr(run_lock, "LONGEST_END_S", 0.3)
    with pytest.raises(InputError, match="jobs of an earlier start are at work there"):
        run_lock.claim(tmp_path)
    job.kill()
    job.wait()
    os.close(run_lock.claim(tmp_path))


@settings(max_examples=50, deadline=None)
@given(blocks=st.lists(st.binary(max_size=40), max_size=30))
def test_a_log_keeps_its_head_and_tail_and_says_what_it_left_out(blocks):
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_limit, "HEAD_BYTES", 100)
        patch.setattr(log_limit, "TAIL_BYTES", 50)
        log = ShortLog(file.fileno())
        for block in blocks:
            log.write(block)
        log.finish()
        file.seek(0)
        written, whole = file.read(), b"".join(blocks)
    if len(whole) <= 150:
        assert written == whole
    else:
        left_out = f"\n... {len(whole) - 150} bytes of this log are left out here ...\n".encode()
        assert written == whole[:100] + left_out + whole[-50:]


def test_a_job_that_prints_without_limit_has_a_log_of_a_megabyte(tmp_path):
    code = (
        "import subprocess, sys\nfrom core.jobs.command import run\n"
        "def main():\n    print('begin', flush=True)\n"
        "    subprocess.run('yes | head -c 5000000; echo end', shell=True)\n    sys.exit(3)\n"
        "run(main)"
    )
    with open(tmp_path / "log", "wb") as log:
        environment = {**os.environ, OF_RUN: f"{os.getpid()}:{tmp_path}"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    assert done.returncode == 3
    said = (tmp_path / "log").read_bytes()
    assert said.startswith(b"begin\ny\n")
    assert said.endswith(b"end\n")
    assert b"bytes of this log are left out here" in said
    assert len(said) < log_limit.HEAD_BYTES + log_limit.TAIL_BYTES + 200


@pytest.mark.parametrize("code", [0, None, 3, True])
def test_a_step_whose_method_leaves_python_has_failed(code, monkeypatch):
    monkeypatch.setattr("baselines.commands.list.main", lambda given: sys.exit(code))
    with pytest.raises(SystemExit, match="error: something that was called left Python .* before the work was done"):
        call_verb("baselines", None, ["list"])
