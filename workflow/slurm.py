"""Slurm as it is here: asked once, before a run's plan.

The profile can't know it. Clusters with accounting tell how a job ended through `sacct`, those without
through `squeue` alone, where `sacct` is missing or only says that accounting is disabled; Snakemake's
executor takes `sacct` wherever there is one, and waits for ever for what it never says.

Jobs are named after their run's folder: they aren't children of the run that submitted them and go on
when it is killed, so the next one ends them before they write into its results.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from core.errors import InputError
from workflow.slurm_commands import ANSWER_S, ask

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
"""What the executor calls, accounting's aside."""

ELSEWHERE = "start where jobs are submitted, or run on this machine: `snakemake --cores N` without the profile"

LONGEST_GAP_S = 180
"""Between two of the executor's questions how its jobs are (its `max_sleep_time`)."""

END_S = 120
"""For jobs to end in; Slurm gives them 30 s before it kills them (KillWait)."""


def asked_first(execute: Callable[..., Any], run: str) -> Callable[..., Any]:
    """Snakemake's `execute` of a workflow, which first fits an executor for Slurm to this cluster, for a run's folder.

    Snakemake has no hook before its plan, and the executor takes 15 s to be made where the controller is down.
    Exits with a sentence where no jobs can be submitted from here, or their ends not be known.
    """

    @wraps(execute)
    def asking(*, executor_plugin: Any, executor_settings: Any, **others: Any) -> Any:
        if executor_plugin.name == "slurm":
            try:
                fit(executor_plugin, executor_settings, run)
            except InputError as error:
                sys.exit(f"error: {error}")
        return execute(executor_plugin=executor_plugin, executor_settings=executor_settings, **others)

    return asking


def fit(plugin: Any, settings: Any, run: str) -> None:
    """Let Snakemake's plugin for Slurm name a run's jobs after its folder, and ask for them as this cluster answers.

    Raises `InputError` where no jobs can be submitted from here, or their ends not be known.
    """
    from workflow.slurm_executor import PatientExecutor

    check_answers()
    settings.jobname_prefix = name_of_jobs(run)
    if not keeps_accounts():
        check_remembers()
        settings.status_command = "squeue"
        settings.no_account = True
    plugin.executor = PatientExecutor


def check_answers() -> None:
    """Raises `InputError` where there is no Slurm, or its controller doesn't answer."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise InputError(f"no Slurm here ({', '.join(missing)} not found); {ELSEWHERE}")
    said, is_up = ping()
    if not is_up:
        told = said.splitlines()[0] if said else f"`scontrol ping`: nothing in {ANSWER_S} s"
        raise InputError(f"Slurm's controller doesn't answer ({told}); wait until `sinfo` does, or {ELSEWHERE}")


def ping() -> tuple[str, bool]:
    """What Slurm says of its controllers, and whether one is up; other commands take 9 s to say that none is."""
    _, said = ask("scontrol", "ping")
    return said, re.search(r"\bUP\b", said) is not None


def keeps_accounts() -> bool:
    """Whether `sacct` answers: it may be missing, and says so where accounting is disabled or out of order."""
    code, _ = ask("sacct", "--allocations", "--noheader", "--starttime", "now")
    return code == 0


def check_remembers() -> None:
    """Raises `InputError` where Slurm may have forgotten a job before it is asked how that ended."""
    _, said = ask("scontrol", "show", "config")
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", said, re.MULTILINE)
    if found and int(found[1]) <= LONGEST_GAP_S:
        raise InputError(
            f"this Slurm keeps no accounts and forgets a job {found[1]} s after its end (MinJobAge), so that a run "
            f"might wait for it for ever; its administrator can set more than {LONGEST_GAP_S} s (Slurm's default is "
            "300), or run within one job: `sbatch --cpus-per-task=N --wrap 'snakemake --cores N'`, without the profile"
        )


def name_of_jobs(run: str) -> str:
    """What the names of a run's jobs begin with: the same for every start in its folder, for no other."""
    digest = hashlib.sha256(str(Path(run).resolve()).encode()).hexdigest()
    return f"{re.sub('[^A-Za-z0-9-]', '-', Path(run).name)[:30]}-{digest[:12]}"


def end_earlier_jobs(run: str) -> list[str]:
    """End what an earlier run in this folder left at Slurm, and say so; returns those jobs' ids.

    Only for a run that has claimed its folder, and before its plan looks at what is there. Raises `InputError`
    where they don't end.
    """
    if not ping()[1]:
        return []
    ended = left = _jobs(run)
    if ended:
        print(f"{run}: ending the jobs of an earlier run: {', '.join(ended)}", file=sys.stderr)
    begun = time.monotonic()
    while left:
        if time.monotonic() - begun > END_S:
            raise InputError(
                f"{run}: jobs of an earlier run are still at work ({', '.join(left)}); see `squeue --me`, "
                "and start again when they have ended"
            )
        ask("scancel", *left)
        time.sleep(1)
        left = _jobs(run)
    return ended


def _jobs(run: str) -> list[str]:
    """The ids of this user's jobs of a run's folder that haven't ended."""
    _, said = ask("squeue", "--me", "--noheader", "--format", "%i %j")
    listed = (line.split(maxsplit=1) for line in said.splitlines())
    return [number for number, name in listed if name.startswith(name_of_jobs(run))]
