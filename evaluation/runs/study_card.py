"""A study's card: where its scans come from, under which license, of how many people, scanners and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.files import read_json
from core.images import voxel_sizes
from core.names import MISSING
from core.nifti import open_nifti
from evaluation.runs.finished_run import FinishedRun

NOT_SAID = "not said"


def study_card(run: FinishedRun) -> dict[str, Any]:
    """The card of a run's study: what its source and the user say of it, and what its sheet has."""
    of_source: Mapping[str, Any] = read_json(run.files.study.card) if run.files.study.card.is_file() else {}
    config = run.provenance.get("config", {})
    study = config.get("study") or {}
    source = str(study.get("source", NOT_SAID))
    # the user's word comes first
    said = {**of_source, **{name: value for name, value in (study.get("card") or {}).items() if value}}
    return {
        "source": source,
        "name": said.get("name") or source,
        "license": said.get("license") or NOT_SAID,
        "reference": said.get("reference") or NOT_SAID,
        "simulated": run.simulated,
        "people": len(run.subjects),
        "scanners": list(run.scanners),
        "scans": len(run.scans),
        "rescans": len(run.rescans),
        "rescanned_people": run.rescans["subject"].nunique() if len(run.rescans) else 0,
        "voxels": voxel_size(run) or MISSING,
    }


def voxel_size(run: FinishedRun) -> str:
    """The edges of a voxel, of the first image that there is; empty without images."""
    for arm in run.with_images():
        for subject, scanner in zip(run.scans["subject"], run.scans["scanner"], strict=True):
            path = run.image_path(arm, subject, scanner)
            if path is not None:
                edges = [f"{edge:.3g}" for edge in voxel_sizes(open_nifti(path).affine)]
                return f"{edges[0]} mm" if len(set(edges)) == 1 else f"{' x '.join(edges)} mm"
    return ""
