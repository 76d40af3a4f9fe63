"""Kill a run in every one of its steps, start it again each time, and compare it with an undisturbed run, byte by byte.

    python benchmarks/kill.py --configfile small.yaml --folder /tmp/kill --times 40
    python benchmarks/kill.py --configfile small.yaml --folder /tmp/kill --times 40 --change seed=1 --change scale=none
    python benchmarks/kill.py --configfile small.yaml --folder /tmp/kill --times 20 -- --profile $PWD/slurm

Paths in the configuration must be absolute. An undisturbed run shows the steps and how long each takes. Every other
run is to be killed in some of them, taken in turn: a process of one is waited for, and at a random moment of its work
the step's command is killed (SIGKILL), or the worker that it started, or Snakemake. With `--change` a run is finished
first, a value of its configuration changed, and the run that follows is killed. What follows `--` goes to Snakemake;
with Slurm's profile, where this machine is the only node, jobs are canceled too.

Prints how often each step was killed, and how many of those kills were of runs that ended with the undisturbed run's
bytes. Ends with 1 where a run didn't, or left a process at work.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from evaluation.runs.comparison import same_files

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("baselines", "evaluation", "mispel", "studies")
PLANNING = "planning"
BETWEEN_LOOKS_S = 0.1


@dataclass
class Scenario:
    """Runs of one configuration, each from nothing or from a finished run with another configuration."""

    name: str
    configfile: Path
    words: Sequence[str]
    finished: Path | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """By step, of its shortest process in an undisturbed run."""

    turns: deque[str] = field(default_factory=deque)
    """The steps, in the order in which they are to be killed."""

    met: set[str] = field(default_factory=set)
    """Those that disturbed runs came to."""

    @property
    def slurm(self) -> bool:
        """Whether steps are jobs of Slurm."""
        return any(Path(word).name == "slurm" for word in self.words)

    def results(self, folder: Path) -> Path:
        """Of a run in that working directory."""
        return folder / "results" / yaml.safe_load(self.configfile.read_text(encoding="utf-8"))["run"]

    def lay_out(self, folder: Path) -> Path:
        """That folder, as a run begins with it."""
        shutil.rmtree(folder, ignore_errors=True)
        log_of(folder).unlink(missing_ok=True)
        if self.finished is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(self.finished, folder, symlinks=True)
        return folder

    def start(self, folder: Path) -> subprocess.Popen:
        """Start a run with `folder` as its working directory."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
        with open(log_of(folder), "ab") as log:
            return subprocess.Popen(
                [*command, "--configfile", self.configfile, *self.words],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )


def log_of(folder: Path) -> Path:
    """What runs in a folder said."""
    return folder.with_name(f"{folder.name}.log")


