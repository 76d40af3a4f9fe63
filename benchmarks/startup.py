"""What part of a run goes into starting Python: interpreters started and modules imported, job by job.

    PYTHONPROFILEIMPORTTIME=1 snakemake --cores 2 --forceall ...
    python benchmarks/startup.py results/demo

Under that variable every process writes to its log how long each import took; this adds them up, with a bare
interpreter's start for each process, and sets them against the time that the run's jobs took.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from evaluation.runs.provenance import step_costs

IMPORT = re.compile(r"^import time:\s+(\d+) \|", re.MULTILINE)
FIRST = re.compile(r"\| +_io$", re.MULTILINE)
"""What every process imports as the first of its modules, so that it counts them."""


def bare_start(rounds: int = 9) -> float:
    """Seconds that an interpreter takes to start and end, the median of several."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def imports(log: str) -> tuple[int, float]:
    """How many processes wrote a log, and the seconds that their imports took."""
    return len(FIRST.findall(log)), sum(int(found) for found in IMPORT.findall(log)) / 1e6


def main() -> None:
    """Print a row a step, and the share of the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    run = parser.parse_args().run
    start = bare_start()
    costs = step_costs(run).groupby("step")["seconds"].sum()
    print("| step | jobs | processes | starting, s | jobs' time, s | share |\n|---|---|---|---|---|---|")
    total_starting = total = 0.0
    for step, seconds in costs.items():
        logs = sorted((run / "logs" / str(step)).rglob("*.log")) or [run / "logs" / f"{step}.log"]
        found = [imports(log.read_text(encoding="utf-8", errors="replace")) for log in logs]
        processes = sum(count for count, _ in found)
        starting = processes * start + sum(taken for _, taken in found)
        print(f"| {step} | {len(logs)} | {processes} | {starting:.1f} | {seconds:.1f} | {starting / seconds:.0%} |")
        total_starting, total = total_starting + starting, total + seconds
    print(f"\nStarting Python took {total_starting:.1f} of the jobs' {total:.1f} s: {total_starting / total:.1%}.")


if __name__ == "__main__":
    main()
