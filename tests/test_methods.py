"""One battery over every method of images: a newcomer's is tested before its author writes a test.

Methods of volumes have one of their own, in `tests/test_volume_methods.py`.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

from baselines.blur import blurred
from baselines.harness.applying import apply_method, check_output
from baselines.harness.fitting import check_applicable, fit_method
from baselines.harness.parameters import make_parameters, parse_parameters
from baselines.harness.registry import label, methods
from baselines.harness.saved import CHECKSUMS_FILE, MODEL_FILE, load_method
from baselines.harness.template import TEMPLATE, write_template
from baselines.harness.withheld import Withheld
from baselines.interface import Context, Method
from core import folds
from core.errors import InputError, NotApplicable
from core.images import load_image, save_image, save_labels
from core.left_out import COLUMN, marks
from core.run_folder import image_name
from core.sheet import read_sheet
from core.study import Scan, Study
from tests.support import made_up_study

# smaller than any real fit, and in fewer steps, so that the battery stays short; the rest are the methods' defaults
QUICK = {
    "mispel": {"preset": "demo", "width": 4, "step1_epochs": 2, "step2_epochs": 2},
    "calamiti": {"preset": "demo", "beta_width": 2, "width": 2, "epochs": 1, "batch": 16},
    "cyclegan": {"preset": "demo", "width": 2, "epochs": 1, "batch": 16},
    "espa": {"preset": "demo", "width": 4, "step1_epochs": 1, "step2_epochs": 2},
    "ravel": {"engine": "gmm", "probability": 0.7},
    "stylegan": {"preset": "demo", "width": 2, "hidden": 4, "batch": 16},
    "deepharmony": {"width": 2, "epochs": 1},
}

PROGRAM = """
cd "$(dirname "$1")"
tail -n +2 "$1" | while IFS="$(printf '\\t')" read -r subject scanner image rest; do
    cp "$image" "$3/sub-${subject}_scanner-${scanner}_T1w.nii.gz" || exit 1
done
"""


def write_study(folder: Path, **given) -> Path:
    """A study of which any method can learn: with T2-weighted images."""
    return made_up_study.write_study(folder, t2=True, **given)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Three people on three scanners."""
    return read_sheet(write_study(tmp_path_factory.mktemp("study")), scale="brain")


@pytest.fixture(scope="module", autouse=True)
def made_elsewhere(tmp_path_factory):
    """What the arms of other people's images and programs need: an image of every scan here, and a shell script."""
    folder = tmp_path_factory.mktemp("made elsewhere")
    scans = read_sheet(write_study(folder, subjects=4), scale="brain").scans
    for scan in (*scans, dataclasses.replace(scans[0], scanner="Unheard-of")):
        save_image(folder / f"{scan.subject}_{scan.scanner}.nii.gz", 2 * scan.read(), scan.affine)
        smooth = blurred(scan.read(), scan.read_mask(), np.ones(3))
        save_image(folder / "smooth" / image_name(scan.name), smooth, scan.affine)
    (folder / "program.sh").write_text(PROGRAM)
    QUICK["external"] = {"images": f"{folder}/{{subject}}_{{scanner}}.nii.gz", "uses_other_scans": False}
    QUICK["matched_blur"] = {"images": str(folder / "smooth")}
    QUICK["command"] = {
        "fit": "cut -f 2 {scans} | sort -u > {model}/scanners.tsv",
        "apply": f"sh '{folder}/program.sh' {{scans}} {{model}} {{out}}",
    }


def fitted(name: str, study: Study, folder) -> None:
    parameters = make_parameters(methods()[name], QUICK.get(name, {}))
    fit_method(name, study, folder, parameters=parameters, context=Context(seed=1, device="cpu"))


def applied(name: str, folder: Path, study: Study, out: Path) -> None:
    apply_method(name, folder, study, out, given=QUICK.get(name))


def ready(name: str, folder, study: Study) -> Method:
    method = load_method(name, folder, given=QUICK.get(name))
    method.prepare(study)
    return method


