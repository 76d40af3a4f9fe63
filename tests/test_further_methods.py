"""Further arms and controls: their numbers against libraries, packages, or cases whose answer is known."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import baselines.combat
from baselines.blur import Blur, blurred
from baselines.cohort_mean import CohortMean
from baselines.combat import ComBat, adjust, locate, shrink
from baselines.command import Command
from baselines.deepharmony import DeepHarmony
from baselines.external import External
from baselines.fcm import Fcm
from baselines.harness.applying import apply_method
from baselines.harness.fitting import fit_method
from baselines.harness.registry import methods
from baselines.harness.saved import load_method
from baselines.histmatch import HistogramMatching, quantile_function
from baselines.interface import Context, Method
from baselines.kde import Kde
from baselines.lsq import Lsq
from baselines.mica import Mica, warp
from baselines.nyul import Nyul
from baselines.oracle import Oracle
from baselines.shuffle import Shuffle, shuffled
from baselines.whitestripe_library import WhiteStripeLibrary
from baselines.zscore import ZScore
from core.errors import InputError, NotApplicable
from core.images import load_image, save_image, save_labels, scale_to_mean
from core.sheet import read_sheet, write_sheet
from core.study import Scan, Study
from tests.conftest import AFFINE, CONTRASTS, SHAPE, made_up_brain, write_study

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[1]


def fitted(method: Method, study: Study) -> Method:
    """The method, fitted on a study and ready for its scans."""
    assert method.not_applicable(study) is None
    method.fit(study)
    method.prepare(study)
    return method


def brain(image: np.ndarray, scan: Scan) -> np.ndarray:
    return image[scan.read_mask()]


def write_scans(folder: Path, images: dict[tuple[str, str], np.ndarray], masks: dict[str, np.ndarray]) -> Study:
    """A study of these images by subject and scanner, in their own unit."""
    scans = []
    for subject, mask in masks.items():
        save_labels(folder / f"{subject}_mask.nii.gz", mask, AFFINE)
    for (subject, scanner), image in images.items():
        path = folder / f"{subject}_{scanner}.nii.gz"
        save_image(path, np.where(masks[subject], image, 0), AFFINE)
        scans.append(Scan(subject, scanner, path, folder / f"{subject}_mask.nii.gz"))
    return Study(tuple(scans))


# --- the library intensity-normalization ------------------------------------------------------------


def adapters(scan: Scan, unit: float = 1.0):
    """A scan and its mask as the library's own three-dimensional images."""
    from intensity_normalization.adapters.images import NumpyImageAdapter

    return NumpyImageAdapter(scan.read() / unit), NumpyImageAdapter(scan.read_mask())


@pytest.mark.parametrize(
    ("arm", "module", "name"),
    [
        (ZScore, "individual.zscore", "ZScoreNormalizer"),
        (Fcm, "individual.fcm", "FCMNormalizer"),
        (WhiteStripeLibrary, "individual.whitestripe", "WhiteStripeNormalizer"),
    ],
)
def test_scan_by_scan_arms_are_the_library(study, arm, module, name):
    library = getattr(__import__(f"intensity_normalization.normalizers.{module}", fromlist=[name]), name)
    scan = study.scans[4]
    np.random.seed(3)
    expected = library().fit_transform(*adapters(scan)).get_data()
    found = fitted(arm(context=Context(seed=3)), study).transform(scan)
    np.testing.assert_allclose(brain(found, scan), brain(expected, scan), rtol=2e-4, atol=2e-5)
    assert not found[~scan.read_mask()].any()


def test_nyul_is_the_library(study):
    from intensity_normalization.normalizers.population.nyul import NyulNormalizer

    images, masks = zip(*map(adapters, study.scans), strict=True)
    library = NyulNormalizer().fit_population(images, masks)
    scan = study.scans[5]
    expected = library.transform(*adapters(scan)).get_data()
    found = fitted(Nyul(), study).transform(scan)
    np.testing.assert_allclose(brain(found, scan), brain(expected, scan), rtol=1e-5)


