"""The phantom: made-up people, tissue fractions that are known, simulated scans, files."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from core.images import load_image, voxel_volume_ml
from core.options import make
from core.random_numbers import generator
from core.run_folder import StudyFolder
from core.sheet import read_sheet
from evaluation.measures.similarity import ssim
from studies.__main__ import main
from studies.simulation.anatomy import COMPARTMENTS, TISSUES, coarsen, make_anatomy
from studies.simulation.options import PhantomOptions
from studies.simulation.people import make_subject
from studies.simulation.physics import failed, shipped_scanners, tissues
from studies.simulation.random_fields import enlarge, random_field
from studies.simulation.scanner import (
    acquire,
    acquire_both,
    add_rician_noise,
    blur,
    misregistration,
    true_image,
    voxel_kernel,
)
from studies.simulation.truth import simulate_images, simulate_scan, write_subject
from studies.sources import PlannedScan, source
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def fine():
    """A subject's brain at 1 mm."""
    return make_anatomy(make_subject(0, "02"), 0)


@pytest.fixture(scope="module")
def brain(fine):
    """The same at 2 mm."""
    return coarsen(fine, 2)


# Random numbers and fields ---------------------------------------------------------------------------


def test_a_generator_depends_on_its_names_alone():
    first = generator(3, "scan", "01", "GE").normal(size=4)
    generator(3, "scan", "02", "GE").normal(size=9)
    assert (generator(3, "scan", "01", "GE").normal(size=4) == first).all()
    for other in ((4, "scan", "01", "GE"), (3, "scan", "01", "Trio"), (3, "scan", "0", "1GE")):
        assert (generator(*other).normal(size=4) != first).all()


@pytest.mark.parametrize("scale_mm", [4.0, 9.0, 20.0])
def test_a_field_does_not_depend_on_the_voxel_size(scale_mm):
    small = random_field(generator(0, "field"), (80, 64, 48), 1.0, scale_mm)
    large = random_field(generator(0, "field"), (40, 32, 24), 2.0, scale_mm)
    average = small.reshape(40, 2, 32, 2, 24, 2).mean(axis=(1, 3, 5))
    assert np.abs(average - large).max() < 0.4 / scale_mm * np.abs(large).max()


def test_a_field_has_unit_variance_and_its_scale():
    field = random_field(generator(1, "field"), (120, 120, 120), 1.0, 3.0)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.04)
    # noise smoothed by a Gaussian of SD s correlates as exp(-d^2 / 4 s^2)
    for distance in (2, 4, 6):
        found = np.corrcoef(field[distance:].ravel(), field[:-distance].ravel())[0, 1]
        assert found == pytest.approx(np.exp(-(distance**2) / (4 * 3.0**2)), abs=0.04)


def test_enlarging_keeps_a_plane_in_place():
    ramp = np.broadcast_to(np.arange(10, dtype=np.float32)[:, None, None], (10, 6, 6))
    large = enlarge(ramp, 2)
    assert large.shape == (20, 12, 12)
    np.testing.assert_allclose(large[4:-4, 0, 0], ((np.arange(20) + 0.5) / 2 - 0.5)[4:-4], atol=1e-5)


# Anatomy ---------------------------------------------------------------------------------------------


def test_subjects_are_the_papers_kind_of_people():
    people = [make_subject(0, f"{number:03d}") for number in range(300)]
    assert all(51 <= person.age <= 78 for person in people)
    assert np.mean([person.diagnosis == "AD" for person in people]) == pytest.approx(0.56, abs=0.08)
    assert np.mean([person.sex == "M" for person in people]) == pytest.approx(0.44, abs=0.08)
    severity = {kind: np.mean([p.severity for p in people if p.diagnosis == kind]) for kind in ("AD", "healthy")}
    assert severity["AD"] - severity["healthy"] == pytest.approx(0.45, abs=0.08)


@pytest.mark.slow
def test_fractions_are_whole_and_volumes_a_brains(fine):
    fractions = fine.fractions()
    assert fractions.min() >= 0
    np.testing.assert_allclose(fractions.sum(axis=0), 1, atol=1e-5)
    assert set(fine.compartments) == set(COMPARTMENTS)
    volumes = fine.volumes_ml()
    assert sum(volumes.values()) == pytest.approx(fine.mask.sum() / 1000, rel=1e-5)
    for tissue, low, high in (("CSF", 180, 480), ("GM", 480, 780), ("WM", 430, 620)):
        assert low < volumes[tissue] < high, tissue
    labels = fine.labels()
    assert (labels[~fine.mask] == 0).all()
    assert (labels[fine.mask] == fractions.argmax(axis=0) + 1).all()