@pytest.fixture(scope="module")
def model(request, study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / request.param
    fitted(request.param, study, folder)
    return request.param, folder


IMAGE_METHODS = [name for name, method in methods().items() if method.gives == "images"]
every_method = pytest.mark.parametrize("name", IMAGE_METHODS)
every_model = pytest.mark.parametrize("model", IMAGE_METHODS, indirect=True)


@every_method
def test_declares_itself(name):
    method = methods()[name]
    assert method.id == name == name.lower()
    assert method.label
    assert method.citation
    assert method.limits
    assert method.__doc__
    assert method.fits_on in ("study", "scan")
    assert method.needs <= {"paired", "gpu"}
    assert label(name) == method.label


@every_method
def test_unknown_and_mistyped_parameters_are_refused(name):
    with pytest.raises(InputError, match="no parameter 'no_such_thing'"):
        parse_parameters(methods()[name], ["no_such_thing=1"])
    with pytest.raises(InputError, match="name=value"):
        parse_parameters(methods()[name], ["no_such_thing"])
    kinds = typing.get_type_hints(methods()[name].Parameters)
    for field in dataclasses.fields(methods()[name].Parameters):
        # whatever isn't a text or a path has values that this isn't
        if kinds[field.name] not in (str, str | None, Path, Path | None):
            with pytest.raises(InputError, match=f"{name}.{field.name}: 'not this'"):
                parse_parameters(methods()[name], [f"{field.name}=not this"])


@every_model
def test_output_keeps_the_contract(model, study):
    name, folder = model
    method = ready(name, folder, study)
    for scan in study.scans[:2]:
        check_output(method.transform(scan), scan, name)


@every_model
def test_no_pickle_is_saved(model):
    _, folder = model
    for path in filter(Path.is_file, folder.rglob("*")):
        assert path.suffix in (".json", ".npz", ".npy", ".tsv", ".safetensors", ".nii", ".gz", ".sha256"), path
    for path in folder.rglob("*.npz"):
        np.load(path, allow_pickle=False)


@every_model
def test_the_same_seed_gives_the_same_bytes(model, study, tmp_path):
    name, folder = model
    fitted(name, study, tmp_path / "again")
    again, first = ready(name, tmp_path / "again", study), ready(name, folder, study)
    np.testing.assert_array_equal(again.transform(study.scans[0]), first.transform(study.scans[0]))


@every_model
def test_images_on_disk(model, study, tmp_path):
    name, folder = model
    applied(name, folder, Study(study.scans[:1]), tmp_path)
    scan = study.scans[0]
    voxels, affine = load_image(tmp_path / f"{scan.name}_T1w.nii.gz")
    np.testing.assert_array_equal(affine, scan.affine)
    assert not voxels[~scan.read_mask()].any()


@every_model
def test_an_unseen_subject(model, study, tmp_path):
    name, folder = model
    other = read_sheet(write_study(tmp_path, subjects=4), scale="brain").select(["04"])
    if methods()[name].unseen_subjects:
        applied(name, folder, other, tmp_path / "out")
        assert len(list((tmp_path / "out").iterdir())) == 3
    else:
        with pytest.raises(InputError, match="was not fitted on subject 04"):
            applied(name, folder, other, tmp_path / "out")


@every_model
def test_an_unseen_scanner(model, study, tmp_path):
    name, folder = model
    first = study.scans[0]
    other = Study((Scan(first.subject, "Unheard-of", first.image, first.mask, scale=first.scale),))
    if methods()[name].unseen_scanners:
        applied(name, folder, other, tmp_path / "out")
    else:
        with pytest.raises(InputError, match="Unheard-of.*knows Alpha, Beta 2, Gamma"):
            applied(name, folder, other, tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in filter(Path.is_file, folder.rglob("*"))}


@every_model
def test_a_held_out_persons_scans_change_no_fitted_number(model, tmp_path):
    """Whatever they look like, the model is the one of a study that never had that person."""
    name, folder = model
    study = read_sheet(write_study(tmp_path, subjects=4), scale="brain")
    study = folds.with_folds(study, {"01": "2", "02": "2", "03": "3", "04": "1"})
    for scan in folds.held_out(study, "1").scans:
        save_image(scan.image, 50 + np.square(scan.read()), scan.affine)
    fit_method(
        name,
        study,
        tmp_path / "model",
        withheld=Withheld("1"),
        parameters=make_parameters(methods()[name], QUICK.get(name, {})),
        context=Context(seed=1, device="cpu"),
    )
    assert contents(tmp_path / "model") == contents(folder)


@every_model
def test_a_left_out_scanners_scans_change_no_fitted_number(model, tmp_path):
    """Whatever they look like; and what can't be applied to them afterwards says so."""
    name, _ = model
    study = read_sheet(write_study(tmp_path, subjects=3), scale="brain")
    given = {
        "withheld": Withheld(scanner="Gamma"),
        "parameters": make_parameters(methods()[name], QUICK.get(name, {})),
        "context": Context(seed=1, device="cpu"),
    }
    if not methods()[name].unseen_scanners:
        with pytest.raises(NotApplicable, match="cannot be applied to scanners it was not fitted on"):
            fit_method(name, study, tmp_path / "model", **given)
        assert not (tmp_path / "model").exists()
        return
    fit_method(name, study, tmp_path / "one", **given)
    for scan in study.of_scanner("Gamma"):
        save_image(scan.image, 50 + np.square(scan.read()), scan.affine)
    fit_method(name, study, tmp_path / "other", **given)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    # and it harmonizes them, as a model of the whole study would not be let
    marked = left_out(study, "Gamma")
    applied(name, tmp_path / "one", marked.select(["01"]), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 3
    if methods()[name].fits_on == "study":
        fit_method(name, study, tmp_path / "whole", **{**given, "withheld": None})
        with pytest.raises(InputError, match="was fitted on Gamma, which the sheet leaves out"):
            applied(name, tmp_path / "whole", marked, tmp_path / "refused")


def left_out(study: Study, scanner: str) -> Study:
    """The study with a scanner marked as one that no fit sees."""
    marked = dict(zip(study.scanners, marks(study.scanners, scanner), strict=True))
    return Study(
        tuple(
            dataclasses.replace(scan, covariates={**scan.covariates, COLUMN: marked[scan.scanner]})
            for scan in study.scans
        )
    )


@every_model
def test_a_method_of_single_scans_learns_nothing_from_a_study(model, study, tmp_path):
    """So that its images are the same in every fold, and one set of them stands for all."""
    name, folder = model
    if methods()[name].fits_on == "study":
        pytest.skip("it fits on a study")
    fitted(name, study.select(["02"]), tmp_path / "model")
    found, all_scans = contents(tmp_path / "model"), contents(folder)
    for file in (MODEL_FILE, CHECKSUMS_FILE):
        del found[file], all_scans[file]
    assert found == all_scans


def on_grid(scan: Scan, folder: Path, shape: tuple[slice, ...], affine: np.ndarray) -> Scan:
    """The scan with a part of its voxels, or more background, under another affine."""
    margins = [(max(0, -part.start), 0) for part in shape]
    kept = tuple(slice(max(0, part.start), part.stop) for part in shape)
    image, mask = folder / f"{scan.scanner}.nii.gz", folder / f"{scan.scanner}_mask.nii.gz"
    save_image(image, np.pad(scan.read(), margins)[kept], affine)
    save_labels(mask, np.pad(scan.read_mask(), margins)[kept], affine)
    return dataclasses.replace(scan, image=image, mask=mask, t2=None)


@every_model
def test_the_grid_a_scan_lies_on_changes_nothing_or_is_refused(model, study, tmp_path):
    """Four voxels more of background, of the same place: what is learned by voxel would be taken from beside it."""
    name, folder = model
    first = study.scans[0]
    affine = first.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [4, 4, 4]
    other = on_grid(first, tmp_path, (slice(-4, None),) * 3, affine)
    apply_method(name, folder, Study((first,)), tmp_path / "own", given=QUICK.get(name))
    try:
        apply_method(name, folder, Study((other,)), tmp_path / "other", given=QUICK.get(name))
    except InputError as error:
        assert re.search(r"has shape .* resample|not written", str(error))
    else:
        own, found = (load_image(tmp_path / out / image_name(first.name))[0] for out in ("own", "other"))
        np.testing.assert_allclose(found[4:, 4:, 4:], own, rtol=1e-3, atol=1e-3)


@every_model
def test_a_method_that_is_by_voxel_refuses_another_place(model, study, tmp_path):
    name, folder = model
    if not load_method(name, folder, given=QUICK.get(name)).by_voxel:
        pytest.skip("it isn't by voxel")
    first = study.scans[0]
    affine = first.affine.copy()
    affine[0, 3] += 3
    moved = on_grid(first, tmp_path, (slice(0, None),) * 3, affine)
    with pytest.raises(InputError, match=f"affine differs from that of the scans that '{name}' was fitted on by .* 3"):
        apply_method(name, folder, Study((moved,)), tmp_path / "out", given=QUICK.get(name))


@every_model
def test_a_flipped_bit_of_a_model_is_refused_by_name(model, tmp_path):
    name, folder = model
    files = sorted(filter(Path.is_file, folder.rglob("*")))
    generator = np.random.default_rng(0)
    for path in files:
        copy = tmp_path / "model"
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        changed = copy / path.relative_to(folder)
        content = bytearray(changed.read_bytes())
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        changed.write_bytes(content)
        with pytest.raises(InputError, match="missing or changed since|changed since the model was saved") as refused:
            load_method(name, copy)
        assert str(copy) in str(refused.value)


@every_method
def test_who_is_the_same_person_is_asked_by_paired_methods_alone(name, tmp_path):
    """Names shuffled among each scanner's scans change no byte of what is learned."""
    chosen = methods()[name]
    if chosen.fits_on == "scan" or chosen.control or "paired" in chosen.needs or name == "command":
        pytest.skip("it learns nothing, is a control, needs pairs, or may do what it likes")
    study = read_sheet(write_study(tmp_path / "own", subjects=4), scale="brain")
    people, scanners = study.subjects, study.scanners

    def turned(scan: Scan) -> Scan:
        """The scan under the name of another person who was on its scanner; on the first scanner its own."""
        place = people.index(scan.subject) + scanners.index(scan.scanner)
        return dataclasses.replace(scan, subject=people[place % len(people)])

    others = Study(tuple(map(turned, study.scans)))
    assert others != study
    fitted(name, study, tmp_path / "own model")
    fitted(name, others, tmp_path / "other model")
    own, other = contents(tmp_path / "own model"), contents(tmp_path / "other model")
    for file in (MODEL_FILE, CHECKSUMS_FILE):
        del own[file], other[file]
    assert own == other


@every_method
def test_a_study_without_t2_weighted_images(name, tmp_path):
    """Is refused with the reason by what needs them, and asked for them by nothing else."""
    study = read_sheet(made_up_study.write_study(tmp_path), scale="brain")
    arm = methods()[name](make_parameters(methods()[name], QUICK.get(name, {})))
    if "T2w" in arm.contrasts:
        with pytest.raises(NotApplicable, match="needs T2-weighted images .*no scan of the sheet has one"):
            check_applicable(arm, study)
        one = dataclasses.replace(study.scans[0], t2=study.scans[0].image)
        with pytest.raises(NotApplicable, match="only Alpha has some"):
            check_applicable(arm, Study((one, *study.scans[1:])))
    else:
        check_applicable(arm, study)


@every_method
def test_a_missing_scan_does_not_stop_a_fit(name, tmp_path):
    sheet = write_study(tmp_path, missing=("02", "Gamma"))
    study = read_sheet(sheet, scale="brain")
    fitted(name, study, tmp_path / "model")
    applied(name, tmp_path / "model", study, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 8


@every_model
def test_a_changed_model_is_refused(model, study, tmp_path):
    name, folder = model
    with pytest.raises(InputError, match="no model there"):
        load_method(name, tmp_path)
    other = next(other for other in IMAGE_METHODS if other != name)
    with pytest.raises(InputError, match=f"holds a model of '{name}'"):
        load_method(other, folder)


def test_what_no_arm_may_give(study):
    scan = study.scans[0]
    image, mask = scan.read(), scan.read_mask()
    broken = image.copy()
    broken[mask.nonzero()[0][0], mask.nonzero()[1][0], mask.nonzero()[2][0]] = np.nan
    for output, message in [
        (image.astype(np.float64), "must return float32"),
        (image[1:], "gave shape"),
        (broken, "gave 1 NaN"),
        (np.where(mask, np.float32(3), np.float32(0)), "3 everywhere"),
        (image + 1, "outside the mask"),
    ]:
        with pytest.raises(InputError, match=message):
            check_output(output, scan, "made_up")


def test_the_template_is_a_method(study, tmp_path, monkeypatch):
    write_template("my_method", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    template = importlib.import_module("my_method").MyMethod
    method = template()
    method.fit(study)
    check_output(method.transform(study.scans[0]), study.scans[0], "my_method")
    # it shows in a run, whose scans have equal means: a scanner's contrast becomes the study's
    spreads = {
        scanner: np.mean([method.transform(scan)[scan.read_mask()].std() for scan in study.of_scanner(scanner)])
        for scanner in study.scanners
    }
    assert list(spreads.values()) == pytest.approx([np.mean(list(method.spreads.values()))] * len(spreads), rel=1e-4)
    assert np.ptp(list(method.spreads.values())) > 0.02 * np.mean(list(method.spreads.values()))
    (tmp_path / "model").mkdir()
    method.save(tmp_path / "model")
    again = template()
    again.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(study.scans[1]), method.transform(study.scans[1]))
    with pytest.raises(InputError, match="exists"):
        write_template("my_method", tmp_path)
    with pytest.raises(InputError, match="lower case"):
        write_template("My Method", tmp_path)
    assert "TODO" not in TEMPLATE


@pytest.mark.slow
def test_by_hand(sheet, tmp_path):
    def command(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "baselines", *words], capture_output=True, text=True)

    listed = command("list")
    assert all(name in listed.stdout for name in methods())
    model, out = str(tmp_path / "model"), str(tmp_path / "out")
    assert (
        command("fit", "whitestripe", "--scans", str(sheet), "--model", model, "--param", "width=0.1").returncode == 0
    )
    assert command("apply", "whitestripe", "--scans", str(sheet), "--model", model, "--out", out).returncode == 0
    assert (tmp_path / "out" / "sub-01_scanner-Beta 2_T1w.nii.gz").exists()
    refused = command("fit", "whitestrip", "--scans", str(sheet), "--model", model)
    assert refused.returncode == 2
    assert "did you mean 'whitestripe'" in refused.stderr
    assert "Traceback" not in refused.stderr
