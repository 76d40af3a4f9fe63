"""Images and programs from elsewhere."""

from __future__ import annotations

import shlex
import sys
import tempfile

import numpy as np
import pytest

from baselines.command import Command
from baselines.external import External
from baselines.harness.applying import apply_method
from baselines.harness.fitting import fit_method
from baselines.harness.parameters import make_parameters
from baselines.harness.registry import method
from core.errors import InputError
from core.images import load_image, save_image
from core.jobs.command import call_verb
from core.study import Study
from tests.support.methods import fitted, with_covariates


def test_external_images(study, tmp_path):
    arm = External(External.Parameters(images=f"{tmp_path}/{{subject}}/{{scanner}}.nii.gz", uses_other_scans=False))
    with pytest.raises(InputError, match=r"9 of 9 images are missing, the first is .*/01/Alpha\.nii\.gz"):
        arm.fit(study)
    for scan in study.scans:
        save_image(arm.path_of(scan), scan.read() + 5, scan.affine)
    fitted(arm, study)
    scan = study.scans[2]
    np.testing.assert_allclose(arm.transform(scan), np.where(scan.read_mask(), scan.read() + 5, 0))
    save_image(arm.path_of(scan), scan.read(), np.diag([5.0, 6.0, 6.0, 1.0]))
    with pytest.raises(InputError, match="differs from that of sub-01_scanner-Gamma by up to 1 mm"):
        arm.fit(study)
    for pattern, message in (("", "by --param images="), ("/x/{subject}.nii", "lacks {scanner}")):
        with pytest.raises(InputError, match=message):
            External(External.Parameters(images=pattern, uses_other_scans=True)).fit(study)
    with pytest.raises(InputError, match="say whether a person's other scans were used"):
        External(External.Parameters(images="/x/{subject}/{scanner}.nii")).fit(study)


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


@pytest.mark.parametrize("uses_other_scans", [False, True])
def test_a_program_is_called_once_a_scanner_or_for_all_scans(uses_other_scans, study, tmp_path, monkeypatch):
    awkward = tmp_path / "it's a folder; with $things"
    awkward.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(awkward))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    parameters = Command.Parameters(
        fit=f"{sys.executable} {program} fit {{scans}} {{model}}",
        apply=f"{sys.executable} {program} apply {{scans}} {{model}} {{out}}",
        uses_other_scans=uses_other_scans,
    )
    told = with_covariates(study, age=lambda scan: "70", truth_image=lambda scan: "secret.nii.gz")
    fit_method("command", told, tmp_path / "model", parameters=parameters)
    assert (tmp_path / "model" / "command" / "header.tsv").read_text() == "subject\tscanner\timage\tmask\tage"
    apply_method("command", tmp_path / "model", told, tmp_path / "out", given={"apply": parameters.apply})
    calls = [len(study.scans)] if uses_other_scans else [len(study.of_scanner(name)) for name in study.scanners]
    told_each = "".join(f"{scans} subject\tscanner\timage\tmask\tage\n" for scans in calls)
    assert (tmp_path / "calls").read_text() == told_each
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
    apply_method("command", tmp_path / "model", study, tmp_path / "out", given={"apply": parameters.apply})
    for scan in study.scans:
        np.testing.assert_allclose(load_image(tmp_path / "out" / f"{scan.name}_T1w.nii.gz")[0], scan.read(), rtol=1e-6)


def test_what_a_program_and_a_parameter_name_are_inputs(study, tmp_path):
    script, mask = tmp_path / "my copy.sh", tmp_path / "csf.nii.gz"
    script.write_text(SHELL)
    mask.touch()
    line = f"sh {shlex.quote(str(script))} {{scans}} {{out}} 'no file'"
    assert Command(Command.Parameters(apply=line)).reads(study) == [script]
    assert Command(Command.Parameters(apply="it's {scans} {out}")).reads(study) == []
    chosen = method("shuffle")
    settings = f"control_mask={shlex.quote(str(mask))}"
    assert chosen(make_parameters(chosen, {"base": "ravel", "settings": settings})).reads(study) == [mask]


@pytest.mark.parametrize("name", ["command", "shuffle"])
def test_a_models_folder_brings_no_command(name, study, sheet, tmp_path):
    """Neither its own nor one in the parameters of a method that it wraps; given again it is run."""
    script = tmp_path / "copy.sh"
    script.write_text(f"touch {tmp_path}/ran\n{SHELL}")
    line = f"sh {script} {{scans}} {{out}}"
    given = {"command": {"apply": line}, "shuffle": {"base": "command", "settings": shlex.join([f"apply={line}"])}}[
        name
    ]
    fit_method(name, study, tmp_path / "model", parameters=make_parameters(method(name), given))
    words = ["apply", name, "--model", f"{tmp_path}/model", "--scans", str(sheet), "--out", f"{tmp_path}/out"]
    for again in ({}, {"command": {"apply": f"{line} "}, "shuffle": {"base": "combat"}}[name]):
        with pytest.raises(InputError, match="brings no command" if not again else "was fitted with"):
            call_verb("baselines", None, [*words, *(f"--param={key}={value}" for key, value in again.items())])
        assert not (tmp_path / "ran").exists()
    call_verb("baselines", None, [*words, *(f"--param={key}={value}" for key, value in given.items())])
    assert (tmp_path / "ran").exists()
    assert len(list((tmp_path / "out").iterdir())) == len(study.scans)


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