def test_the_grid_holds_the_brain(fine):
    for axis in range(3):
        planes = fine.mask.any(axis=tuple(other for other in range(3) if other != axis))
        assert not planes[0]
        assert not planes[-1]


def test_2_mm_truth_is_1_mm_truth(fine, brain):
    assert brain.voxel_size_mm == 2
    np.testing.assert_allclose(brain.fractions().sum(axis=0), 1, atol=1e-5)
    for tissue in TISSUES:
        assert brain.volumes_ml()[tissue] == pytest.approx(fine.volumes_ml()[tissue], rel=0.01)
    # the corner of the box is the same point
    for grid in (fine, brain):
        np.testing.assert_allclose(nib.affines.apply_affine(grid.affine, [-0.5] * 3), [-76, -111, -75])


@pytest.mark.slow
def test_atrophy_turns_cortex_into_csf(fine):
    person = make_subject(0, "02")
    young = make_anatomy(dataclasses.replace(person, severity=person.severity - 0.7), 0).volumes_ml()
    old = fine.volumes_ml()
    assert old["CSF"] > young["CSF"] + 60
    assert old["GM"] < young["GM"] - 60
    assert old["WM"] == pytest.approx(young["WM"], rel=0.1)


# Scans -----------------------------------------------------------------------------------------------


def test_a_scan_repeats_and_differs_from_others(brain):
    scanners = shipped_scanners()
    first = acquire(brain, scanners["GE"], tissues(), seed=0, subject="02")
    acquire(brain, scanners["Trio"], tissues(), seed=0, subject="02")
    assert acquire(brain, scanners["GE"], tissues(), seed=0, subject="02").tobytes() == first.tobytes()
    assert first.dtype == np.float32
    assert (first[~brain.mask] == 0).all()
    assert np.isfinite(first).all()
    assert (first[brain.mask] > 0).all()
    for other in ({"seed": 1, "subject": "02"}, {"seed": 0, "subject": "03"}):
        again = acquire(brain, scanners["GE"], tissues(), **other)
        assert (again != first)[brain.mask].mean() > 0.99


def test_another_session_is_another_scan_of_the_same_truth(brain):
    options = PhantomOptions()
    ge = shipped_scanners()["GE"]
    first, truth = simulate_scan(brain, ge, options, "02")
    second, truth_again = simulate_scan(brain, ge, options, "02", "2")
    assert (truth_again == truth).all()
    assert (second != first)[brain.mask].mean() > 0.99
    # the first session is the scan of a study without rescans
    assert simulate_scan(brain, ge, options, "02", "1")[0].tobytes() == first.tobytes()
    assert simulate_scan(brain, ge, options, "02", "2")[0].tobytes() == second.tobytes()


def test_a_t2_weighted_image_leaves_the_scan_as_it_is(brain):
    """CSF is the brightest in it and the darkest in the scan; both lie in one place."""
    ge = shipped_scanners()["GE"]
    whose = {"seed": 0, "subject": "02", "session": "2"}
    scan, t2 = acquire_both(brain, ge, tissues(), **whose)
    assert scan.tobytes() == acquire(brain, ge, tissues(), **whose).tobytes()
    assert t2.dtype == np.float32
    assert np.isfinite(t2).all()
    assert (t2[~brain.mask] == 0).all()
    fractions = brain.fractions()
    means = [[float(np.average(image[brain.mask], weights=part**8)) for part in fractions] for image in (scan, t2)]
    assert means[0][0] < means[0][1] < means[0][2]
    assert means[1][0] > 1.5 * means[1][1] > 1.5 * means[1][2]
    # its noise is its own
    assert acquire_both(brain, ge, tissues(), seed=0, subject="02")[1].tobytes() != t2.tobytes()


