"""Print how well the phantom reaches what it was designed for, point by point.

    python benchmarks/phantom.py                       all five points, about half an hour on two cores
    python benchmarks/phantom.py --points 1 2          only these
    python benchmarks/phantom.py --points 3 --subjects 6 --voxel-size-mm 2 --variant noise_heavy

1 the signal's closed form against a Bloch loop; 2 fractions and volumes; 3 similarity of scanners and of
rescans beside the paper's Table 2 and real rescans, White Stripe's gain, volume differences, share of scanner
variance by variant; 4 gray-matter differences between scanners, and how many are left when all scanners run
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
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from baselines.whitestripe import normalize, white_stripe
from core.errors import InputError
from core.names import SEGMENTER_SCALE, TISSUES
from evaluation.measures.interface import Range
from evaluation.measures.similarity import pairwise
from segmentation import segment
from studies.simulation.anatomy import Anatomy, coarsen, make_anatomy
from studies.simulation.options import PAPER_SCANNERS, ScanOptions
from studies.simulation.people import make_subject
from studies.simulation.physics import CALIBRATED, Scanner, Tissue, make_scanners, shipped_scanners, tissues, variants
from studies.simulation.signal import check_contrast, signal
from studies.simulation.truth import simulate_scan

PAIRS = list(itertools.combinations(PAPER_SCANNERS, 2))
PAPER_SSIM = dict(zip(PAIRS, (0.75, 0.78, 0.78, 0.81, 0.81, 0.87), strict=True))
PAPER_GM = dict(zip(PAIRS, (30.01, 81.53, 59.72, 63.67, 41.20, 24.28), strict=True))
SESSIONS = ("1", "2")
REAL_RESCANS = {2: 0.978, 1: 0.940}
"""SSIM of two sessions on one scanner: five people (three at 1 mm) of OASIS, 1.5 T, means of several acquisitions."""

REAL_RESCAN_VOLUMES = {
    2: "GM 34.4, 8.3, 8.6   WM 4.6, 5.7, 6.5   CSF 17.2, 15.0, 15.4",
    1: "GM 6.0, 6.4, 7.8   WM 4.9, 4.6, 5.1   CSF 9.1, 10.0, 11.1",
}
"""|dV| of the same people in mL, each person's mask from the registration of each scan."""


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


Scans = dict[str, dict[tuple[str, str], np.ndarray]]
"""By subject and (scanner, session): images (X, Y, Z)."""


def scanned(brains: list[tuple[str, Anatomy]], options: ScanOptions, sessions: Sequence[str] = SESSIONS) -> Scans:
    """Every scan of these people."""
    return {
        subject: {
            (scanner.name, session): simulate_scan(anatomy, scanner, options, subject, session)[0]
            for scanner in options.made_scanners()
            for session in sessions
        }
        for subject, anatomy in brains
    }


def ends(scans: Scans, masks: dict[str, np.ndarray]) -> Range:
    """The 0.5th and 99.5th percentile of the brain voxels of all images."""
    values = np.concatenate([image[masks[subject]] for subject, images in scans.items() for image in images.values()])
    low, high = np.percentile(values, [0.5, 99.5])
    return Range(float(low), float(high))


def similarities(
    scans: Scans, masks: dict[str, np.ndarray], reference: Range | None = None
) -> dict[tuple[str, str], list[float]]:
    """SSIM on RAW's scale, a value a subject: of first sessions by pair, of a scanner's two by (scanner, scanner).

    `reference`: RAW's range, if these scans aren't RAW.
    """
    own = ends(scans, masks)
    found: dict[tuple[str, str], list[float]] = {}
    for subject, images in scans.items():
        names = list(dict.fromkeys(scanner for scanner, _ in images))
        groups = [{name: images[name, SESSIONS[0]] for name in names}]
        groups += [
            {session: images[name, session] for session in SESSIONS if (name, session) in images} for name in names
        ]
        for key, group in zip((None, *names), groups, strict=True):
            inside = dict.fromkeys(group, masks[subject])
            for pair, similarity in pairwise(group, inside, own=own, reference=reference or own).items():
                found.setdefault(pair if key is None else (key, key), []).append(similarity.ssim)
    return found


