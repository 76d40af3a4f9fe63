"""Print how well the phantom reaches what it was designed for, point by point.

    python benchmarks/phantom.py                       all five points, about half an hour on two cores
    python benchmarks/phantom.py --points 1 2          only these
    python benchmarks/phantom.py --points 3 --subjects 6 --voxel-size-mm 2

1 the signal's closed form against a Bloch loop; 2 fractions and volumes; 3 similarity of RAW beside the
paper's Table 2; 4 gray-matter differences between scanners, and how many are left when all scanners run
one sequence; 5 time and memory. Everything is simulated.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from core.errors import InputError
from core.names import TISSUES
from evaluation.measures.similarity import pairwise
from segmentation import segment
from studies.simulation.anatomy import Anatomy, coarsen, make_anatomy
from studies.simulation.options import PAPER_SCANNERS, ScanOptions
from studies.simulation.people import make_subject
from studies.simulation.physics import Scanner, Tissue, make_scanners, shipped_scanners, tissues
from studies.simulation.signal import check_contrast, signal
from studies.simulation.truth import simulate_scan

PAIRS = list(itertools.combinations(PAPER_SCANNERS, 2))
PAPER_SSIM = dict(zip(PAIRS, (0.75, 0.78, 0.78, 0.81, 0.81, 0.87), strict=True))
PAPER_GM = dict(zip(PAIRS, (30.01, 81.53, 59.72, 63.67, 41.20, 24.28), strict=True))
SEGMENTER_UNIT = 1000


def bloch_signal(tissue: Tissue, scanner: Scanner, b1: float, cycles: int = 60) -> float:
    """The signal by playing cycle after cycle of inversion, readouts and rest until it's steady."""
    flip = np.deg2rad(scanner.flip_degrees) * b1
    before = scanner.inversion_time_ms - scanner.readouts_before_center * scanner.readout_spacing_ms
    rest = scanner.cycle_ms - before - scanner.readouts * scanner.readout_spacing_ms

    def recover(magnetization: float, milliseconds: float) -> float:
        return 1 + (magnetization - 1) * np.exp(-milliseconds / tissue.t1_ms)

    magnetization = center = 1.0
    for _ in range(cycles):
        magnetization = recover(-scanner.inversion_efficiency * magnetization, before)
        for readout in range(scanner.readouts):
            if readout == scanner.readouts_before_center:
                center = magnetization
            magnetization = recover(magnetization * np.cos(flip), scanner.readout_spacing_ms)
        magnetization = recover(magnetization, rest)
    echoes = np.exp(-np.asarray(scanner.echo_times_ms) / tissue.t2star_ms)
    return tissue.proton_density * abs(center) * np.sin(flip) * np.sqrt(np.mean(echoes**2))


def point_1() -> None:
    """Closed form against the Bloch loop; parameter sets that are refused."""
    worst = max(
        abs(float(signal(tissue, scanner, b1)) / bloch_signal(tissue, scanner, b1) - 1)
        for tissue in tissues().values()
        for scanner in shipped_scanners().values()
        for b1 in (0.8, 1.0, 1.2)
    )
    print(f"1  largest relative deviation from the Bloch loop: {worst:.1e} (wanted < 1e-9)")
    for what, change in (
        ("GE with a cycle of 9500 ms", {"cycle_ms": 9500}),
        ("GE at an inversion time of 300 ms", {"inversion_time_ms": 300}),
        ("GE at a flip angle of 10 degrees", {"flip_degrees": 10}),
    ):
        (scanner,) = make_scanners([{"name": "changed", "like": "GE", **change}])
        try:
            check_contrast(tissues(), scanner)
            print(f"   accepted: {what}")
        except InputError as error:
            print(f"   refused: {what}: {error}")


def people(count: int, voxel_size_mm: int, seed: int) -> Iterator[tuple[str, Anatomy]]:
    """Ids and brains."""
    for number in range(1, count + 1):
        subject = f"{number:02d}"
        yield subject, coarsen(make_anatomy(make_subject(seed, subject), seed), voxel_size_mm)


def point_2(count: int, seed: int) -> None:
    """Fractions, volumes, 2 mm truth against 1 mm truth."""
    volumes, brains, sums, changes = [], [], [], []
    for _, fine in people(count, 1, seed):
        coarse = coarsen(fine, 2)
        sums.append(max(np.abs(anatomy.fractions().sum(axis=0) - 1).max() for anatomy in (fine, coarse)))
        found, at_2mm = fine.volumes_ml(), coarse.volumes_ml()
        volumes.append([found[tissue] for tissue in TISSUES])
        brains.append(np.count_nonzero(fine.mask) / 1000)
        changes.append([abs(at_2mm[tissue] / found[tissue] - 1) for tissue in TISSUES])
    print(f"2  {count} subjects: fractions sum to 1 within {max(sums):.0e} (wanted 1e-5)")
    for name, values, wanted in (
        ("intracranial", brains, "1350..1600"),
        *zip(("CSF", "GM", "WM"), np.transpose(volumes), ("250..450", "580..720", "450..580"), strict=True),
    ):
        print(f"   {name:<13} {np.mean(values):6.0f} +- {np.std(values, ddof=1):.0f} mL (wanted {wanted})")
    print(f"   2 mm truth differs from 1 mm truth by at most {100 * np.max(changes):.2f} % (wanted 1 %)")