def test_contrast_alone_of_a_t2_weighted_image(brain):
    options = PhantomOptions(contrast_only=True, t2=True)
    found = [simulate_images(brain, scanner, options, "02")[2] for scanner in options.made_scanners()]
    for image in found:
        assert image[brain.mask].mean() == pytest.approx(1, abs=1e-5)
    assert np.corrcoef(found[0][brain.mask], found[1][brain.mask])[0, 1] > 0.98
    assert np.abs(found[0] - found[1])[brain.mask].max() > 0.02
    assert simulate_images(brain, options.made_scanners()[0], PhantomOptions(), "02")[2] is None


def test_a_perfect_scanner_shows_the_truth(brain):
    prisma = shipped_scanners()["Prisma"]
    perfect = dataclasses.replace(prisma, noise=0, bias=0, transmit=0, misregistration_mm=0, distortion_mm=0)
    truth = true_image(brain, perfect, tissues())
    scan = acquire(brain, perfect, tissues(), seed=0, subject="02")
    # all that is left is the shift of 0.12 mm
    assert np.corrcoef(scan[brain.mask], truth[brain.mask])[0, 1] > 0.98
    worse = acquire(brain, prisma, tissues(), seed=0, subject="02")
    assert np.abs(worse - truth)[brain.mask].mean() > 2 * np.abs(scan - truth)[brain.mask].mean()


def test_the_truth_is_the_fraction_weighted_signal(brain):
    plain = dataclasses.replace(brain, gm_t1=np.ones_like(brain.gm_t1), wm_t1=np.ones_like(brain.wm_t1))
    prisma = dataclasses.replace(shipped_scanners()["Prisma"], tone=1)
    image = true_image(plain, prisma, tissues(), point_spread=False)[brain.mask]
    parts = brain.compartments
    np.testing.assert_allclose(image[parts["wm"] > 0.9999], 1, atol=1e-3)
    np.testing.assert_allclose(image[parts["csf"] > 0.9999], 0.215, atol=0.01)
    assert image.min() > 0.2
    assert image.max() < 1.001


@pytest.mark.parametrize(("variant", "alike"), [("noise_heavy", 0.95), ("calibrated", 0.85)])
def test_contrast_alone_leaves_scans_alike(brain, variant, alike):
    options = PhantomOptions(contrast_only=True, variant=variant)
    scans = []
    for scanner in options.made_scanners():
        scan, truth = simulate_scan(brain, scanner, options, "02")
        assert (scan == truth).all()
        assert scan[brain.mask].mean() == pytest.approx(1, abs=1e-5)
        scans.append(scan)
    low, high = np.percentile([scan[brain.mask] for scan in scans], [0.5, 99.5])
    for other in scans[1:]:
        assert ssim(scans[0], other, brain.mask, data_range=high - low, low=low) > alike


def test_rician_noise():
    flat = np.full((60, 60, 60), 1.0, np.float32)
    noisy = add_rician_noise(generator(0, "noise"), flat, 0.05)
    assert noisy.std() == pytest.approx(0.05, rel=0.02)
    # where there is no signal its mean is sd sqrt(pi/2)
    empty = add_rician_noise(generator(0, "noise"), 0 * flat, 0.05)
    assert empty.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)


def test_point_spread():
    for sd in (0.2, 0.5, 1.0):
        kernel = voxel_kernel(sd)
        assert kernel.sum() == pytest.approx(1)
        assert (kernel >= 0).all()
        assert np.allclose(kernel, kernel[::-1])
    reach = len(voxel_kernel(1.5)) // 2
    variance = (voxel_kernel(1.5) * np.arange(-reach, reach + 1) ** 2).sum()
    # the Gaussian's, and that of a voxel on either side
    assert variance == pytest.approx(1.5**2 + 2 / 12, rel=0.01)


def test_point_spread_does_not_darken_the_edge(brain):
    ones = brain.dense(np.ones(brain.gm_t1.size))
    np.testing.assert_allclose(blur(ones, brain, (3.0, 3.0, 3.0))[brain.mask], 1, rtol=1e-5)


def test_misregistration_has_its_size(brain):
    sizes = []
    for number in range(12):
        own, fixed = generator(number, "scan"), generator(0, "scanner")
        displacement = misregistration(own, fixed, brain, 1.5)
        inner = displacement[:, 8:-8, 12:-12, 10:-10]
        sizes.append(np.sqrt((inner**2).sum(axis=0).mean()))
    assert np.mean(sizes) == pytest.approx(1.5, rel=0.25)
    # part of it is the scanner's own: scans of two people are not independent
    first, second = (misregistration(generator(n, "a"), generator(0, "b"), brain, 1.5).ravel() for n in (1, 2))
    assert np.corrcoef(first, second)[0, 1] > 0.08


