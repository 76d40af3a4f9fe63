"""What the arms of the library `intensity-normalization` share: how it is called on a scan's brain voxels.

The library is handed the brain voxels (n,) of a scan and a mask of ones, never the background, which
it would otherwise move away from 0.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from baselines.interface import Method
from core.errors import InputError
from core.jobs.command import progress
from core.study import Scan, Study

MODEL_FILE = "standard.npz"


def brain_image(voxels: np.ndarray) -> Any:
    """Brain voxels (n,) as the library's image, float32."""
    from intensity_normalization.adapters.images import NumpyImageAdapter

    return NumpyImageAdapter(voxels)


def normalize_brain(normalizer: Any, voxels: np.ndarray, *, fitted: bool = False) -> np.ndarray:
    """Brain voxels (n,) after one of the library's normalizers, float32; `fitted`: it has been fitted on a study."""
    image = brain_image(voxels)
    mask = brain_image(np.ones(voxels.shape))
    normalized = normalizer.transform(image, mask) if fitted else normalizer.fit_transform(image, mask)
    return normalized.get_data()


@contextlib.contextmanager
def library(where: str, seed: int) -> Iterator[None]:
    """Calls of the library: its errors become `InputError`s beginning with `where`, its chance comes from `seed`.

    Its fuzzy c-means starts from numpy's global generator and takes no seed.
    """
    from intensity_normalization.domain.exceptions import IntensityNormalizationError

    before = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    except IntensityNormalizationError as error:
        raise InputError(f"{where}: {error}; look at the image and its mask") from None
    finally:
        np.random.set_state(before)


class ScanArm(Method):
    """An arm whose normalizer looks at one scan alone."""

    fits_on = "scan"
    unseen_scanners = True
    maps_intensities = True
    libraries = ("intensity_normalization",)

    @abc.abstractmethod
    def normalizer(self) -> Any:
        """A new normalizer of the library."""

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan's brain as the library normalizes it."""
        mask = scan.read_mask()
        with library(f"{self.id}: {scan.name}", self.context.seed):
            return _on_grid(self.normalize(scan.read()[mask]), mask)

    def normalize(self, voxels: np.ndarray) -> np.ndarray:
        """Brain voxels (n,) normalized, float32."""
        return normalize_brain(self.normalizer(), voxels)


class StudyArm(Method):
    """An arm whose normalizer learns a standard from a study: its arrays, by attribute, are what is saved."""

    fits_on = "study"
    unseen_scanners = True
    maps_intensities = True
    learns_scanners = False
    libraries = ("intensity_normalization",)
    learned: tuple[str, ...]
    """The normalizer's attributes that a fit sets."""

    @abc.abstractmethod
    def normalizer(self) -> Any:
        """A new normalizer of the library."""

    def fit(self, study: Study) -> None:
        """Learn the standard; scans are read one by one, as the library asks for them."""
        self._fitted = self.normalizer()
        images = _Lazy(study, lambda scan: brain_image(scan.read()[scan.read_mask()]), what=f"{self.id}: fit")
        masks = _Lazy(study, lambda scan: brain_image(np.ones(int(scan.read_mask().sum()))), what=f"{self.id}: masks")
        with library(f"{self.id}: fit", self.context.seed):
            self._fitted.fit_population(images, masks)

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan's brain brought to the standard."""
        mask = scan.read_mask()
        with library(f"{self.id}: {scan.name}", self.context.seed):
            return _on_grid(normalize_brain(self._fitted, scan.read()[mask], fitted=True), mask)

    def save(self, folder: Path) -> None:
        """Write `standard.npz`."""
        np.savez(folder / MODEL_FILE, **{name: getattr(self._fitted, name) for name in self.learned})

    def load(self, folder: Path) -> None:
        """Read `standard.npz`."""
        self._fitted = self.normalizer()
        self._fitted.is_fitted = True
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            for name in self.learned:
                setattr(self._fitted, name, stored[name])


def _on_grid(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    image = np.zeros(mask.shape, np.float32)
    image[mask] = voxels
    return image


class _Lazy:
    """What `read` gives for each scan, read when it is asked for: a study need not fit into memory."""

    def __init__(self, study: Study, read: Callable[[Scan], Any], *, what: str) -> None:
        self._scans, self._read, self._what = study.scans, read, what

    def __len__(self) -> int:
        return len(self._scans)

    def __getitem__(self, number: int) -> Any:
        return self._read(self._scans[number])

    def __iter__(self) -> Iterator[Any]:
        return map(self._read, progress(self._scans, what=self._what))
