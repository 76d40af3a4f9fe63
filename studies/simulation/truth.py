"""One subject's simulated scans with the truth beside them, as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.files import write_json, write_table
from core.images import save_image, save_labels, scale_to_mean, voxel_volume_ml
from core.names import FIRST_SESSION, TISSUES
from core.run_folder import StudyFolder, image_name, labels_name, mask_name, scan_name, t2_name
from core.sheet import SESSION, T2, TIME
from studies.simulation.anatomy import Anatomy
from studies.simulation.options import LATER, ScanOptions
from studies.simulation.physics import T2W, Scanner, failed, tissues
from studies.simulation.scanner import acquire, acquire_both, t2w_contrast_image, true_image
from studies.simulation.signal import check_contrast, check_t2w_contrast

SIMULATED = "simulated"
"""In the sheet's column of this name: the scan is simulated, and whatever shows it must say so."""


def check_scanners(options: ScanOptions) -> None:
    """Refuse scanners whose images would not be T1-weighted, or T2-weighted where they make such (`signal`)."""
    for scanner in options.made_scanners():
        check_contrast(tissues(), scanner)
        if options.t2:
            check_t2w_contrast(tissues(), scanner)


@dataclasses.dataclass(frozen=True)
class Later:
    """A person at a follow-up: the brain by then, how many years later, and the further columns of the sheet."""

    anatomy: Anatomy
    years: float
    covariates: Mapping[str, object]


def write_subject(
    folder: Path,
    subject: str,
    anatomy: Anatomy,
    options: ScanOptions,
    *,
    covariates: Mapping[str, object],
    failing: str | None = None,
    rescans: Sequence[str] = (),
    later: Later | None = None,
    details: Mapping[str, object] | None = None,
) -> Path:
    """Scan a subject on the scanners of `options` and write everything about it.

    In `folder`: `sub-<subject>_scanner-<scanner>_T1w.nii.gz` for each scanner,
    `sub-<subject>_mask.nii.gz`, and the part sheet `sub-<subject>.tsv`, written last. In
    `folder/truth`: `sub-<subject>_fractions.nii.gz` (float32; CSF, GM, WM along the fourth axis),
    `_dseg.nii.gz` (the tissue that fills most of a voxel), `_volumes.tsv` (mL, by fractions and by
    those labels), `_truth.json` (how it was made), and for each scanner
    `sub-<subject>_scanner-<scanner>_truth.nii.gz`, its image without noise, fields and
    misregistration, divided by its own mean as the scan is by the scan's. All but the first and last are written of a
    follow-up, too, with `_session-followup` in their names.

    Parameters
    ----------
    anatomy : the brain, at the study's voxel size.
    covariates : further columns of the sheet.
    failing : the scanner on which this subject's scan fails; its rescans don't.
    rescans : the names of the sessions in which the subject is scanned again on every scanner.
    later : the subject at a follow-up on every scanner, if there is one.
    details : what else `_truth.json` should say.

    Returns the path of the part sheet.
    """
    check_scanners(options)
    truth, stem = folder / "truth", f"sub-{subject}"
    sessions = (FIRST_SESSION, *rescans)
    named = len(sessions) > 1 or later is not None
    columns = {**({TIME: "0"} if later else {}), **covariates}
    rows = _write_visit(folder, subject, anatomy, options, sessions, columns, failing=failing, named=named)
    if later is not None:
        columns = {TIME: f"{later.years:g}", **later.covariates}
        rows += _write_visit(folder, subject, later.anatomy, options, (LATER,), columns, named=True)
    made = {}
    for sound in options.scanners_of(subject):
        scanner = failed(sound) if sound.name == failing else sound
        described = {
            name: value for name, value in dataclasses.asdict(scanner).items() if options.t2 or name not in T2W
        }
        made[scanner.name] = described | {"failed": scanner.name == failing}
    description = {
        "simulated": True,
        "subject": subject,
        "seed": options.seed,
        "voxel_size_mm": options.voxel_size_mm,
        "contrast_only": options.contrast_only,
        "variant": options.variant,
        "scale": options.scale,
        "truth_image": "the scanner's contrast and point spread at a transmit field of 1; no noise, no "
        "intensity field, no misregistration; on the scale named above by its own mean",
        "scanners": made,
        **(details or {}),
    }
    write_json(truth / f"{stem}_truth.json", description)
    sheet = StudyFolder(folder).part_sheet(subject)
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def _write_visit(
    folder: Path,
    subject: str,
    anatomy: Anatomy,
    options: ScanOptions,
    sessions: Sequence[str],
    columns: Mapping[str, object],
    *,
    failing: str | None = None,
    named: bool,
) -> list[dict[str, object]]:
    """Write the truth of a subject's brain and its scans in `sessions`, the first of which gives their names.

    The scan of the first session fails on the scanner `failing`. Returns the sheet's rows, with their session where
    they are `named` and with further `columns`.
    """
    truth = folder / "truth"

    def name_of(session: str) -> str:
        return "" if session == FIRST_SESSION else session

    whose = f"sub-{subject}" + (f"_session-{name_of(sessions[0])}" if name_of(sessions[0]) else "")
    save_labels(folder / mask_name(whose), anatomy.mask, anatomy.affine)
    fractions = np.stack([anatomy.dense(part) for part in anatomy.fractions()], axis=-1)
    save_image(truth / f"{whose}_fractions.nii.gz", fractions, anatomy.affine)
    del fractions
    save_labels(truth / labels_name(whose), anatomy.labels(), anatomy.affine)
    write_table(truth / f"{whose}_volumes.tsv", volumes_table(subject, anatomy))
    rows = []
    for sound in options.scanners_of(subject):
        truth_name = f"truth/{scan_name(subject, sound.name, name_of(sessions[0]))}_truth.nii.gz"
        for session in sessions:
            again = session != sessions[0]
            name = scan_name(subject, sound.name, name_of(session))
            used = failed(sound) if sound.name == failing and not again else sound
            image, noiseless, t2 = simulate_images(anatomy, used, options, subject, session=session)
            save_image(folder / image_name(name), image, anatomy.affine)
            if t2 is not None:
                save_image(folder / t2_name(name), t2, anatomy.affine)
            if not again:
                save_image(folder / truth_name, noiseless, anatomy.affine)
            rows.append(
                {
                    "subject": subject,
                    "scanner": sound.name,
                    "image": image_name(name),
                    "mask": mask_name(whose),
                    **({SESSION: session} if named else {}),
                    **({T2: t2_name(name)} if t2 is not None else {}),
                    **columns,
                    SIMULATED: SIMULATED,
                    "variant": options.variant,
                    "truth_image": truth_name,
                    "truth_labels": f"truth/{labels_name(whose)}",
                    "truth_fractions": f"truth/{whose}_fractions.nii.gz",
                    "truth_volumes": f"truth/{whose}_volumes.tsv",
                }
            )
    return rows


