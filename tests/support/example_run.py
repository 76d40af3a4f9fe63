"""A small, whole run folder of made-up numbers, for tests of what is drawn and written from a run.

Nothing in it was measured: brains are ellipsoids with seeded noise, and the measures are seeded random
numbers in plausible ranges.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.files import write_json, write_table, write_text
from core.images import save_image, save_labels
from core.run_folder import scan_name

MADE_UP = "made up for tests"
TISSUES = ("CSF", "GM", "WM")
PAPER_SCANNERS = ("GE", "Philips", "Prisma", "Trio")
PAPER_METHODS = ("raw", "whitestripe", "ravel", "mispel")
TRUE_ML = {"CSF": 300.0, "GM": 640.0, "WM": 500.0}

Brain = Callable[[np.random.Generator], np.ndarray]


def ellipsoid(shape: tuple[int, int, int]) -> np.ndarray:
    """Labels (X, Y, Z) of a brain of shells: 1 CSF outside, 2 GM, 3 WM inside, 0 around it."""
    axes = [np.linspace(-1, 1, size) for size in shape]
    radius = np.sqrt(sum(grid**2 for grid in np.meshgrid(*axes, indexing="ij")))
    return np.select([radius < 0.55, radius < 0.8, radius < 0.9], [3, 2, 1], 0).astype(np.uint8)


def write_example_run(
    folder: Path,
    *,
    subjects: int = 5,
    scanners: Sequence[str] = PAPER_SCANNERS,
    methods: Sequence[str] = PAPER_METHODS,
    shape: tuple[int, int, int] = (20, 24, 20),
    simulated: bool = True,
    missing: Sequence[tuple[str, str]] = (),
    failed: Sequence[str] = (),
    seed: int = 0,
    anatomy: tuple[np.ndarray, np.ndarray] | None = None,
) -> Path:
    """Write a run of made-up numbers into `folder` and return it.

    `missing` names scans (subject, scanner) that don't exist; `failed` are methods that left nothing but
    a reason. `anatomy` is an image (X, Y, Z) with 0 outside the brain and its affine, to be shown
    instead of ellipsoids.
    """
    generator = np.random.default_rng(seed)
    people = [f"{number:02d}" for number in range(1, subjects + 1)]
    scans = [scan for scan in itertools.product(people, scanners) if scan not in set(missing)]
    # a run's scanners are in the order of its sheet
    scanners = list(dict.fromkeys(scanner for _, scanner in scans))
    fine = [method for method in methods if method not in failed]
    _write_sheet(folder, scans, simulated)
    _write_images(folder, scans, scanners, fine, shape, generator, anatomy)
    differences = _write_metrics(folder, scans, scanners, fine, simulated, generator)
    _write_statistics(folder, differences, fine)
    _write_tables(folder, scanners, fine, simulated)
    if "mispel" in fine:
        _write_training(folder, scanners, shape, generator)
    _write_records(folder, methods, failed, seed)
    return folder


def _write_sheet(folder: Path, scans: Sequence[tuple[str, str]], simulated: bool) -> None:
    rows = []
    for subject, scanner in scans:
        row = {
            "subject": subject,
            "scanner": scanner,
            "image": f"scans/{scan_name(subject, scanner)}_T1w.nii.gz",
            "mask": f"scans/{scan_name(subject, scanner)}_mask.nii.gz",
            "age": 60 + int(subject),
        }
        rows.append({**row, "simulated": "simulated"} if simulated else row)
    write_table(folder / "scans.tsv", pd.DataFrame(rows))


def _write_images(
    folder: Path,
    scans: Sequence[tuple[str, str]],
    scanners: Sequence[str],
    methods: Sequence[str],
    shape: tuple[int, int, int],
    generator: np.random.Generator,
    anatomy: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    if anatomy is None:
        labels, affine = ellipsoid(shape), np.diag([4.0, 4.0, 4.0, 1.0])
        brain = np.array([0.0, 0.4, 0.9, 1.3])[labels]
    else:
        brain, affine = anatomy
        brain = brain / brain[brain != 0].mean()
        labels = np.digitize(brain, [1e-6, 0.6, 1.05]).astype(np.uint8)
    inside = brain != 0
    for subject, scanner in scans:
        place = list(scanners).index(scanner)
        for number, method in enumerate(methods):
            effect = (place - 1) * (0.28 if method != "mispel" else 0.04)
            image = np.where(inside, brain, 1.0) ** (1 + effect)
            image = image * (1 + 0.05 * generator.standard_normal(image.shape))
            if method in ("whitestripe", "ravel"):
                image = (image - 1.3) * 8
            image = np.where(inside, image + 1e-4 * number, 0)
            save_image(folder / "images" / method / f"{scan_name(subject, scanner)}_T1w.nii.gz", image, affine)
            save_labels(
                folder / "segmentations" / method / f"{scan_name(subject, scanner)}_dseg.nii.gz", labels, affine
            )


def _write_metrics(
    folder: Path,
    scans: Sequence[tuple[str, str]],
    scanners: Sequence[str],
    methods: Sequence[str],
    simulated: bool,
    generator: np.random.Generator,
) -> pd.DataFrame:
    pairs = list(itertools.combinations(scanners, 2))
    subjects = list(dict.fromkeys(subject for subject, _ in scans))
    offsets = {scanner: generator.normal(0, 30) for scanner in scanners}
    size = {subject: generator.normal(1, 0.08) for subject in subjects}
    ssim, volumes, differences, dice, truth, likeness, edges = ([] for _ in range(7))
    for number, method in enumerate(methods):
        left = 1 / (1 + number)
        for subject, scanner in scans:
            for tissue in TISSUES:
                true_ml = TRUE_ML[tissue] * size[subject]
                volume = true_ml - 40 + left * offsets[scanner] + generator.normal(0, 4)
                key = {"method": method, "subject": subject, "scanner": scanner, "tissue": tissue}
                rules = {"": 1.0, "_hard": 1.1, "_pve": 1.05, "_posterior": 1.0, "_pve_threshold": 0.8}
                by_rule = {f"volume_ml{rule}": volume * factor for rule, factor in rules.items()}
                volumes.append({**key, **by_rule, "engine": "hmrf", "rule": "posterior 0.8"})
                truth.append(
                    {
                        **key,
                        "true_volume_ml": true_ml,
                        "volume_error_ml": volume - true_ml,
                        "volume_error_ml_hard": volume * 1.1 - true_ml,
                        "volume_error_ml_pve": volume * 1.05 - true_ml,
                        "dice_truth": generator.uniform(0.8, 0.9),
                    }
                )
            layers = dict(zip(("bias_1", "bias_2", "bias_3_4", "bias_deeper"), (-0.02, -0.01, 0.0, 0.01), strict=True))
            biases = {name: bias if number else 0.0 for name, bias in layers.items()}
            key = {"method": method, "subject": subject, "scanner": scanner}
            edges.append({**key, **biases, "edge_bias": biases["bias_1"] - biases["bias_deeper"]})
            likes = {name: generator.uniform(0.7, 0.9) for name in ("ssim_truth", "ssim_truth_mean", "pearson_truth")}
            likeness.append({**key, **likes})
        found = {(row["subject"], row["scanner"], row["tissue"]): row for row in volumes[-len(scans) * 3 :]}
        for subject, (a, b) in itertools.product(subjects, pairs):
            if (subject, a) not in scans or (subject, b) not in scans:
                continue
            key = {"method": method, "subject": subject, "scanner_a": a, "scanner_b": b}
            alike = 0.75 + 0.03 * min(number, 5) + generator.normal(0, 0.02)
            ceiling = alike + 0.02 if method == "raw" else None
            others = {"ssim_own_scale": alike - 0.01, "ssim_2d": alike - 0.02, "ssim_grid": alike + 0.1}
            ssim.append({**key, "ssim": alike, **others, "ssim_affine_ceiling": ceiling, "pearson": alike + 0.05})
            for tissue in TISSUES:
                row = {**key, "tissue": tissue}
                for rule in ("", "_pve", "_hard"):
                    one, other = (found[subject, scanner, tissue][f"volume_ml{rule}"] for scanner in (a, b))
                    row |= {f"difference_ml{rule}": one - other, f"absolute_difference_ml{rule}": abs(one - other)}
                differences.append(row)
                dice.append({**key, "tissue": tissue, "dice": 0.8 + 0.03 * min(number, 4) + generator.normal(0, 0.02)})
    by_pair = pd.DataFrame(differences)
    rmse = []
    for (method, a, b, tissue), part in by_pair.groupby(["method", "scanner_a", "scanner_b", "tissue"], sort=False):
        value = float(np.sqrt((part["difference_ml"] ** 2).mean()))
        key = {"method": method, "scanner_a": a, "scanner_b": b, "tissue": tissue}
        rmse.append({**key, "rmse_ml": value, "ci_low": 0.8 * value, "ci_high": 1.25 * value, "n": len(part)})
    tables = {"ssim": ssim, "volumes": volumes, "volume_differences": differences, "dice": dice, "rmse": rmse}
    tables["edge"] = edges
    if simulated:
        tables |= {"truth": truth, "truth_similarity": likeness}
    for name, rows in tables.items():
        write_table(folder / "metrics" / f"{name}.tsv", pd.DataFrame(rows))
    return by_pair


def _write_statistics(folder: Path, differences: pd.DataFrame, methods: Sequence[str]) -> None:
    pairs = list(dict.fromkeys(zip(differences["scanner_a"], differences["scanner_b"], strict=True)))
    rows = []
    for measure, tissues in (("ssim", ("n/a",)), ("volume_difference", TISSUES), ("dice", TISSUES)):
        sign = -1 if measure == "volume_difference" else 1
        for tissue, (a, b), method in itertools.product(tissues, pairs, methods):
            compared = method != "raw"
            rows.append(
                {
                    "measure": measure,
                    "tissue": tissue,
                    "scanner_a": a,
                    "scanner_b": b,
                    "method": method,
                    "reference": "raw",
                    "n": 5,
                    "mean": 0.8,
                    "reference_mean": 0.7,
                    "mean_difference": 0.1 * sign if compared else None,
                    "t": 3.0 if compared else None,
                    "df": 4 if compared else None,
                    "p": 0.01 if compared else None,
                    "p_holm": 0.04 if compared else None,
                    "p_bh": 0.02 if compared else None,
                    "dz": 1.0 if compared else None,
                    "better": "yes" if compared else "n/a",
                    "significant": "yes" if method == "mispel" else "no",
                }
            )
    write_table(folder / "statistics" / "paired_tests.tsv", pd.DataFrame(rows))


def _write_tables(folder: Path, scanners: Sequence[str], methods: Sequence[str], simulated: bool) -> None:
    pairs = [f"{a}-{b}" for a, b in itertools.combinations(scanners, 2)]
    for name, what, tissues, best in (
        ("table2_ssim", "SSIM", ("n/a",), 0.84),
        ("table3_volume_differences", "Differences of volumes, mL,", TISSUES, 12.3),
    ):
        rows = [
            {
                "tissue": tissue,
                "method": method,
                "label": method,
                "pair": pair,
                "n": 5,
                "mean": best if method == "mispel" else 0.75 if name == "table2_ssim" else 45.6,
                "sd": 0.04,
                "best": "yes" if method == "mispel" else "no",
                "significant": "yes" if method == "mispel" else "n/a" if method == "raw" else "no",
            }
            for tissue in tissues
            for method in methods
            for pair in pairs
        ]
        write_table(folder / "tables" / f"{name}.tsv", pd.DataFrame(rows))
        write_text(folder / "tables" / f"{name}.md", _markdown(rows, what, pairs, simulated))


def _markdown(rows: Sequence[dict], what: str, pairs: Sequence[str], simulated: bool) -> str:
    lines = [f"### {what} between scanners{' (simulated)' if simulated else ''}", ""]
    lines.append(f"| {' | '.join(['Tissue', 'Method', 'n', *pairs])} |")
    lines.append(f"| {' | '.join(['---'] * (len(pairs) + 3))} |")
    for start in range(0, len(rows), len(pairs)):
        part = rows[start : start + len(pairs)]
        cells = [
            f"**{cell['mean']}** ({cell['sd']})\\*" if cell["best"] == "yes" else f"{cell['mean']} ({cell['sd']})"
            for cell in part
        ]
        lines.append(f"| {' | '.join([part[0]['tissue'], part[0]['label'], '5', *cells])} |")
        if part[0]["method"] == "raw":
            paper = ["0.78 (0.04)"] * len(pairs)
            lines.append(f"| {' | '.join([part[0]['tissue'], 'raw, paper', '18', *paper])} |")
    note = r"Mean (SD) over subjects; bold: best; \*: significantly better than RAW. Numbers " + MADE_UP + "."
    return "\n".join([*lines, "", note, ""])


def _write_training(
    folder: Path, scanners: Sequence[str], shape: tuple[int, int, int], generator: np.random.Generator
) -> None:
    rows = []
    for step, epochs in ((1, 12), (2, 20)):
        for epoch in range(1, epochs + 1):
            row = {"step": step, "epoch": epoch, "total": 1 / epoch, "reconstruction": 0.6 / epoch}
            row |= {"coupling": 0.1 / epoch if step == 1 else None, "harmonization": 0.3 / epoch if step == 2 else None}
            rows.append(row)
    model = folder / "models" / "mispel"
    write_table(model / "losses.tsv", pd.DataFrame(rows))
    plane = ellipsoid(shape)[:, :, shape[2] // 2].T[::-1].astype(np.float32)
    noise = generator.normal(0, 0.1, (len(scanners), 6, *plane.shape))
    embeddings = plane * np.arange(1, 7).reshape(1, 6, 1, 1) * 0.2 + noise
    np.savez(
        model / "embeddings.npz",
        embeddings=embeddings.astype(np.float32),
        images=embeddings.sum(axis=1),
        outputs=embeddings.sum(axis=1),
        scanners=list(scanners),
        subject="01",
        slice=10,
    )


def _write_records(folder: Path, methods: Sequence[str], failed: Sequence[str], seed: int) -> None:
    rows = []
    for number, method in enumerate(methods):
        for step in ("fit", "apply", "segment", "measure"):
            row = {"method": method, "step": step, "status": "ok", "reason": None}
            if method in failed:
                reason = "no control voxel is CSF in all images; try prob 0.9"
                row |= {"status": "failed", "reason": reason if step == "fit" else f"at step fit: {reason}"}
            rows.append({**row, "seconds": 1.5 + number, "peak_mb": 300.0 + number, "device": "cpu"})
    write_table(folder / "status.tsv", pd.DataFrame(rows))
    labels = {"raw": "RAW", "whitestripe": "WS", "ravel": "RAVEL", "mispel": "MISPEL"}
    write_table(
        folder / "arms.tsv",
        pd.DataFrame(
            {
                "arm": method,
                "method": method,
                "label": labels.get(method, method),
                "citation": "somebody, somewhere",
                "limits": "it cannot do everything",
                "control": "no",
                "parameters": "{}",
            }
            for method in methods
        ),
    )
    write_json(
        folder / "provenance.json",
        {
            "note": MADE_UP,
            "config": {
                "run": "example",
                "seed": seed,
                "methods": {method: {} for method in methods},
                "scale": "brain",
                "study": {"source": "phantom", "phantom": {"voxel_size_mm": 2}},
                "segmentation": {"engine": "hmrf", "rule": "posterior", "threshold": 0.8},
                "evaluation": {"primary": {"measure": "volume_difference_pve", "tissue": "GM"}},
            },
            "seeds": {"study": seed},
            "versions": {"python": "3.11", "numpy": "2.0"},
            "machine": {"processor": "made up", "cores": 2, "date": "2021-10-11", "python": "3.11"},
            "git": {"commit": "0" * 40, "changed_files": False},
            "project_version": "0.0.0",
            "inputs": {"scans.tsv": "0" * 64},
        },
    )
