"""Kill a run, or one of its jobs, at random moments; start it again each time; compare it with an undisturbed run.

    python benchmarks/kill.py --configfile small.yaml --folder /tmp/kill --times 20
    python benchmarks/kill.py --configfile small.yaml --folder /tmp/kill --times 20 -- --profile $PWD/slurm

Paths in the configuration must be absolute. What follows `--` goes to Snakemake; with Slurm's profile it is
jobs of Slurm that are killed. Ends with 1 where a finished run differs from the undisturbed one in any
byte of its results, or holds files that the other doesn't.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil
import yaml

from evaluation.runs.comparison import same_files

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("baselines", "evaluation", "mispel", "studies")


Job = tuple[str, Callable[[], None]]
"""A step that is being worked on: its name, and what kills it."""


def start(folder: Path, configfile: Path, words: Sequence[str]) -> subprocess.Popen:
    """Start a run with `folder` as its working directory; what it says goes to a log beside that."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    with open(log_of(folder), "ab") as log:
        return subprocess.Popen(
            [*command, "--configfile", configfile, *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def log_of(folder: Path) -> Path:
    """What runs in a folder said; not in it, since its disk may be full."""
    return folder.with_name(f"{folder.name}.log")


def jobs(run: subprocess.Popen, slurm: bool) -> list[Job]:
    """The steps that a run works on: its processes, or this user's running jobs of Slurm."""
    if slurm:
        listed = ["squeue", "--me", "--noheader", "--states", "RUNNING", "--format", "%i %k"]
        lines = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines()
        return [(line.split()[-1], partial(cancel, line.split()[0])) for line in lines]
    found = []
    try:
        for process in psutil.Process(run.pid).children(recursive=True):
            words = process.cmdline()
            if len(words) > 3 and words[1] == "-m" and words[2] in PACKAGES:
                found.append((f"{words[2]} {words[3]}", process.kill))
    except psutil.NoSuchProcess:
        pass
    return found


def cancel(job: str) -> None:
    """Kill a job of Slurm, all its processes, without a warning."""
    subprocess.run(["scancel", "--signal=KILL", "--full", job], check=False)


def kill(run: subprocess.Popen, chance: random.Random, slurm: bool) -> str | None:
    """Kill the run or one of its jobs, at even odds; returns what was killed, None where nothing was left to kill."""
    working = jobs(run, slurm)
    if working and chance.random() < 0.5:
        name, end = chance.choice(working)
        try:
            end()
        except psutil.NoSuchProcess:
            return None
        return f"job: {name}"
    if run.poll() is not None:
        return None
    run.kill()
    return f"run, during {', '.join(sorted({name for name, _ in working})) or 'planning or between steps'}"


def wait_for_work(run: subprocess.Popen, slurm: bool) -> None:
    """Wait until a run has planned and its first step is at work, or it has ended."""
    while run.poll() is None and not jobs(run, slurm):
        time.sleep(0.05)


def disturb(
    folder: Path, configfile: Path, words: Sequence[str], chance: random.Random, longest: float, times: int
) -> int:
    """Kill and restart until a run in `folder` is done; at most `times` kills. Returns how many there were.

    One kill in ten falls while the run plans, the others up to `longest` seconds after its first step began.
    """
    killed, slurm = 0, any(Path(word).name == "slurm" for word in words)
    while True:
        run, what = start(folder, configfile, words), None
        if killed < times:
            if chance.random() < 0.9:
                wait_for_work(run, slurm)
            begun, moment = time.monotonic(), chance.uniform(0, longest)
            while run.poll() is None and time.monotonic() - begun < moment:
                time.sleep(0.02)
            what = kill(run, chance, slurm)
            if what is not None:
                killed += 1
                print(f"| {folder.name} | {killed} | {time.monotonic() - begun:.1f} | {what} |", flush=True)
        code = run.wait()
        if code == 0:
            return killed
        if what is None:
            raise SystemExit(f"error: {folder}: undisturbed, it ended with {code}; see {log_of(folder)}")


def main() -> int:
    """Print a row a kill, then how each finished run compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the runs; an undisturbed one there is taken")
    parser.add_argument("--times", type=int, default=20, help="kills in all (default: 20)")
    parser.add_argument("--times-a-run", type=int, default=5, help="kills of one run before it is let be (default: 5)")
    parser.add_argument("--longest", type=float, default=20, help="seconds of work until a kill at most (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("words", nargs="*", default=["--cores", "1"], help="for Snakemake (default: --cores 1)")
    given = parser.parse_args()
    configfile, chance = given.configfile.resolve(), random.Random(given.seed)
    results = Path("results") / yaml.safe_load(configfile.read_text(encoding="utf-8"))["run"]
    for earlier in given.folder.glob("disturbed-*"):
        shutil.rmtree(earlier)
    if start(given.folder / "undisturbed", configfile, given.words).wait():
        raise SystemExit(f"error: the undisturbed run failed; see {log_of(given.folder / 'undisturbed')}")
    print("| run | kill | after s of work | what was killed |\n|---|---|---|---|")
    total, number, outcomes = 0, 0, []
    while total < given.times:
        number += 1
        folder = given.folder / f"disturbed-{number}"
        most = min(given.times_a_run, given.times - total)
        killed = disturb(folder, configfile, given.words, chance, given.longest, most)
        total += killed
        differing = same_files(given.folder / "undisturbed" / results, folder / results)
        outcomes.append(differing)
        print(
            f"| {folder.name} | finished after {killed} kills | | {', '.join(differing) or 'identical'} |", flush=True
        )
    lost = sum(bool(differing) for differing in outcomes)
    print(f"\n{total} kills of {number} runs; {number - lost} ended identical to the undisturbed one, {lost} didn't.")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