def commands(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The steps that are worked on in a run's folder: their names, and their commands without the workers."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if words[1:2] != ["-m"] or words[2] not in PACKAGES or Path(process.cwd()) != folder:
                continue
            parent = process.parent()
            if parent is None or parent.cmdline() != words:
                yield " ".join(words[2:4]), process
        except (psutil.NoSuchProcess, IndexError):
            continue


def undisturbed(scenario: Scenario, folder: Path) -> dict[str, float]:
    """Let a run finish; the seconds of the shortest process of each step."""
    started = time.monotonic()
    run, first, last = scenario.start(scenario.lay_out(folder)), {}, {}
    while run.poll() is None:
        for name, process in commands(folder):
            first.setdefault((name, process.pid), time.monotonic())
            last[name, process.pid] = time.monotonic()
        time.sleep(BETWEEN_LOOKS_S)
    if run.returncode:
        raise SystemExit(f"error: {folder}: undisturbed, a run ended with {run.returncode}; see {log_of(folder)}")
    seconds = {PLANNING: min(first.values(), default=time.monotonic()) - started}
    for (name, _), taken in {key: last[key] - first[key] for key in first}.items():
        seconds[name] = min(taken, seconds.get(name, taken))
    return seconds


def strike(
    run: subprocess.Popen, folder: Path, scenario: Scenario, waiting: set[str], chance: random.Random
) -> tuple[str, str, float] | None:
    """Kill in the first of the waiting steps that is worked on: its name, what was killed and when; None at the end."""
    if PLANNING in waiting:
        scenario.met.add(PLANNING)
        time.sleep(moment := chance.uniform(0, scenario.seconds[PLANNING]))
        run.kill()
        return PLANNING, "Snakemake", moment
    while run.poll() is None:
        found = next(((name, process) for name, process in commands(folder) if name in waiting), None)
        if found is None:
            time.sleep(BETWEEN_LOOKS_S)
            continue
        step, command = found
        scenario.met.add(step)
        time.sleep(moment := chance.uniform(0, scenario.seconds[step]))
        try:
            workers = command.children()
            what = chance.choice(["command", "Snakemake", *["worker"][: len(workers)], *["job"][: scenario.slurm]])
            if what == "job":
                subprocess.run(["scancel", command.environ()["SLURM_JOB_ID"]], check=True)
            elif what != "Snakemake":
                (workers[0] if what == "worker" else command).kill()
            elif command.is_running():
                run.kill()
            else:
                raise psutil.NoSuchProcess(command.pid)
        except (psutil.NoSuchProcess, KeyError):
            scenario.seconds[step] /= 2  # it was done before; perhaps there is another, or in the next run
            continue
        return step, what, moment
    return None


def disturb(scenario: Scenario, folder: Path, waiting: set[str], chance: random.Random) -> list[str]:
    """Kill and restart a run in all the waiting steps that it comes to, then let it finish; returns those."""
    struck = []
    while True:
        run, hit = scenario.start(folder), None
        while waiting and (now := strike(run, folder, scenario, waiting, chance)):
            hit = now
            waiting.discard(hit[0])
            struck.append(hit[0])
            print(f"| {folder.name} | {scenario.name} | {hit[0]} | {hit[1]} | {hit[2]:.1f} |", flush=True)
        if run.wait() == 0:
            return struck
        if hit is None:
            raise SystemExit(f"error: {folder}: undisturbed, it ended with {run.returncode}; see {log_of(folder)}")


def scenarios(given: argparse.Namespace) -> list[Scenario]:
    """The first run of a configuration, or those that follow on a change each."""
    configfile = given.configfile.resolve()
    if not given.change:
        return [Scenario("first run", configfile, given.words)]
    finished, found = given.folder / "finished", []
    undisturbed(Scenario("before", configfile, given.words), finished)
    for number, change in enumerate(given.change):
        key, value = change.split("=", 1)
        *blocks, last = key.split(".")
        configuration = yaml.safe_load(configfile.read_text(encoding="utf-8"))
        block: dict[str, Any] = configuration
        for name in blocks:
            block = block.setdefault(name, {})
        block[last] = yaml.safe_load(value)
        changed = given.folder / f"changed-{number}.yaml"
        changed.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        found.append(Scenario(change, changed, given.words, finished))
    return found


def differing(scenario: Scenario, folder: Path, reference: Path) -> list[str]:
    """What of a finished run isn't as in the undisturbed one, and steps that are still at work."""
    time.sleep(1)
    still = [f"{name} still at work" for name, _ in commands(folder)]
    return still + same_files(scenario.results(reference), scenario.results(folder))


def main() -> int:
    """Print a row a kill, how each run ended, and the kills by step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the runs")
    parser.add_argument("--change", action="append", metavar="KEY=VALUE", help="of the configuration; more than once")
    parser.add_argument("--times", type=int, default=20, help="kills in all (default: 20)")
    parser.add_argument("--times-a-run", type=int, default=6, help="kills of one run before it is let be (default: 6)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("words", nargs="*", default=["--cores", "2"], help="for Snakemake (default: --cores 2)")
    given = parser.parse_args()
    given.folder = given.folder.resolve()
    given.folder.mkdir(parents=True, exist_ok=True)
    chance, kills, equal, outcomes = random.Random(given.seed), Counter(), Counter(), []
    print("| run | scenario | step | killed | after s of its work |\n|---|---|---|---|---|")
    ways = scenarios(given)
    references = [given.folder / f"undisturbed-{number}" for number in range(len(ways))]
    for way, reference in zip(ways, references, strict=True):
        way.seconds = undisturbed(Scenario(way.name, way.configfile, way.words), reference)
        way.turns = deque(chance.sample(sorted(way.seconds), len(way.seconds)))
    for number, (way, reference) in enumerate(itertools.cycle(zip(ways, references, strict=True)), start=1):
        most = min(given.times_a_run, given.times - kills.total(), len(way.turns))
        if most <= 0:
            break
        waiting = {way.turns[place] for place in range(most)}
        way.turns.rotate(-most)
        folder = way.lay_out(given.folder / f"disturbed-{number}")
        struck = disturb(way, folder, set(waiting), chance)
        for step in waiting.difference(way.met):
            way.turns.remove(step)  # nothing of it is to be done after such a change
        outcomes.append(differing(way, folder, reference))
        kills.update(struck)
        equal.update([] if outcomes[-1] else struck)
        told = ", ".join(outcomes[-1]) or "identical"
        print(f"| {folder.name} | {way.name} | finished after {len(struck)} kills | | {told} |", flush=True)
    print("\n| step | kills | ended identical |\n|---|---|---|")
    for step, count in sorted(kills.items()):
        print(f"| {step} | {count} | {equal[step]} |")
    print(f"\n{kills.total()} kills, {equal.total()} of them in runs that ended identical to the undisturbed one.")
    return 1 if any(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
