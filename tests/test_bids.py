"""BIDS datasets: which scans are found, how scanners are told apart, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from studies.bids.checking import check_image
from studies.bids.dataset import find_scans, images_of_paths, read_images, study_scans
from studies.bids.options import BidsOptions
from studies.bids.preview import describe
from studies.errors import InputError
from studies.sources.bids import split
from tests.shared import shared

ROOT = Path(__file__).resolve().parent.parent


def make_dataset(folder: Path, *names: str, **texts: str) -> Path:
    """A dataset of empty images, and of tables and sidecars by their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "made up", "BIDSVersion": "1.8.0"}')
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def t1w(subject: str, session: str = "", *, ending: str = ".nii.gz", middle: str = "") -> str:
    folder = f"sub-{subject}/" + (f"ses-{session}/" if session else "")
    return f"{folder}anat/sub-{subject}_" + (f"ses-{session}_" if session else "") + f"{middle}T1w{ending}"


def scans_of(folder: Path, images=None, **options) -> list[tuple[str, str, str]]:
    images = read_images(folder, models=options.get("scanner") == "model") if images is None else images
    found = study_scans(BidsOptions.from_json({"dataset": str(folder), **options}), images)
    return [(scan.subject, scan.scanner, scan.image.name) for scan in found]


def test_sessions_ragged_and_named(tmp_path):
    make_dataset(
        tmp_path,
        t1w("007", "B"),
        t1w("007", "A", ending=".nii"),
        t1w("01", "B"),
        t1w("01", "C"),
        "sub-01/ses-B/anat/sub-01_ses-B_T2w.nii.gz",
        "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sub-01/ses-B/func/sub-01_ses-B_task-rest_bold.nii.gz",
    )
    assert [scan[:2] for scan in scans_of(tmp_path, scanner="ses")] == [
        ("007", "A"),
        ("007", "B"),
        ("01", "B"),
        ("01", "C"),
    ]
    named = scans_of(tmp_path, scanner="ses", scanners={"B": "GE one", "A": "Trio"})
    assert [scan[:2] for scan in named] == [("007", "GE one"), ("007", "Trio"), ("01", "GE one")]
    assert [scan[0] for scan in scans_of(tmp_path, scanner="ses", subjects=["01"])] == ["01", "01"]


def test_a_derivative_is_a_dataset_of_its_own(tmp_path):
    make_dataset(tmp_path, t1w("01"))
    derivative = make_dataset(
        tmp_path / "derivatives" / "prep",
        "sub-01/anat/sub-01_acq-GE_desc-preproc_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-GE_space-MNI_desc-preproc_T1w.nii.gz",
    )
    with pytest.raises(InputError, match="2 images of subject 01 on scanner GE.*`select: {space: null}`"):
        scans_of(derivative, scanner="acq")
    (found,) = scans_of(derivative, scanner="acq", select={"space": "MNI"})
    assert "space-MNI" in found[2]


def test_runs_are_chosen(tmp_path):
    make_dataset(
        tmp_path,
        *(t1w(subject, "a", middle=f"run-{run}_") for subject in ("1", "2") for run in ("9", "10")),
        t1w("3", "a"),
    )
    with pytest.raises(InputError, match="2 images of subject 1 on scanner a.*run-10_T1w.*`repeats: first`"):
        scans_of(tmp_path, scanner="ses")
    last = [scan[2] for scan in scans_of(tmp_path, scanner="ses", repeats="last")]
    assert [name.count("run-10") for name in last] == [1, 1, 0]
    chosen = scans_of(tmp_path, scanner="ses", select={"run": [9, None]})
    assert [scan[2].count("run-9") for scan in chosen] == [1, 1, 0]
    assert scans_of(tmp_path, scanner="ses", select={"run": "09"})[0][2] == "sub-1_ses-a_run-9_T1w.nii.gz"


def test_scanners_by_model_are_inherited(tmp_path):
    make_dataset(
        tmp_path,
        t1w("01", "a"),
        t1w("01", "b"),
        **{
            "T1w.json": json.dumps({"ManufacturersModelName": "Achieva"}),
            t1w("01", "b", ending=".json"): json.dumps({"ManufacturersModelName": "Prisma fit"}),
        },
    )
    assert [scan[1] for scan in scans_of(tmp_path, scanner="model")] == ["Achieva", "Prisma fit"]


