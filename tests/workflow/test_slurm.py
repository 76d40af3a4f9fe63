"""Slurm as it is here: absent, down, without accounts, forgetful, with jobs of an earlier run, or not answering."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm import Executor
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm_jobstep import get_cpu_setting

from core.errors import InputError
from tests.support.paths import ROOT
from workflow.slurm import COMMANDS, check_answers, end_earlier_jobs, fit, name_of_jobs
from workflow.slurm_executor import PatientExecutor

CONFIG = 'echo "MinJobAge               = {age} sec"'
PING = 'echo "Slurmctld(primary) at head is {state}"'


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Makes commands of a made-up Slurm, the only ones there are: by name, the lines of a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(age: int = 300, state: str = "UP", **scripts: str) -> Path:
        scontrol = f'if [ "$1" = ping ]; then {PING.format(state=state)}; else {CONFIG.format(age=age)}; fi'
        for name, script in {**dict.fromkeys(COMMANDS, "exit 0"), "scontrol": scontrol, **scripts}.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return folder

    return make


def fitted() -> tuple[SimpleNamespace, SimpleNamespace]:
    """Snakemake's plugin and settings, fitted to the Slurm on the PATH."""
    plugin, settings = SimpleNamespace(executor=Executor), SimpleNamespace(status_command="sacct", no_account=False)
    fit(plugin, settings, "results/demo")
    return plugin, settings


@pytest.mark.usefixtures("cluster")
def test_no_slurm_is_said_with_the_remedy():
    with pytest.raises(InputError, match=r"no Slurm here \(sbatch, .* not found\); .*`snakemake --cores N` without"):
        check_answers()


@pytest.mark.parametrize(("state", "told"), [("DOWN", "head is DOWN"), ("", "head is")])
def test_a_controller_that_is_down_is_said(cluster, state, told):
    cluster(state=state)
    with pytest.raises(InputError, match=f"controller doesn't answer .*{told}"):
        check_answers()


def test_with_accounting_the_executor_asks_as_it_would(cluster):
    cluster(sacct="exit 0", age=2)
    plugin, settings = fitted()
    assert (settings.status_command, settings.no_account) == ("sacct", False)
    assert plugin.executor is PatientExecutor


@pytest.mark.parametrize("sacct", [{}, {"sacct": "echo Slurm accounting storage is disabled >&2; exit 1"}])
def test_without_accounting_it_asks_squeue_and_for_no_account(cluster, sacct):
    cluster(**sacct)
    assert fitted()[1].status_command == "squeue"
    assert fitted()[1].no_account


def test_a_slurm_that_forgets_before_it_is_asked_is_refused(cluster):
    cluster(age=60)
    with pytest.raises(InputError, match=r"forgets a job 60 s after its end \(MinJobAge\).*sbatch --cpus-per-task"):
        fitted()


def test_jobs_of_an_earlier_run_in_the_folder_are_ended_and_no_others(cluster, tmp_path):
    queue = tmp_path / "queue"
    queue.mkdir()
    for number, run in (("7", "results/demo"), ("8", "results/demo-2"), ("9", "other/results/demo")):
        (queue / number).write_text(f"{number} {name_of_jobs(run)}_a-uuid\n")
    cluster(
        squeue=f'for job in {queue}/*; do read -r line < "$job"; echo "$line"; done',
        scancel=f'cd {queue} && /bin/rm "$@"',
    )
    assert end_earlier_jobs("results/demo") == ["7"]
    assert sorted(path.name for path in queue.iterdir()) == ["8", "9"]
    assert end_earlier_jobs("results/demo") == []


def test_the_names_of_jobs_are_such_as_the_executor_takes():
    name = name_of_jobs(f"results/{'a.very_long' * 8}")
    assert len(name) <= 50
    assert name.replace("-", "").isalnum()


