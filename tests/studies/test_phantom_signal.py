"""The phantom's signal equation, its parameters, and what of them is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.phantom import bloch_signal
from core.errors import InputError
from studies.simulation.physics import SEQUENCE, make_scanners, physics, shipped_scanners, tissues, variants
from studies.simulation.signal import (
    CSF_TO_WM,
    GM_TO_WM,
    check_contrast,
    check_t2w_contrast,
    contrast,
    longitudinal_magnetization,
    signal,
    t2w_signal,
)


@pytest.mark.parametrize("scanner", shipped_scanners())
@pytest.mark.parametrize("tissue", tissues())
def test_closed_form_is_the_bloch_loops_steady_state(scanner, tissue):
    for b1 in (0.8, 1.0, 1.2):
        expected = bloch_signal(tissues()[tissue], shipped_scanners()[scanner], b1)
        assert float(signal(tissues()[tissue], shipped_scanners()[scanner], b1)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scanner", shipped_scanners())
def test_a_t2_weighted_signal_is_that_of_a_spin_echo(scanner):
    made = shipped_scanners()[scanner]
    check_t2w_contrast(tissues(), made)
    for tissue in tissues().values():
        recovered, decayed = 1 - math.exp(-made.t2w_cycle_ms / tissue.t1_ms), math.exp(-made.t2w_echo_ms / tissue.t2_ms)
        assert float(t2w_signal(tissue, made)) == pytest.approx(tissue.proton_density * recovered * decayed)
    assert t2w_signal(tissues()["wm"], made, np.ones(3, dtype=np.float32)).dtype == np.float32


def test_a_second_image_that_is_not_t2_weighted_is_refused():
    quick = dataclasses.replace(shipped_scanners()["GE"], t2w_cycle_ms=500.0, t2w_echo_ms=5.0)
    with pytest.raises(InputError, match="GE: its T2-weighted signal gives GM/WM = 0.7.*raise t2w_cycle_ms"):
        check_t2w_contrast(tissues(), quick)


def test_arrays_give_what_numbers_give():
    tissue, scanner = tissues()["cortical_gm"], shipped_scanners()["GE"]
    b1 = np.linspace(0.7, 1.3, 7, dtype=np.float32)
    factor = np.linspace(0.8, 1.2, 7, dtype=np.float32)
    found = signal(tissue, scanner, b1, factor)
    assert found.dtype == np.float32
    expected = [float(signal(tissue, scanner, float(b), float(f))) for b, f in zip(b1, factor, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_magnetization_crosses_its_null():
    # the null lies at T1 = TI / log 2, were there no readouts and full recovery
    slow = dataclasses.replace(shipped_scanners()["GE"], cycle_ms=60_000.0, flip_degrees=0.01)
    assert longitudinal_magnetization(800.0, slow) > 0 > longitudinal_magnetization(1000.0, slow)


@pytest.mark.parametrize("variant", variants())
def test_contrast_of_the_papers_scanners(variant):
    wanted = {"GE": 0.607, "Philips": 0.673, "Prisma": 0.614, "Trio": 0.649}
    for name, scanner in shipped_scanners(variant).items():
        check_contrast(tissues(), scanner)
        ratios = contrast(tissues(), scanner)
        assert ratios["cortical_gm"] == pytest.approx(wanted[name], abs=5e-4)
        # the tone leaves it T1-weighted
        assert GM_TO_WM[0] <= ratios["cortical_gm"] ** scanner.tone <= GM_TO_WM[1]
        assert CSF_TO_WM[0] <= ratios["csf"] ** scanner.tone <= CSF_TO_WM[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cycle_ms": 9500}, "cortical GM/WM = 11.8, outside 0.55..0.75"),
        ({"inversion_time_ms": 300}, "GM/WM"),
        ({"flip_degrees": 10}, "GM/WM = 0.522"),
        ({"readouts": 300}, "end 1102 ms after the cycle"),
        ({"readouts_before_center": 90}, "don't fit before the inversion time"),
    ],
)
def test_refused_contrast(change, message):
    (scanner,) = make_scanners([{"name": "mine", "like": "GE", **change}])
    with pytest.raises(InputError, match=f"scanner mine: .*({message})"):
        check_contrast(tissues(), scanner)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "mine"}, "scanner mine: no inversion_time_ms.*like: Prisma"),
        ({"name": "mine", "like": "Prism"}, "no scanner 'Prism'.*'Prisma'"),
        ({"name": "mine", "like": "GE", "flip": 8}, "unknown parameter 'flip'.*'flip_degrees'"),
        ({"name": "mine", "like": "GE", "noise": -1}, "noise is -1; it must be 0 or more"),
        ({"name": "mine", "like": "GE", "flip_degrees": 0}, "flip_degrees is 0; it must be above 0"),
        ({"name": "mine", "like": "GE", "noise": "low"}, "noise is 'low'; give a number"),
        ({"name": "mine", "like": "GE", "noise": float("nan")}, "give a number"),
        ({"name": "mine", "like": "GE", "readouts": 1.5}, "whole number"),
        ({"name": "mine", "like": "GE", "resolution_mm": 1.0}, "three widths"),
        ({"name": "mine", "like": "GE", "inversion_efficiency": 1.2}, "at most 1"),
        ({"name": "a/b", "like": "GE"}, "cannot be an id"),
        ({"like": "GE"}, "cannot be an id"),
        (7, "neither a name nor a mapping"),
    ],
)
def test_refused_parameters(entry, message):
    with pytest.raises(InputError, match=message):
        make_scanners([entry])


def test_csf_that_is_too_bright_is_refused():
    bright = tissues() | {"csf": dataclasses.replace(tissues()["csf"], t1_ms=1600)}
    with pytest.raises(InputError, match="scanner Trio: .*CSF/WM = .* outside 0.15..0.45"):
        check_contrast(bright, shipped_scanners()["Trio"])


def test_a_scanner_with_anothers_sequence():
    (scanner,) = make_scanners([{"name": "mine", "like": "GE", "sequence_of": "Prisma", "noise": 0.01}])
    ge, prisma = shipped_scanners()["GE"], shipped_scanners()["Prisma"]
    assert all(getattr(scanner, field) == getattr(prisma, field) for field in SEQUENCE)
    assert scanner.noise == 0.01
    assert scanner.misregistration_mm == ge.misregistration_mm


def test_a_scanner_of_ones_own_starts_from_the_variants():
    (scanner,) = make_scanners([{"name": "mine", "like": "GE", "sequence_of": "Trio"}], "noise_heavy")
    heavy = shipped_scanners("noise_heavy")
    assert (scanner.misregistration_mm, scanner.tone) == (heavy["GE"].misregistration_mm, heavy["Trio"].tone)
    assert scanner.misregistration_mm != shipped_scanners()["GE"].misregistration_mm
    assert scanner.tone != shipped_scanners()["Trio"].tone


def test_every_value_says_where_it_comes_from():
    for name, values in physics()["tissues"].items():
        assert set(values["sources"]) == set(values) - {"sources"}, name
    scanners = dict(physics()["scanners"])
    sources = scanners.pop("sources")
    for name, values in scanners.items():
        assert set(values) == set(sources), name
    for variant, overlay in physics()["variants"].items():
        assert set(overlay) <= {"factors", "scanners"}, variant
        assert set(overlay["scanners"]) == set(scanners), variant
    assert physics()["failed_scan"]["sources"]