def test_kde_is_the_library_on_scans_in_standard_deviations_and_knows_no_unit(study):
    from intensity_normalization.normalizers.individual.kde import KDENormalizer

    scan = study.scans[3]
    voxels = brain(scan.read(), scan)
    unit = float(voxels[voxels <= np.percentile(voxels, 96)].std())
    expected = KDENormalizer().fit_transform(*adapters(scan, unit)).get_data()
    found = Kde().transform(scan)
    np.testing.assert_allclose(brain(found, scan), brain(expected, scan), rtol=1e-5)
    as_it_came = dataclasses.replace(scan, scale="none")
    np.testing.assert_allclose(Kde().transform(as_it_came), found, rtol=1e-4)
    white = brain(made_up_brain(int(scan.subject) - 1)[0], scan) == 3
    assert np.median(brain(found, scan)[white]) == pytest.approx(1, abs=0.03)


def test_lsq_is_the_least_squares_factor_to_the_first_scan(study):
    from skfuzzy import cmeans

    def tissue_means(voxels: np.ndarray) -> np.ndarray:
        np.random.seed(2)
        centres, memberships, *_ = cmeans(voxels[None].astype(float), 3, 2.0, error=0.005, maxiter=50)
        weights = memberships[np.argsort(centres.ravel())]
        return weights @ voxels / weights.sum(axis=1)

    arm = fitted(Lsq(context=Context(seed=2)), study)
    first, scan = study.scans[0], study.scans[7]
    standard = tissue_means(brain(first.read(), first))
    standard = standard / standard[0]
    before = brain(scan.read(), scan).astype(float)
    factor = brain(arm.transform(scan), scan) / before
    assert np.ptp(factor) < 1e-5
    means = tissue_means(before)
    assert factor[0] == pytest.approx(means @ standard / (means @ means), rel=1e-3)
    after = brain(arm.transform(first), first)
    np.testing.assert_allclose(tissue_means(after), standard, rtol=1e-3)


def test_the_librarys_chance_comes_from_the_seed_and_leaves_numpys_alone(study):
    np.random.seed(11)
    expected = np.random.random()
    np.random.seed(11)
    Fcm(context=Context(seed=1)).transform(study.scans[0])
    assert np.random.random() == expected


def test_the_librarys_errors_name_the_scan(study, tmp_path):
    _, mask = made_up_brain(0)
    scan = write_scans(tmp_path, {("01", "A"): np.full(SHAPE, 5.0)}, {"01": mask}).scans[0]
    with pytest.raises(InputError, match="zscore: sub-01_scanner-A: Standard deviation is zero"):
        ZScore().transform(scan)


def test_nyuls_landmarks():
    assert list(Nyul(Nyul.Parameters(step=40)).normalizer().percentiles) == [1, 10, 50, 90, 99]
    for wrong in ({"step": 30}, {"first": 10}, {"last": 90}):
        with pytest.raises(ValueError):
            Nyul.Parameters(**wrong)


# --- histogram matching ------------------------------------------------------------------------------


def test_histogram_matching(study):
    from skimage.exposure import match_histograms

    arm = fitted(HistogramMatching(), study)
    expected = np.mean([quantile_function(brain(scan.read(), scan)) for scan in study.scans], axis=0)
    np.testing.assert_allclose(arm.reference, expected, rtol=1e-12)
    for scan in study.scans[:2]:
        matched = brain(arm.transform(scan), scan)
        np.testing.assert_array_equal(matched, match_histograms(brain(scan.read(), scan), arm.reference))
        np.testing.assert_allclose(np.quantile(matched, [0.1, 0.5, 0.9]), arm.reference[[999, 4999, 8999]], atol=2e-3)


# --- ComBat ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package():
    """Made-up values and what neuroCombat 0.2.12 (numpy 1.26) makes of them: 40 voxels, 22 scans, 4 scanners."""
    with np.load(DATA / "combat" / "neurocombat.npz", allow_pickle=False) as stored:
        return dict(stored)


def combat(package, *, covariates=True, empirical_bayes=True, mean_only=False):
    """Harmonized values (voxels, scans), the scanners' shifts and scales, and the model."""
    values = package["values"].T
    scanners = np.unique(package["scanners"], return_inverse=True)[1]
    design = np.column_stack([package["age"] - package["age"].mean(), package["sex"] == "M"]).astype(float)
    design = design if covariates else design[:, :0]
    found = locate(values, scanners, design, mean_only=mean_only)
    assert found.usable.all()
    shift, scale = found.shift.copy(), found.scale.copy()
    if empirical_bayes:
        for number in range(4):
            shift[number], scale[number] = shrink(
                found.shift[number], found.scale[number], found.counts[number], mean_only=mean_only
            )
    harmonized = [
        adjust(row, shift[scanner], scale[scanner], found.mean + covariate @ found.slopes, found.deviation)
        for row, scanner, covariate in zip(values, scanners, design, strict=True)
    ]
    return np.transpose(harmonized), shift, scale, found