@pytest.fixture
def asked(monkeypatch):
    """Asks about jobs 1 to 3, given which the original hears that they ended well, and what `squeue` says.

    Returns the jobs that are left, those that failed and the warnings; asked twice, as a run does.
    """
    failed: list[str] = []
    told: list[str] = []
    monkeypatch.setattr(Executor, "report_job_success", lambda self, job: None)
    monkeypatch.setattr(Executor, "report_job_error", lambda self, job, msg: failed.append(job.external_jobid))
    executor = object.__new__(PatientExecutor)
    executor.ended, executor.told, executor.run_uuid = set(), {}, "demo_uuid"
    executor.logger = SimpleNamespace(warning=told.append)
    executor.workflow = SimpleNamespace(executor_settings=SimpleNamespace(status_command="squeue"))

    def ask(ended: str, squeue: str | None) -> tuple[str, str, list[str]]:
        async def original(self, active_jobs):
            # what it yields is lost where it isn't answered
            for job in active_jobs:
                if job.external_jobid in ended:
                    self.report_job_success(job)
                elif squeue:
                    yield job

        async def left(jobs) -> list:
            return [job async for job in executor.check_active_jobs(jobs)]

        monkeypatch.setattr(Executor, "check_active_jobs", original)
        monkeypatch.setattr("workflow.slurm_executor.ask", lambda *words: (0, squeue) if squeue else (1, ""))
        jobs = asyncio.run(left([SimpleNamespace(external_jobid=number) for number in "123"]))
        jobs = asyncio.run(left(jobs))
        return "".join(job.external_jobid for job in jobs), "".join(failed), told

    return ask


def test_jobs_are_kept_while_slurm_does_not_answer(asked):
    assert asked("", None) == ("123", "", [])


def test_a_job_that_ended_is_over_and_one_that_slurm_forgot_has_failed(asked):
    assert asked("1", "1 None\n2 Resources") == ("2", "3", [])


def test_what_a_job_waits_for_is_said_once(asked):
    left, failed, told = asked("12", "3 PartitionTimeLimit")
    assert (left, failed) == ("3", "")
    assert told == ["Slurm lets job 3 wait (PartitionTimeLimit); see `scontrol show job 3`"]


def test_an_account_is_passed_on_and_none_is_guessed(monkeypatch):
    def option(resources: dict[str, str], no_account: bool) -> list[str]:
        executor = object.__new__(PatientExecutor)
        executor.workflow = SimpleNamespace(executor_settings=SimpleNamespace(no_account=no_account))
        return list(executor.get_account_arg(SimpleNamespace(resources=resources)))

    monkeypatch.setattr(Executor, "get_account_arg", lambda self, job: ["checked"])
    assert option({}, no_account=False) == option({}, no_account=True) == [""]
    assert option({"slurm_account": "lab"}, no_account=True) == [" -A lab"]
    assert option({"slurm_account": "lab"}, no_account=False) == ["checked"]


@pytest.mark.slow
def test_a_fit_by_several_processes_is_one_task_on_one_node():
    """Of what rule `fit` asks for: two GPUs and two cores a GPU, as the executor words it."""
    resources = {"gpu": 2, "nodes": 1, "processes": 2, "mem_mb": 8000, "runtime": 1440}
    job = SimpleNamespace(threads=4, resources=Resources(resources))
    given = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir"), "x")
    words = get_submit_command(job, given)
    assert "--nodes=1" in words
    assert "--cpus-per-task=4" in words
    assert "--mem 8000" in words
    # --gpus alone: one task, which starts the processes
    assert "ntasks" not in words
    assert set_gres_string(job).strip() == "--gpus=2"
    assert get_cpu_setting(job, gpu=True) == "--cpus-per-task=4"


class Resources(dict):
    """A job's resources, as Snakemake gives them to an executor."""

    __getattr__ = dict.__getitem__


def test_a_run_without_slurm_ends_with_a_sentence_before_any_work(tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    (tmp_path / "which").symlink_to(shutil.which("which"))  # the executor asks by it
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--profile", str(ROOT / "slurm")], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: no Slurm here (sbatch, ")
    assert not (tmp_path / "results" / "demo" / "study").exists()