def striped(scans: Scans, masks: dict[str, np.ndarray]) -> Scans:
    """The scans after White Stripe."""
    return {
        subject: {
            key: normalize(image, masks[subject], white_stripe(image[masks[subject]])) for key, image in images.items()
        }
        for subject, images in scans.items()
    }


def variance_parts(values: np.ndarray) -> tuple[float, float]:
    """Variance between scanners and between rescans of one person's voxels (scanners, sessions, n), means over voxels.

    One-way random effects by the method of moments: the mean square between the scanners' means, less
    the one within scanners, over the number of sessions; and the one within.
    """
    sessions = values.shape[1]
    within = values.var(axis=1, ddof=1).mean(dtype=np.float64)
    between = sessions * values.mean(axis=1).var(axis=0, ddof=1).mean(dtype=np.float64)
    return float((between - within) / sessions), float(within)


def share_of_scanner_variance(scans: Scans, masks: dict[str, np.ndarray]) -> float:
    """Variance between scanners over that between scanners plus that between rescans, of voxel intensities.

    Both are means over the brain's voxels (`variance_parts`), summed over people, of RAW, whose images
    are divided by their means. 0: a scanner differs from another as it does from itself; 1: rescans are alike.
    """
    parts = [
        variance_parts(
            np.stack(
                [
                    [images[name, session][masks[subject]] for session in SESSIONS]
                    for name in dict.fromkeys(name for name, _ in images)
                ]
            )
        )
        for subject, images in scans.items()
    ]
    between, within = np.sum(parts, axis=0)
    return float(between / (between + within))


def point_3(count: int, voxel_size_mm: int, seed: int, variant: str, segmented: int) -> None:
    """SSIM of RAW and White Stripe by pair and of rescans by scanner; volumes; the variants' shares."""
    brains = list(people(count, voxel_size_mm, seed))
    masks = {subject: anatomy.mask for subject, anatomy in brains}
    options = ScanOptions(voxel_size_mm=voxel_size_mm, seed=seed, variant=variant)
    scans = scanned(brains, options)
    reference = ends(scans, masks)
    raw, stripe = similarities(scans, masks), similarities(striped(scans, masks), masks, reference)
    bare = scanned(brains, replace(options, contrast_only=True), SESSIONS[:1])
    contrast = similarities(bare, masks)
    print(f"3  SSIM on RAW's scale, {variant}, {voxel_size_mm} mm, {count} subjects: mean (SD over subjects)")
    print(f"   {'rescans':<15} RAW             WS     real rescans (1.5 T, averaged) {REAL_RESCANS[voxel_size_mm]:.3f}")
    for name in PAPER_SCANNERS:
        key = name, name
        print(f"   {name:<15} {in_words(raw[key])}   {np.mean(stripe[key]):.3f}")
    print(f"   {'pairs':<15} RAW             WS     gain    paper (1 mm)   RAW less paper   contrast alone")
    for pair in PAIRS:
        mean, paper = np.mean(raw[pair]), PAPER_SSIM[pair]
        gain = np.mean(stripe[pair]) - mean
        print(
            f"   {'-'.join(pair):<15} {in_words(raw[pair])}   {np.mean(stripe[pair]):.3f}  {gain:+.3f}  {paper:.2f}"
            f"           {mean - paper:+.3f}           {np.mean(contrast[pair]):.3f}"
        )
    for label, keys in (("all rescans", [(name, name) for name in PAPER_SCANNERS]), ("all pairs", PAIRS)):
        before, after = (np.mean([found[key] for key in keys]) for found in (raw, stripe))
        print(f"   {label:<15} {before:.3f}           {after:.3f}  {after - before:+.3f}")
    for other in variants():
        these = scans if other == variant else scanned(brains, replace(options, variant=other))
        print(f"   share of scanner variance, {other:<15} {share_of_scanner_variance(these, masks):.2f}")
    if segmented:
        volume_differences(brains[:segmented], scans, voxel_size_mm)