@pytest.mark.parametrize(
    ("case", "options", "tolerance"),
    [
        ("no_bayes", {"empirical_bayes": False}, 1e-12),
        ("mean_only", {"mean_only": True}, 1e-12),
        # the package ends its iteration at a relative change of 1e-4
        ("plain", {"covariates": False}, 1e-5),
        ("covariates", {}, 1e-5),
    ],
)
def test_combat_gives_the_packages_numbers(package, case, options, tolerance):
    harmonized, *_ = combat(package, **options)
    assert np.abs(harmonized - package["values"]).max() > 0.3
    np.testing.assert_allclose(harmonized, package[case], rtol=0, atol=tolerance)


def test_combats_posteriors_are_the_packages_and_its_fixed_point(package):
    _, shift, scale, found = combat(package)
    np.testing.assert_allclose(shift, package["gamma_star"], atol=5e-5)
    np.testing.assert_allclose(scale, package["delta_star"], atol=5e-5)
    mean, variance = found.scale[1].mean(), found.scale[1].var(ddof=1)
    alpha, beta = mean**2 / variance + 2, mean * (mean**2 / variance + 1)
    count = found.counts[1]
    squares = (count - 1) * found.scale[1] + count * (found.shift[1] - shift[1]) ** 2
    np.testing.assert_allclose(scale[1], (squares / 2 + beta) / (count / 2 + alpha - 1), rtol=1e-5)


def test_combat_of_a_new_scan_uses_what_was_stored(package):
    _, shift, scale, found = combat(package, covariates=False)
    for column, scanner in enumerate("bdac"):
        number = "abcd".index(scanner)
        new = adjust(package["new"][:, column], shift[number], scale[number], found.mean, found.deviation)
        np.testing.assert_allclose(new, package["new_plain"][:, column], atol=1e-5)


def test_a_voxel_is_fitted_on_the_scans_that_hold_it(package):
    values = package["values"].T.copy()
    scanners = np.unique(package["scanners"], return_inverse=True)[1]
    age = (package["age"] - package["age"].mean())[:, None]
    absent = np.array([0, 7, 8, 14])
    values[absent, 3] = np.nan
    values[scanners == 2, 5] = np.nan
    values[:, 6] = 4.2
    found = locate(values, scanners, age)
    assert list(np.flatnonzero(~found.usable)) == [5, 6]
    present = np.setdiff1d(np.arange(len(values)), absent)
    alone = locate(values[present], scanners[present], age[present])
    for name in ("mean", "slopes", "deviation", "shift", "scale", "counts"):
        np.testing.assert_allclose(getattr(found, name)[..., 3], getattr(alone, name)[..., 3], rtol=1e-10)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.1, 1000), offset=st.floats(-100, 100), seed=st.integers(0, 99))
def test_combat_of_an_affine_copy_is_the_affine_copy_of_combat(factor, offset, seed):
    generator = np.random.default_rng(seed)
    values, scanners = generator.normal(size=(9, 6)), np.repeat([0, 1, 2], 3)

    def harmonized(values):
        found = locate(values, scanners, np.zeros((9, 0)))
        shift, scale = shrink(found.shift[1], found.scale[1], found.counts[1])
        return adjust(values[4], shift, scale, found.mean, found.deviation)

    np.testing.assert_allclose(
        harmonized(factor * values + offset), factor * harmonized(values) + offset, rtol=1e-5, atol=1e-5 * factor
    )


def with_covariates(study: Study, **columns) -> Study:
    return Study(
        tuple(
            dataclasses.replace(scan, covariates={name: value(scan) for name, value in columns.items()})
            for scan in study.scans
        )
    )