def test_the_failed_scan_is_far_off(brain):
    options = PhantomOptions(failed_scan=True)
    assert options.failing(options.subject_ids()) == ("01", "GE")
    assert PhantomOptions().failing(["01"]) is None
    ge = shipped_scanners()["GE"]
    good, truth = simulate_scan(brain, ge, options, "02")
    bad, _ = simulate_scan(brain, failed(ge), options, "02")
    inside = brain.mask
    assert np.abs(bad - truth)[inside].mean() > 1.5 * np.abs(good - truth)[inside].mean()


# Options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": 3}, "unknown option 'subject'.*'subjects'"),
        ({"subjects": 0}, "subjects: 0"),
        ({"subjects": True}, "subjects: True"),
        ({"voxel_size_mm": 3}, "voxel_size_mm: 3.*1 or 2"),
        ({"seed": -1}, "seed: -1"),
        ({"scanners": "GE"}, "scanners: 'GE'; give a list"),
        ({"scanners": []}, "scanners: none"),
        ({"scanners": ["Prizma"]}, "'Prizma'.*'Prisma'"),
        ({"scanners": ["GE", "GE"]}, "'GE' stands there 2 times"),
        ({"missing": [["01", "Sola"]]}, "names no scanner"),
        ({"missing": [["77", "GE"]]}, "names no subject"),
        ({"missing": ["01"]}, "missing: ..01..; give a list"),
        ({"failed_scan": "yes"}, "failed_scan: 'yes'"),
        ({"scale": "head"}, "scale: 'head'"),
        ({"sessions": 0}, "sessions: 0; give how often"),
        ({"t2": "yes"}, "t2: 'yes'"),
        ({"rescanned": -1}, "rescanned: -1; give how many people"),
        ({"follow_up": 2}, "follow_up: 2; give a mapping"),
        ({"follow_up": {"severty": 0.1}}, "follow_up: unknown option 'severty'.*'severity'"),
        ({"follow_up": {"severity": -0.1}}, "follow_up.severity: -0.1; give what atrophy grows by, 0"),
        ({"follow_up": {"years": 0}}, "follow_up.years: 0.*give how many years later"),
        ({"follow_up": {"people": 0}}, "follow_up.people: 0; give how many people"),
        ({"variant": "contrast_hevy"}, "variant: there is no 'contrast_hevy'.*'contrast_heavy'"),
    ],
)
def test_options_refused(options, message):
    with pytest.raises(InputError, match=message):
        source("phantom").plan(options)


def test_plan():
    options = {"subjects": 3, "scanners": ["GE", "Trio"], "missing": [["02", "GE"]], "rescanned": 1}
    assert source("phantom").plan(options) == [
        PlannedScan("01", "GE"),
        PlannedScan("01", "GE", "2"),
        PlannedScan("01", "Trio"),
        PlannedScan("01", "Trio", "2"),
        PlannedScan("02", "Trio"),
        PlannedScan("03", "GE"),
        PlannedScan("03", "Trio"),
    ]


def test_people_are_followed_up_on_every_scanner():
    options = {"subjects": 2, "scanners": ["GE", "Trio"], "missing": [["01", "GE"]], "rescanned": 1}
    assert source("phantom").plan({**options, "follow_up": {"people": 1}}) == [
        PlannedScan("01", "Trio"),
        PlannedScan("01", "Trio", "2"),
        PlannedScan("01", "Trio", "followup"),
        PlannedScan("02", "GE"),
        PlannedScan("02", "Trio"),
    ]
    assert [scan.session for scan in source("phantom").plan({**options, "follow_up": {}})].count("followup") == 3


def test_options_are_json():
    options = PhantomOptions(subjects=2, missing=(("01", "GE"),))
    assert make(PhantomOptions, json.loads(json.dumps(dataclasses.asdict(options)))) == options


def test_unknown_source():
    with pytest.raises(InputError, match="no source 'fantom'.*'phantom'"):
        source("fantom")


