"""The signal of an inversion-prepared spoiled gradient echo (BRAVO, MPRAGE) in its steady state.

One cycle: an inversion of efficiency eff; at time TI the k-space center is read, after n_c of N
readouts that lie ES apart, each with flip angle a; then rest until the cycle ends at TR:

    E = exp(-ES/T1), E0 = exp(-(TI - n_c ES)/T1), Ed = exp(-TD/T1), TD = TR - (TI - n_c ES) - N ES
    Mss = (1 - E)/(1 - E cos a), q = (E cos a)^N
    Mb  = (1 - Ed + Ed [Mss (1 - q) + (1 - E0) q]) / (1 + Ed q eff E0)
    Mz(n) = Mss + (1 - E0 - eff E0 Mb - Mss) (E cos a)^n
    S = PD |Mz(n_c)| sin a sqrt(mean over echoes of exp(-2 TE/T2*))

Mb is the magnetization before the inversion. Spoiling is perfect, relaxation during the inversion
is left out. Deichmann et al., NeuroImage 2000 (12:112-127) derive the same steady state.

And of a T2-weighted fast spin echo, TE its effective echo time: S = PD (1 - exp(-TR/T1)) exp(-TE/T2).
"""

from __future__ import annotations

import math

import numpy as np

from core.errors import InputError
from studies.simulation.physics import Scanner, Tissue

GM_TO_WM = (0.55, 0.75)
"""Cortical GM over WM in a T1-weighted image; outside it the segmentation has no meaning."""

CSF_TO_WM = (0.15, 0.45)


def longitudinal_magnetization(t1_ms: np.ndarray | float, scanner: Scanner, b1: np.ndarray | float = 1.0) -> np.ndarray:
    """Mz before the readout of the k-space center, as a part of the equilibrium's; negative before its null.

    `t1_ms` and `b1` (the transmit field's factor on the flip angle) broadcast.
    """
    t1_ms = np.asarray(t1_ms)
    cosine = np.cos(math.radians(scanner.flip_degrees) * np.asarray(b1))
    before = scanner.inversion_time_ms - scanner.readouts_before_center * scanner.readout_spacing_ms
    rest = scanner.cycle_ms - before - scanner.readouts * scanner.readout_spacing_ms
    recovery = np.exp(-scanner.readout_spacing_ms / t1_ms)
    step = recovery * cosine
    e_before = np.exp(-before / t1_ms)
    e_rest = np.exp(-rest / t1_ms)
    steady = (1 - recovery) / (1 - step)
    train = step**scanner.readouts
    inverted = scanner.inversion_efficiency * e_before
    at_end = (1 - e_rest + e_rest * (steady * (1 - train) + (1 - e_before) * train)) / (1 + e_rest * train * inverted)
    return steady + (1 - e_before - inverted * at_end - steady) * step**scanner.readouts_before_center


def signal(
    tissue: Tissue,
    scanner: Scanner,
    b1: np.ndarray | float = 1.0,
    t1_factor: np.ndarray | np.float32 | float = 1.0,
) -> np.ndarray:
    """Signal of a voxel full of `tissue`, in units of the proton density of water.

    Parameters
    ----------
    b1 : the transmit field's factor on the flip angle.
    t1_factor : the voxel's T1 over the tissue's. It and `b1` broadcast and may be float32.
    """
    magnetization = longitudinal_magnetization(tissue.t1_ms * np.asarray(t1_factor), scanner, b1)
    echoes = np.asarray(scanner.echo_times_ms)
    decay = float(np.sqrt(np.mean(np.exp(-2 * echoes / tissue.t2star_ms))))
    sine = np.sin(math.radians(scanner.flip_degrees) * np.asarray(b1))
    return tissue.proton_density * decay * np.abs(magnetization) * sine


def t2w_signal(tissue: Tissue, scanner: Scanner, t1_factor: np.ndarray | np.float32 | float = 1.0) -> np.ndarray:
    """Signal of a voxel full of `tissue` in the scanner's T2-weighted image; `t1_factor` is its T1 over the tissue's.

    The transmit field would change all tissues' alike, which is divided out of a scan, so that it isn't in here.
    """
    recovered = 1 - np.exp(-scanner.t2w_cycle_ms / (tissue.t1_ms * np.asarray(t1_factor)))
    decay = np.asarray(math.exp(-scanner.t2w_echo_ms / tissue.t2_ms), dtype=recovered.dtype)
    return tissue.proton_density * decay * recovered


def contrast(tissues: dict[str, Tissue], scanner: Scanner) -> dict[str, float]:
    """Signal of each tissue over white matter's, at b1 = 1."""
    white = float(signal(tissues["wm"], scanner))
    return {name: float(signal(tissue, scanner)) / white for name, tissue in tissues.items()}


def check_contrast(tissues: dict[str, Tissue], scanner: Scanner) -> None:
    """Refuse a scanner whose image would not be T1-weighted.

    Raises
    ------
    InputError
        Cortical GM/WM outside 0.55..0.75 or CSF/WM outside 0.15..0.45 at b1 = 1, or times that
        leave no room for the readouts.
    """
    before = scanner.inversion_time_ms - scanner.readouts_before_center * scanner.readout_spacing_ms
    rest = scanner.cycle_ms - before - scanner.readouts * scanner.readout_spacing_ms
    if before < 0:
        raise InputError(
            f"scanner {scanner.name}: {scanner.readouts_before_center} readouts of "
            f"{scanner.readout_spacing_ms:g} ms don't fit before the inversion time of "
            f"{scanner.inversion_time_ms:g} ms; lower readouts_before_center or raise inversion_time_ms"
        )
    if rest < 0:
        raise InputError(
            f"scanner {scanner.name}: the readouts end {-rest:g} ms after the cycle of "
            f"{scanner.cycle_ms:g} ms; raise cycle_ms or lower readouts"
        )
    ratios = contrast(tissues, scanner)
    for tissue, label, (low, high) in (
        ("cortical_gm", "cortical GM/WM", GM_TO_WM),
        ("csf", "CSF/WM", CSF_TO_WM),
    ):
        if not low <= ratios[tissue] <= high:
            raise InputError(
                f"scanner {scanner.name}: its signal gives {label} = {ratios[tissue]:.3g}, outside "
                f"{low:g}..{high:g} of a T1-weighted brain image; change inversion_time_ms, "
                "cycle_ms or flip_degrees"
            )


def check_t2w_contrast(tissues: dict[str, Tissue], scanner: Scanner) -> None:
    """Refuse (`InputError`) a scanner whose second image would not be T2-weighted: CSF above GM, GM above WM."""
    csf, gray, white = (float(t2w_signal(tissues[name], scanner)) for name in ("csf", "cortical_gm", "wm"))
    if not csf > gray > white:
        raise InputError(
            f"scanner {scanner.name}: its T2-weighted signal gives GM/WM = {gray / white:.3g} and CSF/WM = "
            f"{csf / white:.3g}, and a T2-weighted image has CSF above GM above WM; raise t2w_cycle_ms or t2w_echo_ms"
        )
