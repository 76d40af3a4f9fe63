"""A run as BIDS derivatives: read by pybids, passed by the validator, named by what the scans were read from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids import BIDSLayout

from core.errors import InputError
from core.files import read_json, read_table, write_json, write_table
from core.images import load_image, save_labels
from studies.export import export
from tests.support.example_run import write_example_run

SCANNERS = ("GE", "Siemens Prisma")
PHANTOM = {"subjects": 2, "scanners": ["GE", "Prisma"], "voxel_size_mm": 2}


def made_up_run(folder: Path, source: str, options: dict) -> Path:
    run = write_example_run(folder / "results" / "mine", subjects=2, scanners=SCANNERS, methods=("raw", "mispel"))
    told = read_json(run / "provenance.json")
    told["config"]["study"] = {"source": source}
    write_json(run / "provenance.json", told)
    write_json(run / "study" / "options.json", options)
    for name in read_table(run / "scans.tsv")["mask"]:
        image = run / "images" / "raw" / Path(name).name.replace("_mask", "_T1w")
        voxels, affine = load_image(image)
        save_labels(run / name, voxels > 0, affine)
    return run


def read_from_bids(folder: Path) -> dict:
    """The options of a study of a dataset in which the scanners are two sessions."""
    return {
        "dataset": str(folder / "dataset"),
        "scanner": "ses",
        "registration": "none",
        "brain": "stripped",
        "scans_found": [
            {
                "subject": subject,
                "scanner": scanner,
                "image": str(folder / f"dataset/sub-{subject}/{session}/anat/sub-{subject}_{session}_run-2_T1w.nii.gz"),
                "session": "",
                "rescan": False,
                "covariates": {},
            }
            for subject in ("01", "02")
            for scanner, session in zip(SCANNERS, ("ses-a", "ses-b"), strict=True)
        ],
    }


def complaints(folder: Path) -> list[dict]:
    """The errors that the BIDS validator has."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, folder, "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


def test_the_phantom_lies_in_the_atlas_space(tmp_path):
    run = made_up_run(tmp_path, "phantom", PHANTOM)
    out = export(run, tmp_path / "out")
    assert not complaints(out)
    layout = BIDSLayout(out, is_derivative=True, validate=False, config=["bids", "derivatives"])
    found = layout.get(desc="mispel", suffix="T1w", extension=".nii.gz", space="MNI152NLin2009aSym")
    assert sorted((image.entities["subject"], image.entities["acquisition"]) for image in found) == [
        (subject, scanner) for subject in ("01", "02") for scanner in ("GE", "SiemensPrisma")
    ]
    assert found[0].get_metadata()["SkullStripped"] is True
    assert found[0].get_metadata()["Simulated"] is True
    assert len(layout.get(suffix="dseg", extension=".nii.gz")) == 2 * len(found)
    assert len(layout.get(desc="brain", suffix="mask", extension=".nii.gz")) == len(found)
    image = nib.load(found[0].path)
    voxels, affine = load_image(run / "images" / "mispel" / "sub-01_scanner-GE_T1w.nii.gz")
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), voxels)
    for coordinates, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(coordinates, affine, atol=1e-6)
        assert code == 4


def test_images_of_a_dataset_keep_their_names(tmp_path):
    run = made_up_run(tmp_path, "bids", read_from_bids(tmp_path))
    out = export(run, tmp_path / "out", arms=["mispel"])
    assert not complaints(out)
    image = out / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_run-2_desc-mispel_T1w.nii.gz"
    assert image.is_file()
    assert nib.load(image).header["sform_code"] == 1
    assert not list(out.rglob("*desc-raw*"))
    told = read_json(image.with_name(image.name.replace(".nii.gz", ".json")))
    assert told["Sources"] == ["bids:raw:sub-01/ses-b/anat/sub-01_ses-b_run-2_T1w.nii.gz"]
    assert read_json(out / "dataset_description.json")["DatasetLinks"] == {"raw": "../dataset"}
    assert str(tmp_path) not in (out / "dataset_description.json").read_text()


def test_controls_are_exported_where_they_are_asked_for(tmp_path):
    run = made_up_run(tmp_path, "phantom", PHANTOM)
    table = read_table(run / "arms.tsv")
    table["role"] = ["arm", "permuted"]
    write_table(run / "arms.tsv", table)
    for asked, there in (({}, {"raw"}), ({"controls": True}, {"raw", "mispel"}), ({"arms": ["mispel"]}, {"mispel"})):
        out = export(run, tmp_path / "out", **asked)
        assert {path.name.split("desc-")[1].split("_")[0] for path in out.rglob("*_T1w.nii.gz")} == there


def test_an_export_is_replaced_and_anything_else_is_left(tmp_path):
    run = made_up_run(tmp_path, "phantom", PHANTOM)
    out = export(run, tmp_path / "out")
    (out / "sub-01" / "old.txt").write_text("of before")
    export(run, out, arms=["raw"])
    assert not (out / "sub-01" / "old.txt").exists()
    assert not list(out.rglob("*desc-mispel*"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.md").write_text("mine")
    with pytest.raises(InputError, match="no export of a run"):
        export(run, tmp_path / "thesis")
    with pytest.raises(InputError, match="no images of an arm 'mispal'"):
        export(run, tmp_path / "other", arms=["mispal"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "results", "thesis"]


def test_scans_that_bids_cannot_tell_apart_are_refused(tmp_path):
    run = made_up_run(tmp_path, "phantom", PHANTOM)
    table = read_table(run / "scans.tsv")
    table["scanner"] = table["scanner"].replace({"GE": "Siemens-Prisma"})
    write_table(run / "scans.tsv", table)
    with pytest.raises(InputError, match="would both be"):
        export(run, tmp_path / "out")
