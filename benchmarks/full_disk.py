"""Fill the disk under a run at random moments; make room, start it again, compare it with an undisturbed run.

    python -m benchmarks.full_disk --configfile small.yaml --folder /tmp/full --times 5

Wants to mount a disk in memory, so root. Paths in the configuration must be absolute. Printed is what the run
said; ends with 1 where a finished run differs from the undisturbed one in any byte of its results.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.kill import log_of, start, wait_for_work
from evaluation.runs.comparison import same_files

WORDS = ("--cores", "1")
SENTENCE = re.compile(r"^error: .*$", re.MULTILINE)


@contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size in memory, mounted on the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))
    except OSError:
        pass


def said(folder: Path, since: float) -> list[str]:
    """The sentences that a run's steps, and the run itself, ended with since a moment."""
    logs = [log_of(folder), *(folder / "results").glob("*/logs/**/*.log")]
    fresh = [path.read_text(encoding="utf-8", errors="replace") for path in logs if path.stat().st_mtime >= since]
    return list(dict.fromkeys(sentence for text in fresh for sentence in SENTENCE.findall(text)))


def main() -> int:
    """Print a row a full disk, and how each finished run compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the runs; an undisturbed one there is taken")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--longest", type=float, default=30, help="seconds of work until the disk fills (default: 30)")
    parser.add_argument("--megabytes", type=int, default=200, help="of the disk; it must hold a run (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    configfile, chance = given.configfile.resolve(), random.Random(given.seed)
    results = Path("results") / yaml.safe_load(configfile.read_text(encoding="utf-8"))["run"]
    if start(given.folder / "undisturbed", configfile, WORDS).wait():
        raise SystemExit(f"error: the undisturbed run failed; see {log_of(given.folder / 'undisturbed')}")
    print("| full after s of work | exit | what was said | after room was made |\n|---|---|---|---|")
    lost = 0
    for _ in range(given.times):
        with disk(given.folder / "disk", given.megabytes) as folder:
            begun, moment = time.time(), chance.uniform(1, given.longest)
            run = start(folder, configfile, WORDS)
            wait_for_work(run, slurm=False)
            time.sleep(moment)
            fill(folder / "filler")
            code = run.wait()
            sentences = "; ".join(said(folder, begun)) or "nothing"
            (folder / "filler").unlink()
            again = start(folder, configfile, WORDS).wait()
            differing = same_files(given.folder / "undisturbed" / results, folder / results)
            outcome = "identical" if not (again or differing) else f"exit {again}; differing: {', '.join(differing)}"
            lost += outcome != "identical"
            print(f"| {moment:.1f} | {code} | {sentences} | {outcome} |", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