def volume_differences(brains: list[tuple[str, Anatomy]], scans: Scans, voxel_size_mm: int) -> None:
    """Mean absolute volume differences of RAW, between scanners and between rescans, by the three rules."""
    volumes: dict[tuple[str, str, str], np.ndarray] = {}
    for subject, anatomy in brains:
        for (name, session), image in scans[subject].items():
            found = segment(image * SEGMENTER_SCALE, anatomy.mask, (voxel_size_mm,) * 3, partial_volumes=True)
            volumes[subject, name, session] = np.array(
                [
                    [np.count_nonzero(posterior > 0.8) for posterior in found.posteriors],
                    [np.count_nonzero(found.labels == label) for label in (1, 2, 3)],
                    found.partial_volumes.sum(axis=(1, 2, 3), dtype=np.float64),  # type: ignore[union-attr]
                ]
            ) * (voxel_size_mm**3 / 1000)
    first, second = SESSIONS
    subjects = [subject for subject, _ in brains]
    cross = [abs(volumes[s, a, first] - volumes[s, b, first]) for s in subjects for a, b in PAIRS]
    rescans = [abs(volumes[s, name, first] - volumes[s, name, second]) for s in subjects for name in PAPER_SCANNERS]
    print(f"   |dV| of RAW, mL, {len(subjects)} subjects; posterior > 0.8, hard label, partial-volume sum")
    for label, differences in (("scanners", cross), ("rescans", rescans)):
        by_rule = np.mean(differences, axis=0)
        cells = (
            f"{tissue} " + ", ".join(f"{value:.1f}" for value in by_rule[:, TISSUES.index(tissue)])
            for tissue in ("GM", "WM", "CSF")
        )
        print(f"   {label:<15} {'   '.join(cells)}")
    if voxel_size_mm in REAL_RESCAN_VOLUMES:
        print(f"   {'real rescans':<15} {REAL_RESCAN_VOLUMES[voxel_size_mm]}")


def in_words(values: list[float]) -> str:
    """Mean and SD; of one value no SD."""
    return f"{np.mean(values):.3f} ({np.std(values, ddof=1):.3f})" if len(values) > 1 else f"{values[0]:.3f}        "


def point_4(count: int, voxel_size_mm: int, seed: int, variant: str) -> None:
    """GM volume differences (posterior > 0.8) with each scanner's own sequence and with one for all."""
    own = ScanOptions(voxel_size_mm=voxel_size_mm, seed=seed, variant=variant)
    entries = tuple({"name": name, "like": name, "sequence_of": "Prisma"} for name in PAPER_SCANNERS)
    one = replace(own, scanners=entries)
    volumes: dict[tuple[str, str, str], float] = {}
    for subject, anatomy in people(count, voxel_size_mm, seed):
        for which, options in (("own", own), ("one", one)):
            for scanner in options.made_scanners():
                image = simulate_scan(anatomy, scanner, options, subject)[0] * SEGMENTER_SCALE
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
    parser.add_argument("--segmented", type=int, default=6, help="subjects segmented in points 3 and 4 (default: 6)")
    parser.add_argument("--variant", choices=variants(), default=CALIBRATED, help="of points 3 and 4")
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
            point_3(arguments.subjects, voxel_size_mm, arguments.seed, arguments.variant, arguments.segmented)
    if 4 in arguments.points:
        point_4(arguments.segmented, 1, arguments.seed, arguments.variant)
    if 5 in arguments.points:
        point_5()


if __name__ == "__main__":
    main()