def test_combat_on_images_whatever_the_chunks(study, monkeypatch):
    arm = fitted(ComBat(), study)
    # whoever has voxels in the mask that no one else has keeps them
    shared = np.sum([study.find(subject, "Alpha").read_mask() for subject in study.subjects], axis=0) >= 2
    scan = study.scans[1]
    image = arm.transform(scan)
    np.testing.assert_array_equal(image[~shared], scan.read()[~shared])
    changed = shared & scan.read_mask()
    assert np.abs(image - scan.read())[changed].mean() > 0.05

    def disagreement(images):
        return np.mean([np.abs(np.diff(images(subject), axis=0)).mean() for subject in study.subjects])

    before = disagreement(lambda subject: [scan.read() for scan in study.of_subject(subject)])
    after = disagreement(lambda subject: [arm.transform(scan) for scan in study.of_subject(subject)])
    assert after < 0.6 * before
    monkeypatch.setattr(baselines.combat, "CHUNK_BYTES", 8 * 9 * 1000)
    np.testing.assert_allclose(fitted(ComBat(), study).transform(scan), image, atol=1e-5)


def test_combats_covariates(study, tmp_path):
    named = with_covariates(study, group=lambda scan: "AB"[scan.subject == "03"], age=lambda scan: "7" + scan.subject)
    arm = fitted(ComBat(ComBat.Parameters(covariates="group")), named)
    assert arm.arrays["slopes"].shape[0] == 1
    (tmp_path / "model").mkdir()
    arm.save(tmp_path / "model")
    again = ComBat()
    again.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(named.scans[4]), arm.transform(named.scans[4]))
    stranger = dataclasses.replace(named.scans[0], covariates={"group": "C"})
    with pytest.raises(InputError, match="has group 'C', fitted was A, B"):
        arm.transform(stranger)
    with pytest.raises(InputError, match="no column 'hight'"):
        ComBat(ComBat.Parameters(covariates="hight")).fit(named)
    lacking = with_covariates(study, age=lambda scan: "" if scan.subject == "02" else "70")
    with pytest.raises(InputError, match="sub-02_scanner-Alpha has no 'age'"):
        ComBat(ComBat.Parameters(covariates="age")).fit(lacking)


def test_combat_says_where_it_cannot_be_used(study):
    assert "one scanner, Alpha" in ComBat().not_applicable(Study(tuple(study.of_scanner("Alpha"))))
    few = Study((*study.of_scanner("Alpha"), study.of_scanner("Gamma")[0]))
    assert "Gamma has a single scan" in ComBat().not_applicable(few)
    shifts = fitted(ComBat(ComBat.Parameters(mean_only=True)), few)
    assert (shifts.arrays["scale"] == 1).all()


# --- mica --------------------------------------------------------------------------------------------


@pytest.fixture
def warped(tmp_path):
    """Two people on three scanners: B's intensities are an increasing map of A's, C's are A's with noise."""
    images, masks = {}, {}
    generator = np.random.default_rng(0)
    for number, subject in enumerate(("01", "02")):
        labels, masks[subject] = made_up_brain(number)
        true = gaussian_filter(np.array([0, 0.4, 0.9, 1.3])[labels], 0.7) + generator.normal(0, 0.02, SHAPE)
        images[subject, "A"] = true
        images[subject, "B"] = np.exp(1.5 * true) + (number + 1) * true**3
        images[subject, "C"] = true + generator.normal(0, 0.1, SHAPE)
    return write_scans(tmp_path, images, masks)


def test_mica_undoes_any_increasing_map_of_a_persons_target_scan(warped):
    arm = fitted(Mica(), warped)
    assert arm.target == "A"
    for subject in warped.subjects:
        target = warped.find(subject, "A")
        np.testing.assert_array_equal(arm.transform(target), target.read())
        mapped = warped.find(subject, "B")
        error = np.abs(brain(arm.transform(mapped), mapped) - brain(target.read(), target))
        assert error.max() < 2e-3
        noisy = warped.find(subject, "C")
        aligned, wanted = brain(arm.transform(noisy), noisy), brain(target.read(), target)
        np.testing.assert_allclose(np.sort(aligned), np.sort(wanted), atol=2e-3)
        assert np.abs(aligned - wanted).mean() > 0.01


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=5, max_size=60), st.integers(0, 99))
def test_micas_map_never_decreases_and_stays_within_the_target(values, seed):
    from baselines.mica import quantile_function as micas_quantiles

    voxels = np.array(values, np.float32)
    target = np.random.default_rng(seed).normal(size=50).astype(np.float32)
    mapped = warp(voxels, micas_quantiles(voxels), micas_quantiles(target))
    assert (np.diff(mapped[np.argsort(voxels, kind="stable")]) >= 0).all()
    assert mapped.min() >= target.min() - 1e-6 and mapped.max() <= target.max() + 1e-6


