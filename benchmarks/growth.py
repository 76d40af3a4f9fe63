"""How time, memory and disk of each step grow with the scans, from runs that are there; and what a large study takes.

    python benchmarks/growth.py results/small results/large --scans 2000

Time is CPU time from the jobs' logs (user and system, so that a busy machine doesn't count), memory the most that one
job held, disk what the step left. The runs have several batches of people each (`people_per_job`), since their jobs
are told from those that are one for the whole study or arm by their names.

A batch's job grows with the scans of a batch and their voxels, a fit with those of the study; a job on tables grows
with the scans alone, along the line through the runs. An exponent is that of a line through the logarithms, over runs
whose arm has the parameters of the largest's. Starting Python makes small runs look flat, so that batches and fits
are extended from the largest run at least in proportion.

A study on many nodes takes its longest chain of jobs: what is one job, and of what goes by batches one job, or as many
one after the other as there are more jobs than cores. A fit that takes RAW's labels waits for these.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.files import read_json
from core.names import RAW
from core.nifti import open_nifti
from core.run_folder import RunFolder
from core.sheet import read_sheet
from evaluation.runs.provenance import job_costs

FOLDERS = {"prepare": "study", "fit": "models", "apply": "images", "segment": "segmentations"}
"""What each step writes its files into."""
BATCH = r"(?:^|-)\d{4}$"
"""How the names of jobs end that are about a batch of people."""
BY_SLICES = ("fit", "apply", "intensities", "segment", "measure", "prepare", "check_study", "provenance")
"""Steps that read images: they grow with the voxels, not just the scans."""
JOINED = "join"
"""What is said after the step of an arm that joins what its batches made."""


@dataclass(frozen=True)
class Row:
    """A step of an arm at the size that is told of: hours of all its jobs together and of one of them."""

    step: str
    arm: str
    hours: float
    one: float
    jobs: int


def measured(run: Path) -> pd.DataFrame:
    """A row a step and arm of a finished run: batches (whether its jobs are), jobs, cpu_s, peak_mb, disk_mb, sizes."""
    study = read_sheet(run / "scans.tsv", check=False)
    scans = len(study.every)
    voxels = float(np.prod(open_nifti(study.scans[0].image).shape[:3])) / 1e6
    table = job_costs(run)
    table["batches"] = table["part"].str.contains(BATCH)
    grouped = table.groupby(["step", "arm", "batches"], as_index=False, sort=False)
    found = grouped.agg(jobs=("step", "size"), cpu_s=("cpu_s", "sum"), peak_mb=("peak_mb", "max"))
    found["disk_mb"] = [
        folder_mb(run / FOLDERS[row.step] / row.arm) if row.step in FOLDERS else 0.0 for row in found.itertuples()
    ]
    found["parameters"] = [parameters(run, arm) for arm in found["arm"]]
    found["after_labels"] = [row.step == "fit" and takes_labels(run, row.arm) for row in found.itertuples()]
    return found.assign(scans=scans, voxels=voxels, people=len(study.subjects))


def parameters(run: Path, arm: str) -> str:
    """The parameters that an arm was fitted with, as text."""
    path = run / "models" / arm / "method.json"
    return json.dumps(read_json(path)["parameters"], sort_keys=True) if arm and path.is_file() else ""


def takes_labels(run: Path, arm: str) -> bool:
    """Whether the arm's fit was made from RAW's labels."""
    records = (RunFolder(run).made_folder / "fit" / arm).glob("[!.]*.json")
    return any(f"segment/{RAW}-*" in read_json(path)["from"] for path in records)


def folder_mb(folder: Path) -> float:
    """What lies in a folder, in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def growth(sizes: np.ndarray, values: np.ndarray, size: float, *, least: float) -> tuple[float, float]:
    """The exponent of `values` (N,) by `sizes` (N,), ascending, and the value at `size`.

    The exponent is NaN with fewer than two sizes. The value is extended from the largest size, by the
    exponent or, where that is smaller or unknown, by `least`.
    """
    usable = values > 0
    sizes, values = sizes[usable], values[usable]
    if values.size == 0:
        return float("nan"), 0.0
    exponent = float("nan")
    if np.unique(sizes).size > 1:
        exponent = float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
    return exponent, float(values[-1] * (size / sizes[-1]) ** np.fmax(exponent, least))


def along_line(sizes: np.ndarray, values: np.ndarray, size: float) -> float:
    """The value at `size` on the rising line through `values` (N,) at `sizes` (N,); of one, in proportion."""
    if np.unique(sizes).size < 2:
        return float(values[-1] * size / sizes[-1])
    slope, start = np.polyfit(sizes, values, 1)
    return float(start + slope * size) if slope > 0 else float(values.max())


