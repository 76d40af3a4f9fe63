"""Snakemake's executor for Slurm (2.8.0), where it would wait for ever or guess."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Iterator
from typing import Any

from snakemake_executor_plugin_slurm import Executor

from workflow.slurm_commands import ask


class PatientExecutor(Executor):
    """Keeps its jobs while Slurm doesn't answer, gives up those that it has forgotten, and guesses no account.

    The original drops every job where five questions in a row fail, as while a controller restarts, and
    waits for ever for those, for any that `squeue` doesn't know, and without a word for what Slurm never
    starts; whatever its settings say, it guesses an account, by a command that `sacct` refuses.
    """

    def __init__(self, workflow: Any, logger: Any) -> None:
        # before the original's, whose thread begins to ask at once
        self.ended: set[str] = set()
        self.told: dict[str, set[str]] = {}
        super().__init__(workflow, logger)

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Report the jobs that have ended, or are forgotten, and yield the others; say what they wait for."""
        self.ended.clear()
        async for _ in super().check_active_jobs(active_jobs):
            pass
        left = [job for job in active_jobs if job.external_jobid not in self.ended]
        listed = self.listed() if left else None
        for job in left:
            number = job.external_jobid
            # an array's waiting jobs are one row
            if listed is None or not number.isdigit():
                yield job
            elif number not in listed and self.get_status_command() == "squeue":
                self.report_job_error(job, msg=f"Slurm knows nothing of its job {number} any more. ")
            else:
                self.tell(number, listed.get(number, ""))
                yield job

    def listed(self) -> dict[str, str] | None:
        """Why each of this run's jobs waits that `squeue` knows, by number; None where it doesn't answer."""
        code, said = ask("squeue", "--noheader", "--states=all", "--format=%i %r", "--name", self.run_uuid)
        return dict(line.split(maxsplit=1) for line in said.splitlines()) if code == 0 else None

    def tell(self, number: str, reason: str) -> None:
        """Say once what a job waits for, if not just for its turn: some reasons, such as a limit, never end."""
        if reason not in ("", "None", "Priority", "Resources", *self.told.get(number, ())):
            self.told.setdefault(number, set()).add(reason)
            self.logger.warning(f"Slurm lets job {number} wait ({reason}); see `scontrol show job {number}`")

    def report_job_success(self, job: Any) -> None:
        """A job has ended well."""
        self.ended.add(job.external_jobid)
        super().report_job_success(job)

    def report_job_error(self, job: Any, *words: Any, **more: Any) -> None:
        """A job has failed."""
        self.ended.add(job.external_jobid)
        super().report_job_error(job, *words, **more)

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The option of `sbatch` for a given account, checked where there are some; else Slurm takes its default."""
        account = job.resources.get("slurm_account")
        if account and not self.workflow.executor_settings.no_account:
            yield from super().get_account_arg(job)
        else:
            yield f" -A {shlex.quote(str(account))}" if account else ""