def test_mica_needs_the_persons_own_target_scan(warped, tmp_path):
    without = Study(tuple(scan for scan in warped.scans if scan.name != "sub-02_scanner-A"))
    assert fitted(Mica(), without).target == "B"
    assert Mica(Mica.Parameters(target="A")).not_applicable(without) == (
        "the target scanner A has no scan of subject 02"
    )
    with pytest.raises(InputError, match="no scanner 'D'"):
        Mica(Mica.Parameters(target="D")).not_applicable(warped)
    first = warped.select(["01"])
    fit_method("mica", first, tmp_path / "model")
    with pytest.raises(NotApplicable, match="subject 02 has no scan from the target scanner A"):
        apply_method("mica", tmp_path / "model", without, tmp_path / "out")
    apply_method("mica", tmp_path / "model", warped.select(["02"]), tmp_path / "out")
    found = load_image(tmp_path / "out" / "sub-02_scanner-B_T1w.nii.gz")[0]
    assert np.abs(found - warped.find("02", "A").read()).max() < 2e-3


# --- DeepHarmony -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contrasts(tmp_path_factory):
    """Four people on two scanners, without noise: the target's image is a bent, not increasing map of the other's."""
    images, masks = {}, {}
    for number in range(4):
        subject = f"{number + 1:02d}"
        labels, masks[subject] = made_up_brain(number)
        true = gaussian_filter(np.array([0, 0.4, 0.9, 1.3])[labels], 0.6)
        images[subject, "target"] = 1.2 - np.abs(true - 0.8)
        images[subject, "other"] = true
    return write_scans(tmp_path_factory.mktemp("contrasts"), images, masks)


@pytest.fixture(scope="module")
def deepharmony(contrasts):
    parameters = DeepHarmony.Parameters(width=8, epochs=20, batch=4, learning_rate=5e-3)
    return fitted(DeepHarmony(parameters, Context(device="cpu")), contrasts.select(["01", "02", "03"]))


def test_deepharmony_gives_a_new_person_the_targets_contrast(deepharmony, contrasts):
    other, target = contrasts.find("04", "other"), contrasts.find("04", "target")
    np.testing.assert_array_equal(deepharmony.transform(target), target.read())
    wanted = brain(target.read(), target)
    before = np.abs(brain(other.read(), other) - wanted).mean()
    after = np.abs(brain(deepharmony.transform(other), other) - wanted).mean()
    assert after < 0.3 * before
    assert deepharmony.errors[0][-1] < 0.3 * deepharmony.errors[0][0]
    # what no increasing map of intensities does: mica, though it's given the answer's histogram
    mica = fitted(Mica(Mica.Parameters(target="target")), contrasts)
    assert after < 0.5 * np.abs(brain(mica.transform(other), other) - wanted).mean()


def test_deepharmonys_network_and_loss():
    import torch

    from baselines._deepharmony import Network, train

    network = Network(3, seed=1)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.weight[0, -1] = 1
    slices = torch.rand(2, 1, 8, 12)
    # the input joins the feature maps as the last channel
    np.testing.assert_array_equal(network(slices).detach(), slices)
    volume = np.random.default_rng(0).random((8, 12, 4), np.float32)
    errors = train(
        network,
        [volume],
        [volume + np.float32(0.25)],
        2,
        epochs=1,
        batch=4,
        learning_rate=1e-9,
        generator=np.random.default_rng(0),
        device=torch.device("cpu"),
        what="test",
    )
    assert errors == [pytest.approx(0.25, abs=1e-5)]
    again = Network(3, seed=1)
    other = Network(3, seed=2)
    assert torch.equal(again.last.weight, Network(3, seed=1).last.weight)
    assert not torch.equal(again.last.weight, other.last.weight)