def test_scanners_by_columns_and_covariates(tmp_path):
    make_dataset(
        tmp_path,
        t1w("01", "a"),
        t1w("01", "b"),
        t1w("02", "a"),
        **{
            "participants.tsv": "participant_id\tage\tsite\timage\nsub-01\t71\tX\tno\nsub-02\tn/a\tn/a\tno\n",
            "sub-01/sub-01_sessions.tsv": "session_id\tmachine\tage\nses-a\tGE\t71.5\nses-b\tTrio\t72\n",
            "sub-01/ses-a/sub-01_ses-a_scans.tsv": "filename\tcoil\nanat/sub-01_ses-a_T1w.nii.gz\t32\n",
        },
    )
    images = read_images(tmp_path)
    options = BidsOptions(dataset=str(tmp_path), scanner="sessions:machine", subjects=("01",))
    first, second = study_scans(options, images)
    assert (first.scanner, second.scanner) == ("GE", "Trio")
    assert first.covariates == {"age": "71.5", "site": "X", "machine": "GE", "coil": "32"}
    with pytest.raises(InputError, match="gives 1 images no scanner .sub-02"):
        scans_of(tmp_path, scanner="participants:site")
    with pytest.raises(InputError, match="no column 'sight' in participants.tsv .columns: age, image, site"):
        scans_of(tmp_path, scanner="participants:sight")


def test_paths_alone_give_the_same(tmp_path):
    names = [t1w("007", "A"), t1w("01", "A", middle="run-01_"), "derivatives/x/sub-9/anat/sub-9_T1w.nii.gz", "CHANGES"]
    make_dataset(tmp_path, *names)
    assert images_of_paths(names) == read_images(tmp_path)


@pytest.mark.parametrize(
    "names, options, message",
    [
        ([], {}, "no T1w image"),
        (["sub-01/anat/sub-02_T1w.nii.gz"], {}, "lies in the folder 'sub-01' and names subject '02'"),
        (["sub-0 1/anat/sub-0 1_T1w.nii.gz", t1w("0")], {"scanner": "ses"}, "gives .* no scanner"),
        ([t1w("01")], {}, "what tells its scanners apart"),
        ([t1w("01", "a")], {"scanner": "sess"}, "give ses, acq, model"),
        ([t1w("01", "a")], {"scanner": "ses", "scanners": ["b"]}, "no image of 'b'"),
        ([t1w("01", "a")], {"scanner": "ses", "subjects": ["02"]}, "'02' has no T1w image"),
        ([t1w("01", "a")], {"scanner": "ses", "select": {"rum": 1}}, "did you mean 'run'"),
        ([t1w("01", "a")], {"scaner": "ses"}, "did you mean 'scanner'"),
    ],
)
def test_refused_datasets(tmp_path, names, options, message):
    make_dataset(tmp_path, *names)
    with pytest.raises(InputError, match=message):
        scans_of(tmp_path, **options)


def test_no_dataset_at_all(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_images(tmp_path / "absent")
    with pytest.raises(InputError, match="no dataset_description.json"):
        read_images(tmp_path)


def preview(folder: Path, **options) -> str:
    images = read_images(folder, models=True)
    return "\n".join(describe(BidsOptions.from_json({"dataset": str(folder), **options}), images))


def test_the_preview_finds_the_way(tmp_path):
    make_dataset(
        tmp_path,
        t1w("01", "GE"),
        t1w("01", "Trio"),
        t1w("02", "GE", middle="run-1_"),
        t1w("02", "GE", middle="run-2_"),
        t1w("02", "Trio"),
        t1w("03", "GE"),
        **{"participants.tsv": "participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-03\tF\n"},
    )
    told = preview(tmp_path)
    assert "6 T1w images of 3 subjects" in told
    assert "ses " in told and "participants:sex" not in told
    assert "Missing (allowed; every table shows its n): 03 on Trio" in told
    assert "Ambiguous, 1 to decide" in told and "`select: {run: 1}`" in told
    assert "2 subjects on 2 scanners or more" in told and "scanner: 'ses'" in told


def test_the_preview_of_one_scanner():
    told = preview(shared("data/ds002748"))
    assert "18 T1w images of 18 subjects" in told
    assert "Nothing tells scanners apart" in told
    assert "needs at least 2 people who were each scanned on 2 scanners" in told
    assert "Covariates: age, sex, group" in told


def save(path: Path, voxels: np.ndarray, affine=None, **codes: int) -> Path:
    image = nib.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine)
    if codes:
        image.set_sform(image.affine, codes["sform_code"])
        image.set_qform(image.affine, codes["qform_code"])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(path)
    return path