def raw_similarity(
    count: int, options: ScanOptions, brains: list[tuple[str, Anatomy]]
) -> dict[tuple[str, str], list[float]]:
    """SSIM of RAW for every pair, a value a subject; the data range is that of the study."""
    scans = {
        subject: {
            scanner.name: simulate_scan(anatomy, scanner, options, subject)[0] for scanner in options.made_scanners()
        }
        for subject, anatomy in brains[:count]
    }
    values = np.concatenate(
        [scans[subject][name][brain.mask] for subject, brain in brains[:count] for name in scans[subject]]
    )
    low, high = np.percentile(values, [0.5, 99.5])
    found: dict[tuple[str, str], list[float]] = {}
    for subject, anatomy in brains[:count]:
        masks = dict.fromkeys(scans[subject], anatomy.mask)
        ends = {"low": low, "high": high, "reference_low": low, "reference_high": high}
        for pair, similarity in pairwise(scans[subject], masks, **ends).items():
            found.setdefault(pair, []).append(similarity.ssim)
    return found


def point_3(count: int, voxel_size_mm: int, seed: int) -> None:
    """SSIM of RAW beside the paper's, and with contrast as the only difference."""
    brains = list(people(count, voxel_size_mm, seed))
    print(f"3  RAW SSIM, {voxel_size_mm} mm, {count} subjects: mean (SD), the paper's (wanted within 0.04)")
    found = raw_similarity(count, ScanOptions(voxel_size_mm=voxel_size_mm, seed=seed), brains)
    only = raw_similarity(
        min(count, 3), ScanOptions(voxel_size_mm=voxel_size_mm, seed=seed, contrast_only=True), brains
    )
    for pair, values in found.items():
        mean, paper = np.mean(values), PAPER_SSIM[pair]
        print(
            f"   {'-'.join(pair):<15} {mean:.3f} ({np.std(values, ddof=1):.3f})   paper {paper:.2f}   "
            f"difference {mean - paper:+.3f}   contrast only {np.mean(only[pair]):.3f}"
        )
    means = {pair: np.mean(values) for pair, values in found.items()}
    print(f"   lowest {'-'.join(min(means, key=means.get))}, highest {'-'.join(max(means, key=means.get))}")


def point_4(count: int, voxel_size_mm: int, seed: int) -> None:
    """GM volume differences (posterior > 0.8) with each scanner's own sequence and with one for all."""
    own = ScanOptions(voxel_size_mm=voxel_size_mm, seed=seed)
    entries = tuple({"name": name, "like": name, "sequence_of": "Prisma"} for name in PAPER_SCANNERS)
    one = ScanOptions(voxel_size_mm=voxel_size_mm, seed=seed, scanners=entries)
    volumes: dict[tuple[str, str, str], float] = {}
    for subject, anatomy in people(count, voxel_size_mm, seed):
        for which, options in (("own", own), ("one", one)):
            for scanner in options.made_scanners():
                image = simulate_scan(anatomy, scanner, options, subject)[0] * SEGMENTER_UNIT
                posteriors = segment(image, anatomy.mask, (voxel_size_mm,) * 3).posteriors
                gm = np.count_nonzero(posteriors[1] > 0.8) * voxel_size_mm**3 / 1000
                volumes[which, subject, scanner.name] = gm
    subjects = sorted({subject for _, subject, _ in volumes})
    print(f"4  GM differences, {voxel_size_mm} mm, {count} subjects, mL (wanted 5..90, halved by one sequence)")
    own_means = []
    for a, b in PAIRS:
        own_mean, one_mean = (
            np.mean([abs(volumes[which, subject, a] - volumes[which, subject, b]) for subject in subjects])
            for which in ("own", "one")
        )
        own_means.append(own_mean)
        print(
            f"   {a + '-' + b:<15} {own_mean:5.1f}   one sequence {one_mean:5.1f} ({one_mean / own_mean:.2f})   "
            f"paper {PAPER_GM[a, b]:.1f}"
        )
    print(f"   correlation with the paper's over pairs {np.corrcoef(own_means, list(PAPER_GM.values()))[0, 1]:.2f}")


def point_5() -> None:
    """Time and memory of whole studies made by hand, and that the same seed gives the same bytes."""
    print("5  study, wall time on 2 processes, CPU time, peak memory of a process")
    for subjects, voxel_size_mm, wanted in ((3, 2, "60 s"), (18, 2, "180 s"), (18, 1, "1200 s, 2.5 GB")):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "studies", "phantom", "--jobs", "2", "--out", folder]
            command += ["--subjects", str(subjects), "--voxel-size-mm", str(voxel_size_mm)]
            begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
            wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        peak = after.ru_maxrss / 1e6
        study = f"{subjects:2d} x 4 at {voxel_size_mm} mm"
        print(f"   {study}   {wall:5.0f} s   {cpu:5.0f} s   {peak:.2f} GB   (wanted {wanted})")


def main() -> None:
    """Print the points asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[1, 2, 3, 4, 5], choices=range(1, 6))
    parser.add_argument("--subjects", type=int, default=18, help="of points 2 and 3 (default: 18)")
    parser.add_argument("--segmented", type=int, default=6, help="subjects of point 4 (default: 6)")
    parser.add_argument("--voxel-size-mm", type=int, nargs="+", default=[1, 2], choices=(1, 2), help="of point 3")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("simulated data, all of it")
    if 1 in arguments.points:
        point_1()
    if 2 in arguments.points:
        point_2(arguments.subjects, arguments.seed)
    if 3 in arguments.points:
        for voxel_size_mm in arguments.voxel_size_mm:
            point_3(arguments.subjects, voxel_size_mm, arguments.seed)
    if 4 in arguments.points:
        point_4(arguments.segmented, 1, arguments.seed)
    if 5 in arguments.points:
        point_5()


if __name__ == "__main__":
    main()