def test_deepharmonys_orientations_and_threads(contrasts):
    parameters = DeepHarmony.Parameters(width=2, epochs=1, orientations="three")
    pair = contrasts.select(["01", "02"])
    scan = contrasts.find("03", "other")
    arm = fitted(DeepHarmony(parameters, Context(device="cpu")), pair)
    assert arm.axes == [0, 1, 2] and len(arm.networks) == 3
    image = arm.transform(scan)
    single = []
    for axis, network in enumerate(arm.networks):
        one = DeepHarmony(parameters, Context(device="cpu"))
        one.target, one.sources, one.edges = arm.target, arm.sources, arm.edges
        one.axes, one.networks = [axis], [network]
        single.append(one.transform(scan))
    np.testing.assert_array_equal(image, np.median(single, axis=0))
    threaded = fitted(DeepHarmony(parameters, Context(device="cpu", threads=2)), pair)
    np.testing.assert_array_equal(threaded.transform(scan), image)


def test_deepharmony_says_where_it_cannot_be_used(contrasts, deepharmony):
    apart = Study((contrasts.find("01", "target"), contrasts.find("02", "other")))
    assert DeepHarmony().not_applicable(apart) == "nobody was scanned on both other and the target scanner target"
    with pytest.raises(InputError, match="no scanner 'targt'.*did you mean 'target'"):
        DeepHarmony(DeepHarmony.Parameters(target="targt")).not_applicable(contrasts)
    with pytest.raises(ValueError, match="epochs is 0"):
        DeepHarmony.Parameters(epochs=0)


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(*[st.integers(3, 11)] * 3), seed=st.integers(0, 99))
def test_boxes_cut_and_paste(shape, seed):
    from baselines._deepharmony import aligned_box
    from core.boxes import cut, paste

    generator = np.random.default_rng(seed)
    mask = generator.random(shape) < 0.1
    mask[tuple(size // 2 for size in shape)] = True
    image = np.where(mask, generator.random(shape, np.float32), 0)
    box = aligned_box(mask)
    part = cut(image, box)
    assert all(size % 4 == 0 for size in part.shape)
    np.testing.assert_array_equal(paste(part, box, shape), image)


# --- images and programs from elsewhere --------------------------------------------------------------


def test_external_images(study, tmp_path):
    arm = External(External.Parameters(images=f"{tmp_path}/{{subject}}/{{scanner}}.nii.gz"))
    with pytest.raises(InputError, match=r"9 of 9 images are missing, the first is .*/01/Alpha\.nii\.gz"):
        arm.fit(study)
    for scan in study.scans:
        save_image(arm.path_of(scan), scan.read() + 5, scan.affine)
    fitted(arm, study)
    scan = study.scans[2]
    np.testing.assert_allclose(arm.transform(scan), np.where(scan.read_mask(), scan.read() + 5, 0))
    save_image(arm.path_of(scan), scan.read(), np.diag([5.0, 6.0, 6.0, 1.0]))
    with pytest.raises(InputError, match="differs from the first scan's by up to 1"):
        arm.fit(study)
    for pattern, message in (("", "give --param images="), ("/x/{subject}.nii", "lacks {scanner}")):
        with pytest.raises(InputError, match=message):
            External(External.Parameters(images=pattern)).fit(study)


PROGRAM = r"""
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

verb, scans, model, *out = sys.argv[1:]
header, *rows = [line.split("\t") for line in Path(scans).read_text().splitlines()]
if verb == "fit":
    (Path(model) / "header.tsv").write_text("\t".join(header))
    sys.exit()
with open(Path(__file__).with_name("calls"), "a") as calls:
    print(len(rows), (Path(model) / "header.tsv").read_text(), file=calls)
for row in rows:
    row = dict(zip(header, row))
    image = nib.load(Path(scans).parent / row["image"])
    out_image = nib.Nifti1Image(np.asarray(image.dataobj) * 3, image.affine)
    nib.save(out_image, f"{out[0]}/sub-{row['subject']}_scanner-{row['scanner']}_T1w.nii.gz")
"""


def test_a_program_is_called_once_for_all_scans(study, tmp_path, monkeypatch):
    awkward = tmp_path / "it's a folder; with $things"
    awkward.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(awkward))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    parameters = Command.Parameters(
        fit=f"{sys.executable} {program} fit {{scans}} {{model}}",
        apply=f"{sys.executable} {program} apply {{scans}} {{model}} {{out}}",
    )
    told = with_covariates(study, age=lambda scan: "70", truth_image=lambda scan: "secret.nii.gz")
    fit_method("command", told, tmp_path / "model", parameters=parameters)
    assert (tmp_path / "model" / "command" / "header.tsv").read_text() == "subject\tscanner\timage\tmask\tage"
    apply_method("command", tmp_path / "model", told, tmp_path / "out")
    assert (tmp_path / "calls").read_text() == "9 subject\tscanner\timage\tmask\tage\n"
    scan = told.scans[4]
    found = load_image(tmp_path / "out" / f"{scan.name}_T1w.nii.gz")[0]
    np.testing.assert_allclose(found, 3 * scan.read(), rtol=1e-6)
    assert not list(awkward.iterdir())


SHELL = r"""
tail -n +2 "$1" | while IFS="$(printf '\t')" read -r subject scanner image rest; do
    cp "$image" "$2/sub-${subject}_scanner-${scanner}_T1w.nii.gz"
done
"""


def test_a_shell_script_is_a_method_too(study, tmp_path):
    script = tmp_path / "copy.sh"
    script.write_text(SHELL)
    parameters = Command.Parameters(apply=f"sh {script} {{scans}} {{out}}")
    fit_method("command", study, tmp_path / "model", parameters=parameters)
    apply_method("command", tmp_path / "model", study, tmp_path / "out")
    for scan in study.scans:
        np.testing.assert_allclose(load_image(tmp_path / "out" / f"{scan.name}_T1w.nii.gz")[0], scan.read(), rtol=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("exit 7 # {scans} {out}", "ended with status 7"),
        ("true {scans} {out}", "9 of 9 images were not written, the first is sub-01_scanner-Alpha_T1w.nii.gz"),
    ],
)
def test_a_program_that_fails(study, line, message):
    arm = Command(Command.Parameters(apply=line))
    arm.fit(study)
    with pytest.raises(InputError, match=message):
        arm.prepare(study)