# Files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small study as the command writes it."""
    folder = tmp_path_factory.mktemp("phantom")
    # two processes, as from a shell: they must find what they are to run
    command = [sys.executable, "-m", "studies", "phantom", "--subjects", "2", "--jobs", "2", "--out", str(folder)]
    subprocess.run([*command, "--scanners", "GE", "Prisma", "--missing", "01:Prisma"], check=True, cwd=ROOT)
    return folder


@pytest.mark.slow
def test_the_sheet_and_the_truth_beside_each_scan(written):
    study = read_sheet(written / "scans.tsv")
    assert study.subjects == ["01", "02"]
    assert study.scanners == ["GE", "Prisma"]
    assert len(study.scans) == 3
    assert study.shape == (76, 96, 80)
    for scan in study.scans:
        assert scan.covariates["simulated"] == "simulated"
        assert {"age", "sex", "diagnosis"} <= set(scan.covariates)
        mask = scan.read_mask()
        assert load_image(scan.image)[0][mask].mean() == pytest.approx(1, abs=1e-4)
        truth = load_image(written / scan.covariates["truth_image"])[0]
        assert truth[mask].mean() == pytest.approx(1, abs=1e-4)
        assert (truth[~mask] == 0).all()
        fractions = np.asarray(nib.load(written / scan.covariates["truth_fractions"]).dataobj)
        assert fractions.dtype == np.float32
        assert fractions.shape == (*study.shape, 3)
        np.testing.assert_allclose(fractions[mask].sum(axis=1), 1, atol=1e-5)
        labels = load_image(written / scan.covariates["truth_labels"])[0]
        assert (labels[mask] == fractions[mask].argmax(axis=1) + 1).all()
        assert (labels[~mask] == 0).all()
        volumes = pd.read_csv(written / scan.covariates["truth_volumes"], sep="\t", index_col="tissue")
        expected = fractions.sum(axis=(0, 1, 2), dtype=float) * voxel_volume_ml(study.affine)
        np.testing.assert_allclose(volumes.loc[list(TISSUES), "volume_ml"], expected, rtol=1e-4)
    description = json.loads((written / "truth" / "sub-01_truth.json").read_text())
    assert description["simulated"] is True
    assert description["scale"] == "brain"
    assert description["variant"] == study.scans[0].covariates["variant"] == "calibrated"


@pytest.mark.slow
def test_one_subject_alone_has_the_same_bytes(written, tmp_path):
    (tmp_path / "options.json").write_text(
        json.dumps({"subjects": 2, "scanners": ["GE", "Prisma"], "missing": [["01", "Prisma"]], "seed": 0})
    )
    out = tmp_path / "scans"
    main(
        [
            "prepare",
            "--source",
            "phantom",
            "--options",
            str(tmp_path / "options.json"),
            "--subject",
            "02",
            "--out",
            str(out),
        ]
    )
    made = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(made) == 2 + 2 + 1 + 1 + 4 + 2
    for path in made:
        assert (out / path).read_bytes() == (written / path).read_bytes(), path


def test_gathered_parts_lie_relative_to_their_sheet(written, tmp_path):
    sheet = tmp_path / "elsewhere" / "scans.tsv"
    sheet.parent.mkdir()
    parts = [str(written / "sub-02.tsv"), str(written / "sub-01.tsv")]
    main(["gather", "--parts", *parts, "--out", str(sheet)])
    study = read_sheet(sheet)
    assert study.subjects == ["02", "01"]
    assert (sheet.parent / study.scans[0].covariates["truth_image"]).exists()
    with pytest.raises(InputError, match="subject '02' on scanner 'GE' stands in two"):
        main(["gather", "--parts", parts[0], parts[0], "--out", str(sheet)])


def test_preview_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["phantom", "--subjects", "2"])
    said = capsys.readouterr().out
    assert "Simulated: 16 scans of 2 subjects" in said
    assert "Nothing was written" in said
    assert not list(tmp_path.iterdir())


def test_a_scanner_of_ones_own_that_is_not_t1_weighted_is_refused_while_planning():
    entry = {"name": "mine", "like": "GE", "inversion_time_ms": 300}
    with pytest.raises(InputError, match="scanner mine.*cortical GM/WM = .*outside 0.55..0.75"):
        source("phantom").plan({"scanners": ["Prisma", entry]})


