"""An arm's images segmented, one scan in memory at a time."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from core.errors import Caution
from core.images import save_labels, voxel_sizes, voxel_volume_ml
from core.jobs.command import progress
from core.names import TISSUES
from core.sheet import SESSION
from core.study import Study
from evaluation.arms.images import arm_brain, hard_labels_path, image_path, labels_path, read_arm_image, with_images
from evaluation.arms.intensities import Intensities, map_to_reference
from evaluation.arms.parts import VOLUME_COLUMNS
from evaluation.label_trust import counts_in_words
from evaluation.measures.volumes import label_volumes
from segmentation import labels_at, segment, volumes_ml
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
) -> pd.DataFrame:
    """Segment an arm's images of every scan and rescan of `study`; writes labels into `out`, returns the volumes.

    With `hard` the most probable tissue of every voxel is written beside the labels, whatever the rule.

    A rescan that the arm has no image of is left out; a `Caution` says whether labels are in doubt. Raises
    `InputError` for a scan that cannot be segmented; nothing stands for it.
    """
    rows = []
    for scan in progress(with_images(images, study), what=f"segmentation of {arm}"):
        mask = scan.read_mask()
        image = read_arm_image(images, scan, mask)
        brain = arm_brain(images, scan, image, mask)
        segmentation = segment(
            map_to_reference(image, brain, intensities, reference),
            brain,
            voxel_sizes(scan.affine),
            engine=engine,
            threads=threads,
            partial_volumes=True,
            name=str(image_path(images, scan)),
        )
        labels = labels_at(segmentation, rule, threshold)
        save_labels(labels_path(out, scan), labels, scan.affine)
        if hard:
            save_labels(hard_labels_path(out, scan), segmentation.labels, scan.affine)
        voxel_ml = voxel_volume_ml(scan.affine)
        at_rule = label_volumes(labels, voxel_ml)
        by_rule = volumes_ml(segmentation, voxel_ml, threshold=threshold)
        reach = dict(zip(TISSUES, reaches(segmentation.means, segmentation.variances), strict=True))
        rows += [
            {
                "method": arm,
                "subject": scan.subject,
                "scanner": scan.scanner,
                SESSION: scan.session,
                "rescan": scan.rescan,
                "tissue": tissue,
                "volume_ml": at_rule[tissue],
                "volume_ml_hard": by_rule["hard"][tissue],
                "volume_ml_pve": by_rule["partial_volume_sum"][tissue],
                "volume_ml_posterior": by_rule["posterior"][tissue],
                "volume_ml_pve_threshold": by_rule["partial_volume"][tissue],
                "engine": segmentation.engine,
                "rule": rule if rule == "hard" else f"{rule} {threshold:g}",
                "reach": reach[tissue],
            }
            for tissue in TISSUES
        ]
    table = pd.DataFrame(rows, columns=VOLUME_COLUMNS)
    for words in counts_in_words(table).values():
        warnings.warn(Caution(f"labels in doubt: {words}"), stacklevel=2)
    return table