VOXELS = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


@pytest.mark.parametrize(
    "voxels, codes, message",
    [
        (np.stack([VOXELS, VOXELS], axis=-1), {}, "4 dimensions"),
        (VOXELS, {"sform_code": 0, "qform_code": 0}, "no orientation"),
        (np.ones((3, 4, 5), np.float32), {}, "1 everywhere"),
        (np.where(VOXELS == 5, np.nan, VOXELS), {}, "1 NaN or infinite"),
    ],
)
def test_refused_images(tmp_path, voxels, codes, message):
    path = save(tmp_path / "a.nii.gz", voxels, **codes)
    with pytest.raises(InputError, match=f"a.nii.gz: .*{message}"):
        check_image(path)


def test_refused_grids(tmp_path):
    sheared = np.array([[2.0, 0.5, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    with pytest.raises(InputError, match="right angles"):
        check_image(save(tmp_path / "a.nii", VOXELS, sheared))
    with pytest.raises(InputError, match="voxels of 2 x 2 x 40 mm"):
        check_image(save(tmp_path / "b.nii", VOXELS, np.diag([2.0, 2.0, 40.0, 1.0])))
    check_image(save(tmp_path / "c.nii", VOXELS))


def test_the_command_names_a_corrupt_image(tmp_path):
    folder = make_dataset(tmp_path / "set")
    save(folder / t1w("01", "a"), VOXELS)
    broken = folder / t1w("01", "b")
    whole = save(broken, np.random.default_rng(0).random((20, 20, 20), dtype=np.float32)).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    done = subprocess.run(
        [sys.executable, "-m", "studies", "bids", str(folder), "--scanner", "ses"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "2 T1w images of 1 subject" in done.stdout
    assert "sub-01_ses-b_T1w.nii.gz: its voxels cannot be read" in done.stderr and "Traceback" not in done.stderr


def test_every_scan_is_a_job_of_its_own(tmp_path):
    """A study run plans the steps of the scans that there are, and no others."""
    dataset = make_dataset(tmp_path / "set", t1w("01", "a"), t1w("01", "b"), t1w("02", "a"))
    (tmp_path / "mine.yaml").write_text(
        f"run: mine\nstudy: {{source: bids, bids: {{dataset: {dataset}, scanner: ses}}}}\n"
        "methods: {whitestripe: null, ravel: null, mispel: null}\n"
    )
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    done = subprocess.run(
        [*command, "--dry-run", "--cores", "1", "--configfile", str(tmp_path / "mine.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert (counts["register"], counts["resample"], counts["quality"]) == ("3", "3", "1")


def test_found_counts_what_is_left_out(tmp_path):
    make_dataset(tmp_path, t1w("01", "a"), t1w("01", "b"), t1w("02", "b"))
    options = BidsOptions.from_json({"dataset": str(tmp_path), "scanner": "ses", "scanners": {"a": "GE"}})
    found = find_scans(read_images(tmp_path), options)
    assert found.left_out == {"b": 2} and found.scanners == ("GE",) and found.missing == []


def test_the_shipped_masivar_configuration():
    """One image a person and scanner: the first of those in the first session."""
    block = yaml.safe_load((ROOT / "config" / "masivar.yaml").read_text())["study"]["bids"]
    people = block["subjects"]
    sessions = ("s1Ax1", "s1Ax2", "s1Bx1", "s3x1")
    paths = [
        f"sub-{person}/ses-{session}/anat/sub-{person}_ses-{session}_run-{run}_T1w.nii.gz"
        for person in (*people, "cIs1")
        for session in sessions
        for run in (101, 99)
    ]
    scans = study_scans(split(block)[0], images_of_paths(paths))
    assert [(scan.subject, scan.scanner) for scan in scans[:3]] == [
        ("cIIs00", "site1A"),
        ("cIIs00", "site1B"),
        ("cIIs00", "site3"),
    ]
    assert len(scans) == 15 and all("x1_run-99_" in scan.image.name for scan in scans)