def test_source_sheet_scales_and_converts(sheet, tmp_path):
    options = {"scans": str(sheet), "scale": "brain", "seed": 0}
    part = source("sheet").prepare(options, "01", tmp_path)
    study = read_sheet(part)
    original = read_sheet(sheet, scale="brain").of_subject("01")
    assert [scan.scanner for scan in study.scans] == [scan.scanner for scan in original]
    for scan, first in zip(study.scans, original, strict=True):
        assert nib.load(scan.image).get_data_dtype() == np.float32
        np.testing.assert_allclose(scan.read(), first.read(), rtol=1e-6)
        assert scan.covariates == first.covariates
    with pytest.raises(InputError, match="'09' is not in the sheet"):
        source("sheet").prepare(options, "09", tmp_path)
    with pytest.raises(InputError, match="no sheet"):
        source("sheet").plan({"scans": None})


def test_t2_weighted_images_stand_in_the_sheet(brain, tmp_path):
    made = {}
    for name, options in (
        ("with", PhantomOptions(subjects=1, scanners=("GE",), t2=True)),
        ("without", PhantomOptions(subjects=1, scanners=("GE",))),
    ):
        write_subject(tmp_path / name, "01", brain, options, covariates={"age": 60}, rescans=["2"])
        made[name] = {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
    more = set(made["with"]) - set(made["without"])
    assert {path.name for path in more} == {"sub-01_scanner-GE_T2w.nii.gz", "sub-01_scanner-GE_session-2_T2w.nii.gz"}
    told = {Path("sub-01.tsv"), Path("truth/sub-01_truth.json")}
    assert {path for path in made["without"] if made["with"][path] != made["without"][path]} == told
    study = read_sheet(tmp_path / "with" / "sub-01.tsv")
    assert all(scan.read_t2()[scan.read_mask()].mean() == pytest.approx(1, abs=1e-5) for scan in study.every)


@pytest.mark.slow
def test_a_follow_up_has_more_atrophy_and_leaves_the_other_scans_as_they_are(tmp_path):
    options = {"subjects": 2, "scanners": ["GE", "Prisma"], "failed_scan": True}
    # neither people nor how many are followed up change a byte of the others
    followed = {**options, "follow_up": {"severity": 0.3, "years": 2, "people": 1}}
    for name, given in (("without", options), ("with", followed)):
        for subject in ("01", "02"):
            source("phantom").prepare(given, subject, tmp_path / name)
    without = {path.relative_to(tmp_path / "without") for path in (tmp_path / "without").rglob("*") if path.is_file()}
    told = {Path("sub-01.tsv"), Path("truth/sub-01_truth.json")}
    for path in without - told:
        assert (tmp_path / "with" / path).read_bytes() == (tmp_path / "without" / path).read_bytes(), path
    study = read_sheet(tmp_path / "with" / "sub-01.tsv")
    assert [(scan.name, scan.time) for scan in study.follow_ups] == [
        ("sub-01_scanner-GE_session-followup", 2.0),
        ("sub-01_scanner-Prisma_session-followup", 2.0),
    ]
    assert not read_sheet(tmp_path / "with" / "sub-02.tsv").follow_ups
    first, later = study.scans[0], study.follow_ups[0]
    assert float(later.covariates["age"]) == pytest.approx(float(first.covariates["age"]) + 2)
    volumes = [pd.read_csv(scan.file("truth_volumes"), sep="\t", index_col="tissue") for scan in (first, later)]
    change = volumes[1]["volume_ml"] - volumes[0]["volume_ml"]
    assert change["GM"] < -5
    assert change["CSF"] > 5
    made = {path.relative_to(tmp_path / "with") for path in (tmp_path / "with").rglob("*") if path.is_file()}
    further = sorted(path.as_posix() for path in made - without)
    patterns = [path.relative_to("x").as_posix() for path in StudyFolder(Path("x")).files_of("01")]
    assert len(further) == 4 + 2 + 2
    assert all(any(fnmatch(path, pattern) for pattern in patterns) for path in further)
    description = json.loads((tmp_path / "with" / "truth" / "sub-01_truth.json").read_text())
    assert description["follow_up"]["severity"] == pytest.approx(description["severity"] + 0.3)
