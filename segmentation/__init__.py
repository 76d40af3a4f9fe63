"""Tissue segmentation of brain images into CSF, gray matter and white matter."""

from __future__ import annotations

from core.names import TISSUES
from segmentation.interface import Segmentation, check_segmentable, segment
from segmentation.thresholds import RULES, labels_at, volumes_by_region_ml, volumes_ml

__all__ = [
    "RULES",
    "TISSUES",
    "Segmentation",
    "check_segmentable",
    "labels_at",
    "segment",
    "volumes_by_region_ml",
    "volumes_ml",
]
