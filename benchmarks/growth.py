"""How time, memory and disk of each step grow with the scans, from runs that are there; and what a large study takes.

    python benchmarks/growth.py results/small results/large --scans 2000

Time is CPU time from the jobs' logs (user and system, so that a busy machine doesn't count), memory the most that one
job held, disk what the step left. The runs have several batches of people each (`people_per_job`), since their jobs
are told from those that are one for the whole study or arm by their names.

A job's time is that of the line through the runs' jobs, whose start is what starting Python takes: by scans of the
job and their voxels, or by scans alone where it reads no images. So the runs differ in the scans of a batch too. An
exponent is that of a line through the logarithms of a step's time together, over runs whose arm has the parameters of
the largest's; where it is above 1, a job grows at least in proportion. Memory is what the runs' jobs held.

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
BY_VOXELS = ("fit", "apply", "intensities", "segment", "measure", "prepare", "check_study", "provenance")
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


def exponent_of(sizes: np.ndarray, values: np.ndarray) -> float:
    """The exponent of positive `values` (N,) by `sizes` (N,); NaN with fewer than two sizes."""
    usable = values > 0
    if np.unique(sizes[usable]).size < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes[usable]), np.log(values[usable]), 1)[0])


def extended(sizes: np.ndarray, values: np.ndarray, size: float) -> float:
    """The value at `size` on the line through `values` (N,) at `sizes` (N,), ascending, which has a start of its own.

    In proportion to the last value, where that is the only one or the line falls; and by a power where that is more
    than one.
    """
    proportional = float(values[-1] * size / sizes[-1])
    if np.unique(sizes).size < 2:
        return proportional
    slope, start = np.polyfit(sizes, values, 1)
    if slope <= 0:
        return proportional
    return max(float(start + slope * size), proportional if exponent_of(sizes, values) > 1 else 0.0)


def at_size(part: pd.DataFrame, given: argparse.Namespace) -> tuple[Row, str]:
    """A step of an arm, in runs of several sizes, at the size that is asked for; and a table's row of it."""
    part = part.sort_values("scans")
    last = part.iloc[-1]
    part = part[part["parameters"] == last["parameters"]]
    people = given.scans * last["people"] / last["scans"]
    jobs = int(np.ceil(people / given.people_per_job)) if last["batches"] else int(last["jobs"])
    by_voxels = last["step"] in BY_VOXELS and (last["batches"] or last["step"] != "intensities")
    voxels = part["voxels"].to_numpy() if by_voxels else np.ones(len(part))
    of_study, there = part["scans"].to_numpy() * voxels, part["jobs"].to_numpy()
    size = given.scans * (given.million_voxels if by_voxels else 1.0)
    one = extended(of_study / there, part["cpu_s"].to_numpy() / there, size / jobs) / 3600
    row = Row(last["step"], last["arm"], one * jobs, one, jobs)
    held = float(part["peak_mb"].max())
    written = float(last["disk_mb"] * size / of_study[-1])
    names = ("cpu_s", "peak_mb", "disk_mb")
    exponents = [exponent_of(of_study, part[name].to_numpy()) for name in names]
    told = "; ".join(f"{r.scans}: {r.cpu_s:.1f}, {r.peak_mb:.0f}, {r.disk_mb:.1f}" for r in part.itertuples())
    powers = ", ".join("n/a" if np.isnan(exponent) else f"{exponent:.2f}" for exponent in exponents)
    numbers = f"{row.hours:.2f}, {jobs}, {60 * row.one:.1f}, {held:.0f}, {written / 1000:.1f}"
    name = row.step if last["batches"] or row.step != "intensities" else f"{row.step}, {JOINED}"
    return row, f"| {name} | {row.arm} | {told} | {powers} | {numbers} |"


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
        "| step | arm | scans: CPU s, MB held, MB written | exponents | CPU h, jobs, min a job, MB held, GB written |"
    )
    print("|---|---|---|---|---|")
    rows = []
    for _, part in table.groupby(["step", "arm", "batches"], sort=False):
        row, line = at_size(part, given)
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
