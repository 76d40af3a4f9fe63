"""An arm's images segmented, one scan in memory at a time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import Caution
from core.images import save_labels, voxel_sizes, voxel_volume_ml
from core.jobs.command import progress
from core.names import RAW, TISSUES
from core.sheet import SESSION, TIME
from core.study import Scan, Study
from evaluation.arms.images import arm_brain, hard_labels_path, image_path, labels_path, read_arm_image, with_images
from evaluation.arms.intensities import Intensities, map_to_reference
from evaluation.arms.parts import ENGINE_COLUMNS, REGION_COLUMNS, VOLUME_COLUMNS
from evaluation.label_trust import counts_in_words
from evaluation.measures.overlap import dice_by_tissue
from evaluation.regions import blocks
from segmentation import Segmentation, labels_at, segment, volumes_by_region_ml, volumes_ml
from segmentation.spread import reaches
from segmentation.thresholds import Rule


def segment_arm(
    study: Study,
    *,
    arm: str,
    images: Path,
    intensities: Intensities,
    reference: Intensities,
    engine: str,
    rule: Rule,
    threshold: float,
    threads: int,
    out: Path,
    hard: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Segment an arm's images of every scan, rescan and follow-up of `study`; writes labels into `out`.

    Returns the volumes (`VOLUME_COLUMNS`), and those by region (`REGION_COLUMNS`).

    With `hard` the most probable tissue of every voxel is written beside the labels, whatever the rule.

    A rescan or follow-up that the arm has no image of is left out; a `Caution` says whether labels are in doubt. Raises
    `InputError` for a scan that cannot be segmented; nothing stands for it.
    """
    rows, region_rows = [], []
    regions, count = blocks(study.shape, study.affine)
    for scan in progress(with_images(images, study), what=f"segmentation of {arm}"):
        image, brain = mapped_brain(images, scan, intensities, reference)
        segmentation = segmented(image, brain, scan, images, engine=engine, threads=threads)
        save_labels(labels_path(out, scan), labels_at(segmentation, rule, threshold), scan.affine)
        if hard:
            save_labels(hard_labels_path(out, scan), segmentation.labels, scan.affine)
        by_rule = volumes_by_region_ml(segmentation, regions, count, voxel_volume_ml(scan.affine), threshold=threshold)
        whole = {name: volumes.sum(axis=0) for name, volumes in by_rule.items()}
        identity = identity_of(arm, scan)
        rows += rows_of(identity, segmentation, whole, rule, threshold)
        for place, tissue in enumerate(TISSUES):
            region_rows += [
                {
                    **identity,
                    "region": region,
                    "tissue": tissue,
                    **{column: by_rule[name][region, place] for column, name in columns_of(rule).items()},
                }
                for region in range(count)
            ]
    table = pd.DataFrame(rows, columns=VOLUME_COLUMNS)
    # of follow-ups it isn't told: what is said of an arm is said of the study at time 0
    for words in counts_in_words(table[table[TIME] == 0]).values():
        warnings.warn(Caution(f"labels in doubt: {words}"), stacklevel=2)
    return table, pd.DataFrame(region_rows, columns=REGION_COLUMNS)


def resegment_arm(
    study: Study,
    *,
    arm: str,
    images: Path,
    intensities: Intensities,
    reference: Intensities,
    engines: Sequence[str],
    rule: Rule,
    threshold: float,
    threads: int,
) -> pd.DataFrame:
    """Volumes of an arm's images of every scan by further engines (`ENGINE_COLUMNS`), of RAW's rescans too.

    Other arms' rescans are compared with nothing, and engines may be slow; no labels are kept.
    `dice_truth` is that of the labels by the run's rule with the true ones, where they are known. Raises
    `InputError` as `segment_arm` does.
    """
    rows = []
    scans = with_images(images, study.without_follow_ups()) if arm == RAW else study.scans
    for scan in progress(scans, what=f"segmentation of {arm} by {', '.join(engines)}"):
        image, brain = mapped_brain(images, scan, intensities, reference)
        truth = scan.file("truth_labels")
        true_labels = None if truth is None else scan.load(truth).astype(np.uint8)
        for engine in engines:
            found = segmented(image, brain, scan, images, engine=engine, threads=threads)
            volumes = volumes_ml(found, voxel_volume_ml(scan.affine), threshold=threshold)
            whole = {name: np.array(list(by_tissue.values())) for name, by_tissue in volumes.items()}
            overlap = (
                dict.fromkeys(TISSUES, math.nan)
                if true_labels is None
                else dice_by_tissue(labels_at(found, rule, threshold), true_labels)
            )
            rows += [
                {**row, "dice_truth": overlap[row["tissue"]]}
                for row in rows_of(identity_of(arm, scan), found, whole, rule, threshold)
            ]
    return pd.DataFrame(rows, columns=ENGINE_COLUMNS)


def mapped_brain(
    images: Path, scan: Scan, intensities: Intensities, reference: Intensities
) -> tuple[np.ndarray, np.ndarray]:
    """An arm's image of a scan (X, Y, Z) as segmenters see it, mapped onto RAW's scale, and its brain, bool."""
    mask = scan.read_mask()
    image = read_arm_image(images, scan, mask)
    brain = arm_brain(images, scan, image, mask)
    return map_to_reference(image, brain, intensities, reference), brain


def segmented(
    image: np.ndarray, brain: np.ndarray, scan: Scan, images: Path, *, engine: str, threads: int
) -> Segmentation:
    """What `mapped_brain` gave of a scan, segmented; an `InputError` names the file in the folder `images`."""
    return segment(
        image,
        brain,
        voxel_sizes(scan.affine),
        engine=engine,
        threads=threads,
        partial_volumes=True,
        affine=scan.affine,
        name=str(image_path(images, scan)),
    )


def identity_of(arm: str, scan: Scan) -> dict[str, Any]:
    """The columns that say whose image of which scan a row is about."""
    return {
        "method": arm,
        "subject": scan.subject,
        "scanner": scan.scanner,
        SESSION: scan.session,
        "rescan": scan.rescan,
        TIME: scan.time,
    }


def rows_of(
    identity: Mapping[str, Any], found: Segmentation, whole: Mapping[str, np.ndarray], rule: Rule, threshold: float
) -> list[dict[str, Any]]:
    """A row a tissue (`VOLUME_COLUMNS`); `whole` are the volumes (3,) in mL by rule (`volumes_by_region_ml`)."""
    return [
        {
            **identity,
            "tissue": tissue,
            **{column: whole[name][place] for column, name in columns_of(rule).items()},
            "engine": found.engine,
            "rule": rule if rule == "hard" else f"{rule} {threshold:g}",
            "reach": reach,
        }
        for place, (tissue, reach) in enumerate(zip(TISSUES, reaches(found.means, found.variances), strict=True))
    ]


def columns_of(rule: Rule) -> dict[str, str]:
    """By column of volumes the rule, or the sum of partial volumes, that it is by; `rule` is the run's own."""
    return {
        "volume_ml": rule,
        "volume_ml_hard": "hard",
        "volume_ml_pve": "partial_volume_sum",
        "volume_ml_posterior": "posterior",
        "volume_ml_pve_threshold": "partial_volume",
    }