def extended(part: pd.DataFrame, given: argparse.Namespace) -> tuple[Row, str]:
    """A step of an arm, in runs of several sizes, at the size that is asked for; and a table's row of it."""
    part = part.sort_values("scans")
    last = part.iloc[-1]
    part = part[part["parameters"] == last["parameters"]]
    by_voxels = last["step"] in BY_SLICES and not (last["step"] == "intensities" and not last["batches"])
    unit, factor = (part["voxels"].to_numpy(), given.million_voxels) if by_voxels else (np.ones(len(part)), 1.0)
    sizes, size = part["scans"].to_numpy() * unit, given.scans * factor
    least = {"cpu_s": 1.0, "peak_mb": 0.0, "disk_mb": 1.0}
    found = [growth(sizes, part[name].to_numpy(), size, least=power) for name, power in least.items()]
    seconds = found[0][1]
    if not (last["batches"] or last["step"] == "fit"):
        seconds = along_line(sizes, part["cpu_s"].to_numpy(), size)
    people = given.scans * last["people"] / last["scans"]
    jobs = int(np.ceil(people / given.people_per_job)) if last["batches"] else int(last["jobs"])
    row = Row(last["step"], last["arm"], seconds / 3600, seconds / 3600 / jobs, jobs)
    told = "; ".join(f"{r.scans}: {r.cpu_s:.1f}, {r.peak_mb:.0f}, {r.disk_mb:.1f}" for r in part.itertuples())
    exponents = ", ".join("n/a" if np.isnan(exponent) else f"{exponent:.2f}" for exponent, _ in found)
    numbers = f"{row.hours:.2f}, {jobs}, {60 * row.one:.1f}, {found[1][1] / 1000:.1f}, {found[2][1] / 1000:.1f}"
    name = row.step if last["batches"] or row.step != "intensities" else f"{row.step}, {JOINED}"
    return row, f"| {name} | {row.arm} | {told} | {exponents} | {numbers} |"


def chain(rows: list[Row], cores: int) -> float:
    """Hours of steps one after the other, each with its jobs side by side on `cores`."""
    return sum(max(row.one, row.hours / cores) for row in rows)


def longest(rows: list[Row], labeled: set[str], cores: int) -> tuple[float, float, str]:
    """Hours of the longest chain of jobs, those of its arm's fit, and which arm that is."""
    shared = [row for row in rows if not row.arm]
    of = {arm: [row for row in rows if row.arm == arm] for arm in dict.fromkeys(row.arm for row in rows if row.arm)}
    before = [row for row in of.get(RAW, []) if row.step != "measure"]
    found = []
    for arm, own in of.items():
        # the arms' jobs share the cores
        crowded = [Row(row.step, arm, row.hours * (len(of) if row.jobs > 1 else 1), row.one, row.jobs) for row in own]
        waits = chain(before, cores) if arm in labeled else 0.0
        fit = sum(row.one for row in own if row.step == "fit")
        found.append((chain([*shared, *crowded], cores) + waits, fit, arm))
    return max(found)


def main() -> None:
    """Print what was measured, the exponents, and the extrapolation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of finished runs, of several sizes")
    parser.add_argument("--scans", type=int, default=2000, help="of the study to tell of (default: 2000)")
    parser.add_argument("--million-voxels", type=float, default=4.67, help="of its grid (default: 1 mm phantom)")
    parser.add_argument("--people-per-job", type=int, default=6, help="default: 6")
    parser.add_argument("--nodes", type=int, default=100, help="default: 100")
    parser.add_argument("--cores", type=int, default=8, help="of one machine, or node (default: 8)")
    given = parser.parse_args()
    table = pd.concat([measured(run) for run in given.runs], ignore_index=True)
    print(
        "| step | arm | scans: CPU s, MB held, MB written | exponents | CPU h, jobs, min a job, GB held, GB written |"
    )
    print("|---|---|---|---|---|")
    rows = []
    for _, part in table.groupby(["step", "arm", "batches"], sort=False):
        row, line = extended(part, given)
        rows.append(row)
        print(line)
    labeled = set(table["arm"][table["after_labels"]])
    one, _, _ = longest(rows, labeled, given.cores)
    one = max(one, sum(row.hours for row in rows) / given.cores)
    many, fit, arm = longest(rows, labeled, given.nodes * given.cores)
    print(f"\n{given.scans} scans of {given.million_voxels:g} million voxels, {given.people_per_job} people a job:")
    print(f"{sum(row.hours for row in rows):.1f} CPU h; {one:.1f} h on one machine of {given.cores} cores;")
    print(f"{60 * many:.0f} min on {given.nodes} nodes, of which the fit of {arm} takes {60 * fit:.1f}.")


if __name__ == "__main__":
    main()
