"""How time, memory and disk of each step grow with the scans, from runs that are there; and what a large study takes.

    python benchmarks/growth.py results/small results/middle results/large --scans 2000

Time is CPU time from the jobs' logs (user and system, so that a busy machine doesn't count), memory
the most that one job held, disk what the step left. Size is scans times voxels. An exponent needs two sizes, and
is that of a line through the logarithms. Starting Python makes small runs look flat, so time and disk are extended
from the largest run at least in proportion. Runs whose arm has other parameters than the largest's don't count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from core.files import read_json
from core.nifti import open_nifti
from core.sheet import read_sheet
from evaluation.runs.provenance import step_costs

FOLDERS = {"prepare": "study", "fit": "models", "apply": "images", "segment": "segmentations"}
"""What each step writes its files into."""
BY_PEOPLE = ("prepare", "segment", "measure")
"""Steps that are split into jobs of a few people; the others are one job an arm."""


def measured(run: Path) -> pd.DataFrame:
    """A row a step and arm of a finished run: size (million voxels), cpu_s, peak_mb, disk_mb."""
    study = read_sheet(run / "scans.tsv", check=False)
    size = len(study.scans) * float(np.prod(open_nifti(study.scans[0].image).shape[:3])) / 1e6
    table = step_costs(run)
    table = table[table["step"].isin([*FOLDERS, *BY_PEOPLE])].copy()
    table["disk_mb"] = [
        folder_mb(run / FOLDERS[step] / arm) if step in FOLDERS else 0.0
        for step, arm in zip(table["step"], table["arm"], strict=True)
    ]
    table["parameters"] = [parameters(run, arm) for arm in table["arm"]]
    return table.assign(size=size, scans=len(study.scans))


def parameters(run: Path, arm: str) -> str:
    """The parameters that an arm was fitted with, as text."""
    path = run / "models" / arm / "method.json"
    return json.dumps(read_json(path)["parameters"], sort_keys=True) if arm and path.is_file() else ""


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


def main() -> None:
    """Print what was measured, the exponents, and the extrapolation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of finished runs, best of 3 sizes")
    parser.add_argument("--scans", type=int, default=2000, help="of the study to tell of (default: 2000)")
    parser.add_argument("--million-voxels", type=float, default=4.67, help="of its grid (default: 1 mm phantom)")
    parser.add_argument("--nodes", type=int, default=100, help="default: 100")
    parser.add_argument("--cores", type=int, default=8, help="of one machine, or node (default: 8)")
    given = parser.parse_args()
    table = pd.concat([measured(run) for run in given.runs], ignore_index=True)
    target = given.scans * given.million_voxels
    print("| step | arm | scans: CPU s, MB held, MB written | exponents | extrapolated: CPU h, GB held, GB written |")
    print("|---|---|---|---|---|")
    one, many, disk = 0.0, {}, 0.0
    for (step, arm), part in table.groupby(["step", "arm"], sort=False):
        part = part.sort_values("size")
        part = part[part["parameters"] == part["parameters"].iloc[-1]]
        told = "; ".join(f"{r.scans}: {r.cpu_s:.1f}, {r.peak_mb:.0f}, {r.disk_mb:.1f}" for r in part.itertuples())
        sizes = part["size"].to_numpy()
        least = {"cpu_s": 1.0, "peak_mb": 0.0, "disk_mb": 1.0}
        found = [growth(sizes, part[name].to_numpy(), target, least=power) for name, power in least.items()]
        hours, held, written = found[0][1] / 3600, found[1][1] / 1000, found[2][1] / 1000
        exponents = ", ".join("n/a" if np.isnan(exponent) else f"{exponent:.2f}" for exponent, _ in found)
        print(f"| {step} | {arm} | {told} | {exponents} | {hours:.1f}, {held:.1f}, {written:.1f} |")
        one += hours / given.cores
        # a step by people spreads over the nodes; another is one job, with the arms side by side
        share = hours / (given.nodes * given.cores) if step in BY_PEOPLE else hours
        many[step] = many.get(step, 0.0) + share if step in BY_PEOPLE else max(many.get(step, 0.0), share)
        disk += written
    # the slowest arm's fit and application go one after the other, however many cores there are
    one = max(one, sum(hours for step, hours in many.items() if step not in BY_PEOPLE))
    voxels = f"{given.scans} scans of {given.million_voxels:g} million voxels"
    machines = f"{one:.1f} h on one machine of {given.cores} cores, {sum(many.values()):.1f} h on {given.nodes}"
    print(f"\n{voxels}: {machines} nodes, {disk:.1f} GB written.")
    print("On the nodes, fitting and applying an arm is one job on one core, with the arms side by side.")


if __name__ == "__main__":
    main()