def test_command_lines_without_their_places():
    with pytest.raises(ValueError, match="lacks {out}"):
        Command.Parameters(apply="x {scans}")
    with pytest.raises(ValueError, match="lacks {scans} and {model}"):
        Command.Parameters(fit="x")
    with pytest.raises(InputError, match="no program"):
        Command().fit(Study(()))


# --- controls ----------------------------------------------------------------------------------------


def with_truth(folder: Path) -> Study:
    """A made-up study in `folder/images` whose sheet, in `folder`, names true images in `folder/images/truth`."""
    study = read_sheet(write_study(folder / "images"))
    scans = []
    for number, scan in enumerate(study.scans):
        name = f"images/truth/{scan.name}_truth.nii.gz"
        labels = made_up_brain(int(scan.subject) - 1)[0]
        save_image(folder / name, np.array([0, *CONTRASTS[scan.scanner]])[labels] * (number + 1), AFFINE)
        scans.append(dataclasses.replace(scan, covariates={"truth_image": name}, folder=folder))
    write_sheet(folder / "scans.tsv", Study(tuple(scans)))
    return read_sheet(folder / "scans.tsv", scale="brain")


def test_the_oracle_is_the_mean_of_a_persons_true_images(tmp_path):
    study = with_truth(tmp_path)
    arm = fitted(Oracle(), study)
    for subject in study.subjects:
        labels, mask = made_up_brain(int(subject) - 1)
        true = [scale_to_mean(np.array([0, *CONTRASTS[name]])[labels], mask, "brain") for name in study.scanners]
        for scan in study.of_subject(subject):
            np.testing.assert_allclose(arm.transform(scan), np.mean(true, axis=0), atol=1e-5)
    (tmp_path / "images" / "truth" / "sub-02_scanner-Gamma_truth.nii.gz").unlink()
    with pytest.raises(InputError, match="sub-02_scanner-Gamma_truth.nii.gz: no such file"):
        arm.transform(study.find("02", "Alpha"))


def test_without_truth_the_oracle_is_the_mean_of_a_persons_scans(study):
    arm = fitted(Oracle(), study)
    scans = study.of_subject("02")
    expected = np.mean([scan.read() for scan in scans], axis=0)
    for scan in scans:
        np.testing.assert_allclose(arm.transform(scan), expected, atol=1e-6)


def test_everyone_becomes_the_cohorts_mean(study):
    arm = fitted(CohortMean(), study)
    inside = np.logical_and.reduce([scan.read_mask() for scan in study.scans])
    expected = np.mean([scan.read() for scan in study.scans], axis=0)
    for scan in (study.scans[0], study.scans[8]):
        np.testing.assert_allclose(arm.transform(scan)[inside], expected[inside], atol=1e-6)