def simulate_scan(
    anatomy: Anatomy, scanner: Scanner, options: ScanOptions, subject: str, session: str = FIRST_SESSION
) -> tuple[np.ndarray, np.ndarray]:
    """A scan and its noise-free, unwarped truth, float32 (X, Y, Z), both on the scale of `options`.

    Another session is another scan of the same truth (`scanner.acquire`).
    """
    return simulate_images(anatomy, scanner, dataclasses.replace(options, t2=False), subject, session)[:2]


def simulate_images(
    anatomy: Anatomy, scanner: Scanner, options: ScanOptions, subject: str, session: str = FIRST_SESSION
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What `simulate_scan` gives, and the T2-weighted image on the same scale, where `options` ask for one."""
    noiseless = true_image(anatomy, scanner, tissues(), point_spread=not options.contrast_only)
    noiseless = scale_to_mean(noiseless, anatomy.mask, options.scale)
    t2 = None
    if options.contrast_only:
        image = noiseless
        if options.t2:
            t2 = anatomy.dense(t2w_contrast_image(anatomy, scanner, tissues()))
    else:
        whose: dict[str, Any] = {
            "seed": options.seed,
            "subject": subject,
            "session": session,
            "variant": options.variant,
        }
        if options.t2:
            image, t2 = acquire_both(anatomy, scanner, tissues(), **whose)
        else:
            image = acquire(anatomy, scanner, tissues(), **whose)
        image = scale_to_mean(image, anatomy.mask, options.scale)
    return image, noiseless, None if t2 is None else scale_to_mean(t2, anatomy.mask, options.scale)


def volumes_table(subject: str, anatomy: Anatomy) -> pd.DataFrame:
    """True volumes in mL: `volume_ml` by fractions, `labels_volume_ml` by each voxel's largest one."""
    counts = np.bincount(anatomy.labels().ravel(), minlength=4)[1:]
    return pd.DataFrame(
        {
            "subject": subject,
            "tissue": TISSUES,
            "volume_ml": [anatomy.volumes_ml()[tissue] for tissue in TISSUES],
            "labels_volume_ml": counts * voxel_volume_ml(anatomy.affine),
        }
    )
