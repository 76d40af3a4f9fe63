"""What an arm gives of held-out people brought to the tables of a run's parts: its images segmented and measured."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from core import folds
from core.errors import InputError
from core.files import read_table, write_table
from core.names import RAW
from core.study import Study
from evaluation.arms.measuring import PersonMeasures, measure_arm
from evaluation.arms.parts import VOLUMES, join, part_path
from evaluation.arms.ranges import WHOLE, ArmImages
from evaluation.arms.segmenting import segment_arm
from segmentation.thresholds import Rule

ALL = "all"
"""What the batch of all held-out people is called."""


def judge_images(
    study: Study,
    fold: str,
    *,
    arm: str,
    images: Path,
    raw_images: Path,
    raw_segmentations: Path,
    engine: str,
    rule: Rule,
    threshold: float,
    threads: int,
    out: Path,
) -> None:
    """Segment and measure an arm's images of the people of a fold; writes their parts into `out`.

    The range of intensities that takes them to RAW's scale is that of the others' images, whom the arm was fitted on,
    as in a held-out run; labels aren't kept. Raises `InputError` as `segment_arm` does.
    """
    judged, learned = folds.parted(study, fold)
    own, reference = (
        ArmImages(owner, learned, folder).ranges()[WHOLE] for owner, folder in ((arm, images), (RAW, raw_images))
    )
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder)
        volumes, _ = segment_arm(
            judged,
            arm=arm,
            images=images,
            intensities=own,
            reference=reference,
            engine=engine,
            rule=rule,
            threshold=threshold,
            threads=threads,
            out=labels,
        )
        write_table(part_path(out, VOLUMES, ALL), volumes)
        measures = PersonMeasures()
        measure_arm(
            measures,
            study,
            judged.subjects,
            arm=arm,
            images=images,
            segmentations=labels,
            reference_segmentations=raw_segmentations,
            intensities=own,
            reference=reference,
        )
        measures.write(out, ALL)


def judge_volumes(study: Study, fold: str, tables: Path, out: Path) -> None:
    """Keep of an arm's tables of volumes the people of a fold, as one table in `out`.

    Raises `InputError` where there are none.
    """
    judged, _ = folds.parted(study, fold)
    found = [read_table(path) for path in sorted(tables.glob(part_path(tables, VOLUMES, "*").name))]
    table = join(found) if found else pd.DataFrame(columns=["subject"])
    table = table[table["subject"].isin(judged.subjects)]
    if table.empty:
        raise InputError(f"{tables}: no volumes of {', '.join(judged.subjects)}; apply the method again")
    write_table(part_path(out, VOLUMES, ALL), table)