def test_the_cohorts_mean_is_over_the_brains_that_hold_a_voxel(tmp_path):
    _, mask = made_up_brain(0)
    smaller = mask & (np.arange(SHAPE[0]) < 12)[:, None, None]
    images = {("01", "A"): np.full(SHAPE, 2.0), ("02", "A"): np.full(SHAPE, 4.0)}
    study = write_scans(tmp_path, images, {"01": mask, "02": smaller})
    image = fitted(CohortMean(), study).transform(study.scans[0])
    np.testing.assert_allclose(image[smaller], 3)
    np.testing.assert_allclose(image[mask & ~smaller], 2)


def test_a_blur_of_given_width():
    mask = np.ones((41, 41, 41), bool)
    point = np.zeros(mask.shape, np.float32)
    point[20, 20, 20] = 1
    profile = blurred(point, mask, np.array([4.0, 4.0, 4.0]))[:, 20, 20]
    half = np.interp(20 + 4 * np.sqrt(2 * np.log(2)), np.arange(41), profile)
    assert half == pytest.approx(profile.max() / 2, rel=0.01)


def test_a_blur_stays_inside_the_mask(tmp_path):
    _, mask = made_up_brain(0)
    scan = write_scans(tmp_path, {("01", "A"): np.full(SHAPE, 3.0)}, {"01": mask}).scans[0]
    np.testing.assert_allclose(brain(Blur().transform(scan), scan), 3, rtol=1e-5)
    with pytest.raises(ValueError, match="fwhm_mm is 0"):
        Blur.Parameters(fwhm_mm=0)


def test_labels_are_permuted_within_a_person(study):
    wrong = shuffled(study, np.random.default_rng(0))
    assert [scan.image for scan in wrong.scans] == [scan.image for scan in study.scans]
    for subject in study.subjects:
        assert sorted(scan.scanner for scan in wrong.of_subject(subject)) == sorted(study.scanners)
    assert [scan.scanner for scan in wrong.scans] != [scan.scanner for scan in study.scans]


def test_shuffling_takes_away_what_combat_knows(study):
    scans = study.of_subject("02")

    def disagreement(arm: Method) -> float:
        return np.abs(np.diff([arm.transform(scan) for scan in scans], axis=0)).mean()

    knowing = disagreement(fitted(ComBat(), study))
    shuffle = fitted(Shuffle(context=Context(seed=1)), study)
    raw = np.abs(np.diff([scan.read() for scan in scans], axis=0)).mean()
    assert knowing < 0.7 * disagreement(shuffle)
    assert disagreement(shuffle) > 0.8 * raw


def test_shuffle_passes_on_parameters_and_reasons(study):
    arm = Shuffle(Shuffle.Parameters(base="combat", settings="mean_only=true"))
    assert arm.inner.parameters == ComBat.Parameters(mean_only=True)
    assert "one scanner" in Shuffle().not_applicable(Study(tuple(study.of_scanner("Alpha"))))
    with pytest.raises(InputError, match="shuffle itself"):
        Shuffle(Shuffle.Parameters(base="shuffle")).fit(study)
    with pytest.raises(InputError, match="no method 'comba'"):
        Shuffle(Shuffle.Parameters(base="comba")).fit(study)


# --- all of them -------------------------------------------------------------------------------------


def test_the_seed_of_the_fit_comes_back_with_the_model(study, tmp_path):
    fit_method("fcm", study, tmp_path / "model", context=Context(seed=17))
    assert load_method("fcm", tmp_path / "model", Context(threads=2)).context == Context(seed=17, threads=2)


def test_listing_methods_imports_nothing_heavy():
    heavy = ["torch", "skimage", "skfuzzy", "intensity_normalization", "ants", "sklearn"]
    code = f"""
import sys
from baselines.harness.registry import methods
methods()
print([name for name in {heavy} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def test_the_configuration_of_all_methods_has_them_all():
    arms = set()
    for file in ("config.yaml", "all-methods.yaml"):
        arms |= set(yaml.safe_load((ROOT / "config" / file).read_text())["methods"])
    # these two need images or a program of the user's
    assert set(methods()) - arms == {"external", "command"}
    assert arms <= set(methods())
