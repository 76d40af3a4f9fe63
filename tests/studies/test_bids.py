"""BIDS datasets: which scans are found, how scanners are told apart, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from core.errors import InputError
from core.options import make
from studies.bids.checking import check_image
from studies.bids.images import images_of_paths, read_images, read_t2_images
from studies.bids.options import BidsOptions
from studies.bids.preview import describe
from studies.bids.scans import find_scans, scanner_values, study_scans
from studies.sources import source
from tests.support.bids_dataset import make_dataset, t1w, t2w
from tests.support.paths import ROOT
from tests.support.shared import shared
from workflow.configuration import Configuration


def scans_of(folder: Path, images=None, **options) -> list[tuple[str, str, str]]:
    images = read_images(folder) if images is None else images
    found = study_scans(make(BidsOptions, {"dataset": str(folder), **options}), images)
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
            "sub-01/ses-a/sub-01_ses-a_scans.tsv": "filename\tcoil\tTime\nanat/sub-01_ses-a_T1w.nii.gz\t32\t9:30\n",
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
    ("names", "options", "message"),
    [
        ([], {}, "no T1w image"),
        (["sub-01/anat/sub-02_T1w.nii.gz"], {}, "lies in the folder 'sub-01' and names subject '02'"),
        (["sub-01/ses-b/anat/sub-01_ses-a_T1w.nii.gz"], {}, "lies in the folder 'ses-b' and names session 'a'"),
        ([t1w("01"), "sub-01_T1w.nii.gz"], {}, "sub-01_T1w.nii.gz: lies in the dataset's own folder.*sub-01/anat/"),
        ([t1w("01"), "old/sub-01_T1w.nii.gz"], {}, "old/sub-01_T1w.nii.gz: lies in the folder 'old'.*sourcedata/"),
        ([t1w("01"), "sub-01/func/sub-01_T1w.nii.gz"], {}, "in the folder 'func'; move it to anat/"),
        ([t1w("01"), "sub-01/anat/sub-01_run-2_t1w.nii.gz"], {}, "ends in '_t1w.nii.gz'; BIDS has '_T1w.nii.gz'"),
        ([t1w("01"), "sub-01/anat/sub-01_run-2_T1W.NII.GZ"], {}, "ends in '_T1W.NII.GZ'; BIDS has '_T1w.nii.gz'"),
        ([t1w("01"), "sub-01/anat/sub-01_run-2_T1w.nii.gz/0.dcm"], {}, "run-2_T1w.nii.gz: a folder"),
        ([t1w("01", "a")], {"scanner": "ses", "select": {"ses": 9}}, "leaves none of the 1 images .* ses is a"),
        (
            [t1w("01", "a"), t1w("02", "b")],
            {"scanner": "ses", "select": {"ses": "a"}, "subjects": ["02"]},
            "`select` leaves no T1w image of '02'",
        ),
        (
            [t1w("01", "a"), t1w("01", "b")],
            {"scanner": "ses", "scanners": {"a": "X", "b": "X"}},
            "a name for each ses in `scanners`",
        ),
        ([t1w("01", "a"), t1w("01", "b")], {"scanner": "one"}, "`scanner: ses` if it tells scanners apart"),
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


@pytest.mark.parametrize("session", ["2020-01-01", "pre-op", "day 1", "prä"])
def test_labels_are_whole(tmp_path, session):
    make_dataset(
        tmp_path,
        t1w("01", session, middle="acq-GE-450_"),
        t1w("01", session, middle="acq-GE-750_"),
        ".trash/sub-02/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/._sub-01_T1w.nii.gz",
        **{"sub-01/anat/acq-GE-450_T1w.json": json.dumps({"ManufacturersModelName": " elsewhere "})},
    )
    assert [scan[1] for scan in scans_of(tmp_path, scanner="acq")] == ["GE-450", "GE-750"]
    (chosen,) = scans_of(tmp_path, scanner="ses", select={"acq": "GE-450"}, scanners={session: "one"})
    assert "GE-450" in chosen[2]
    assert scanner_values(tmp_path, read_images(tmp_path), "model") == ["", ""]
    preview(tmp_path)


def test_a_link_into_itself_ends(tmp_path):
    make_dataset(tmp_path / "set", t1w("01", "a"))
    (tmp_path / "set" / "sub-01" / "all").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "sub-02").symlink_to(make_dataset(tmp_path / "other", "anat/sub-02_T1w.nii.gz"))
    assert [image.subject for image in read_images(tmp_path / "set")] == ["01", "02"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON as UTF-8"),
        ("", "not JSON as UTF-8"),
        ("[1]", "holds a list"),
        ('{"Institution": "Köln"}', "not JSON as UTF-8"),
    ],
)
def test_a_bad_sidecar_matters_where_it_is_read(tmp_path, content, message):
    make_dataset(tmp_path, t1w("01", "a"))
    (tmp_path / "T1w.json").write_text(content, encoding="latin-1")
    assert scans_of(tmp_path, scanner="ses")
    assert "1 T1w image" in preview(tmp_path, scanner="ses")
    with pytest.raises(InputError, match=f"T1w.json: {message}.*; correct it or leave it out"):
        scans_of(tmp_path, scanner="model")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("participant_id,site\nsub-01,X\n", "no tabs between the names 'participant_id,site', but commas"),
        ('participant_id\tsite\nsub-01\t"X\nsub-02\tY\n', "row 2: the cell '\"X' begins with a quote"),
        ("participant_id\tsite\nsub-01\tX\tY\n", "row 2: 3 cells, beginning 'sub-01', where the header has 2"),
        ("participant_id\tsite\tsite\nsub-01\tX\tY\n", "2 columns 'site'; rename or remove"),
        ("participant_id\tsite\nsub-01\n", "row 2: 1 cells, beginning 'sub-01', where the header has 2"),
        ("participant\tsite\nsub-01\tX\n", "no column participant_id .columns: participant, site.*tabs"),
        ("participant_id\tsite\nsub-01\tKöln\n", "not text in UTF-8 .*save it anew"),
        ("participant_id\tsite\nsub-2\tX\n", "participants.tsv has no row of sub-01, but one of 'sub-2'"),
        ("participant_id\tsite\nsub-1\tX\n", "participants.tsv: no row of sub-01, but one of 'sub-1'; correct its"),
        ("participant_id\nsub-01\n", "participants.tsv has no column but participant_id"),
        ("participant_id\tsite\n", "there is no participants.tsv with rows"),
    ],
)
def test_refused_tables(tmp_path, table, message):
    make_dataset(tmp_path, t1w("01"))
    (tmp_path / "participants.tsv").write_text(table, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        scans_of(tmp_path, scanner="participants:site")


def test_refused_scans_table(tmp_path):
    table = "filename\tmachine\nfunc/sub-01_bold.nii.gz\tA\nanat/sub-01_T1w.nii\tA\n"
    make_dataset(tmp_path, t1w("01"), **{"sub-01/sub-01_scans.tsv": table})
    with pytest.raises(InputError, match=r"_scans.tsv: no row of anat/sub-01_T1w.nii.gz, but one of 'anat.*T1w.nii'"):
        scans_of(tmp_path, scanner="scans:machine")


def test_padded_cells_are_stripped(tmp_path):
    make_dataset(tmp_path, t1w("01"), **{"participants.tsv": "participant_id \tsite\n sub-01 \t X \n"})
    assert [scan[1] for scan in scans_of(tmp_path, scanner="participants:site")] == ["X"]


def test_no_dataset_at_all(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_images(tmp_path / "absent")
    with pytest.raises(InputError, match="no dataset_description.json"):
        read_images(tmp_path)


def preview(folder: Path, **options) -> str:
    images = read_images(folder)
    return "\n".join(describe(make(BidsOptions, {"dataset": str(folder), **options}), images))


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
    assert "ses " in told
    assert "participants:sex" not in told
    assert "Missing (allowed; every table shows its n): 03 on Trio" in told
    assert "Ambiguous, 1 to decide" in told
    assert "`select: {run: 1}`" in told
    assert "2 subjects on 2 scanners or more" in told
    assert "scanner: ses}" in told


def test_the_preview_names_scanners_and_counts_covariates(tmp_path):
    models = {
        t1w(subject, session, ending=".json"): json.dumps({"ManufacturersModelName": model})
        for subject in ("01", "02")
        for session, model in (("1", "SIGNA/Premier"), ("2", "Prisma"))
    }
    table = "participant_id\tage\tsex\nsub-02\tn/a\tF\nsub-03\t50\tF\n"
    folder = tmp_path / "a: set, {mine}"
    make_dataset(folder, *(name.replace(".json", ".nii") for name in models), **models, **{"participants.tsv": table})
    told = preview(folder)
    assert "Covariates: age (0 of 2 people), sex (1 of 2 people)" in told
    (row,) = (line for line in told.splitlines() if line.startswith("  model"))
    assert "needs names in `scanners`" in row
    told = preview(folder, scanner="model", scanners={"Prisma": "P", "SIGNA/Premier": "S"}, select={"ses": [1, 2]})
    study = yaml.safe_load(told[told.index("  study: ") :])["study"]
    assert study["bids"] == {
        "dataset": str(folder),
        "scanner": "model",
        "scanners": {"Prisma": "P", "SIGNA/Premier": "S"},
        "select": {"ses": ["1", "2"]},
    }
    with pytest.raises(InputError, match="'04' has no T1w image"):
        preview(folder, subjects=["04"])


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
    ("voxels", "codes", "message"),
    [
        (np.stack([VOXELS, VOXELS], axis=-1), {}, "4 dimensions"),
        (VOXELS, {"sform_code": 0, "qform_code": 0}, "no orientation"),
        (np.ones((3, 4, 5), np.float32), {}, "1 everywhere"),
        (np.where(VOXELS == 5, np.nan, VOXELS), {}, "1 NaN or infinite"),
        (VOXELS.astype(np.complex64), {}, "voxels are complex64"),
        (np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), {}, "voxels are RGB"),
    ],
)
def test_refused_images(tmp_path, voxels, codes, message):
    path = save(tmp_path / "a.nii.gz", voxels, **codes)
    with pytest.raises(InputError, match=f"a.nii.gz: .*{message}"):
        check_image(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [("pipe", "not a regular file"), ("huge", "more than 10000000 bytes"), ("deep", "not JSON as UTF-8 text")],
)
def test_sidecars_that_no_reader_should_meet(tmp_path, change, message):
    make_dataset(tmp_path, t1w("01", "A"), t1w("01", "B"))
    sidecar = tmp_path / "T1w.json"
    if change == "pipe":
        os.mkfifo(sidecar)
    else:
        sidecar.write_bytes(b"[" * {"huge": 10_000_001, "deep": 100_000}[change])
    with pytest.raises(InputError, match=f"T1w.json: {message}"):
        scans_of(tmp_path, scanner="model")


@pytest.mark.parametrize("change", ["checksum", "cut", "empty", "not gzip", "link"])
def test_refused_streams(tmp_path, change):
    """Also a stream whose voxels nibabel reads without a word."""
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 999, (9, 9, 9), dtype=np.int16))
    whole = bytearray(path.read_bytes())
    whole[-8] ^= 1
    path.unlink()
    if change == "link":
        path.symlink_to("absent")
    else:
        path.write_bytes({"checksum": whole, "cut": whole[:-4], "empty": b"", "not gzip": bytes(400)}[change])
    message = {"empty": r"empty \(0 bytes", "not gzip": "not a readable.*; copy or convert", "link": "git annex get"}
    with pytest.raises(InputError, match=f"a.nii.gz: .*{message.get(change, 'not a readable.*; copy or convert')}"):
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
    assert "sub-01_ses-b_T1w.nii.gz: its voxels cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("rescans", [[], [t1w("01", "a", middle="run-2_")]])
def test_every_scan_is_a_job_of_its_own(tmp_path, rescans):
    """A study run plans the steps of the scans and rescans that there are, and no others."""
    dataset = make_dataset(tmp_path / "set", t1w("01", "a"), t1w("01", "b"), t1w("02", "a"), *rescans)
    repeats = ", repeats: rescans" if rescans else ""
    (tmp_path / "mine.yaml").write_text(
        f"run: mine\nstudy: {{source: bids, bids: {{dataset: {dataset}, scanner: ses{repeats}}}}}\n"
        "methods: {whitestripe: null, ravel: null, mispel: null}\n"
    )
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    done = subprocess.run(
        [*command, "--dry-run", "--printshellcmds", "--cores", "1", "--configfile", str(tmp_path / "mine.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    scans = str(3 + len(rescans))
    assert (counts["register"], counts["resample"], counts["quality"]) == (scans, scans, "1")
    of_rescans = (done.stdout.count("--scan 01 a 2 --out"), done.stdout.count("--scans 01:a 01:a:2 01:b 02:a "))
    assert of_rescans == ((2, 1) if rescans else (0, 0))


def test_found_counts_what_is_left_out(tmp_path):
    make_dataset(tmp_path, t1w("01", "a"), t1w("01", "b"), t1w("02", "b"))
    options = make(BidsOptions, {"dataset": str(tmp_path), "scanner": "ses", "scanners": {"a": "GE"}})
    found = find_scans(read_images(tmp_path), options)
    assert found.left_out == {"b": 2}
    assert found.scanners == ("GE",)
    assert found.missing == []


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
    scans = study_scans(source("bids").options(block), images_of_paths(paths))
    assert [(scan.subject, scan.scanner) for scan in scans[:3]] == [
        ("cIIs00", "site1A"),
        ("cIIs00", "site1B"),
        ("cIIs00", "site3"),
    ]
    assert len(scans) == 15
    assert all("x1_run-99_" in scan.image.name for scan in scans)


def test_an_image_that_pybids_does_not_know_is_refused(tmp_path):
    make_dataset(tmp_path, t1w("01", "a"), t1w("01", "T.v1"))
    with pytest.raises(InputError, match="ses-T.v1_T1w.nii.gz: its name isn't one that BIDS has; .*rename it"):
        read_images(tmp_path)


def test_a_dataset_by_its_relative_path(tmp_path, monkeypatch):
    model = json.dumps({"ManufacturersModelName": "Trio"})
    make_dataset(tmp_path / "set", t1w("01", "a"), **{t1w("01", "a", ending=".json"): model})
    monkeypatch.chdir(tmp_path)
    assert scanner_values(Path("set"), read_images("set"), "model") == ["Trio"]


def sessions_of(folder: Path, *names: str, **options) -> list[tuple[str, str, str, bool]]:
    """Scanner, session, the image's ending after the subject, and whether it's a rescan, of one person's images."""
    make_dataset(folder, *names)
    found = study_scans(
        make(BidsOptions, {"dataset": str(folder), "repeats": "rescans", **options}), images_of_paths(names)
    )
    return [(scan.scanner, scan.session, scan.image.name.removesuffix("_T1w.nii.gz"), scan.rescan) for scan in found]


def test_rescans_are_ordered_and_named_by_their_sessions(tmp_path):
    names = [t1w("1", session, middle="acq-GE_") for session in ("10", "9", "2")]
    found = sessions_of(tmp_path, *names, t1w("1", "9", middle="acq-Trio_"), scanner="acq")
    assert found == [
        ("GE", "2", "sub-1_ses-2_acq-GE", False),
        ("GE", "9", "sub-1_ses-9_acq-GE", True),
        ("GE", "10", "sub-1_ses-10_acq-GE", True),
        ("Trio", "1", "sub-1_ses-9_acq-Trio", False),
    ]


@pytest.mark.parametrize(
    ("names", "sessions"),
    [
        ([t1w("1", "day 1!")], ["1"]),
        ([t1w("1", middle="run-1_"), t1w("1", middle="run-02_")], ["1", "02"]),
        ([t1w("1", "x", middle=f"acq-{acq}_run-{run}_") for acq, run in (("b", 1), ("a", 2))], ["a", "b"]),
        # an image without the label has no name by it, and one label for two images tells nothing
        ([t1w("1"), t1w("1", middle="run-2_")], ["1", "2"]),
        ([t1w("1", session, middle=f"run-{run}_") for session in "xy" for run in (1, 2)], ["1", "2", "3", "4"]),
    ],
)
def test_what_tells_rescans_apart_names_them(tmp_path, names, sessions):
    found = sessions_of(tmp_path, *names, scanner="one")
    assert [scan[1] for scan in found] == sessions
    assert [scan[3] for scan in found] == [number > 0 for number in range(len(sessions))]


def test_what_is_no_rescan_is_refused(tmp_path):
    names = [t1w("1", "x"), t1w("1", "x", middle="space-MNI_"), t1w("1", "y")]
    with pytest.raises(
        InputError, match="2 images of one acquisition of subject 1 on .*`select: {space: null}`"
    ) as told:
        sessions_of(tmp_path, *names, scanner="one")
    assert "rescans" not in str(told.value)
    assert "ses-y" not in str(told.value)
    named = [t1w("2", "pre op!"), t1w("2", "post")]
    with pytest.raises(InputError, match="ses-pre op!_T1w.nii.gz: the name of a rescan by its ses, so rename"):
        sessions_of(tmp_path, *named, scanner="one")


def test_the_refusal_of_several_images_offers_rescans(tmp_path):
    make_dataset(tmp_path, t1w("1", "a", middle="run-1_"), t1w("1", "a", middle="run-2_"))
    with pytest.raises(InputError, match="`select: {run: 1}`, or `repeats: first`, `last` or `rescans`$"):
        scans_of(tmp_path, scanner="ses")
    with pytest.raises(InputError, match="repeats: 'again'"):
        scans_of(tmp_path, scanner="ses", repeats="again")


def test_the_preview_tells_rescans(tmp_path):
    names = [t1w(person, scanner, middle=f"run-{run}_") for person in "12" for scanner in "ab" for run in (1, 2)]
    make_dataset(tmp_path, *names, t1w("1", "a", middle="run-3_"))
    told = preview(tmp_path, scanner="ses", repeats="rescans")
    assert "Rescans, 5 in all: 1 on a (2, 3); 1 on b (2); 2 on a (2); 2 on b (2)" in told
    assert "Ambiguous" not in told
    assert "A harmonization study can be made:" in told
    assert yaml.safe_load(told[told.index("  study: ") :])["study"]["bids"]["repeats"] == "rescans"


def test_a_column_of_the_dataset_is_not_the_sheets_session(tmp_path):
    table = "participant_id\tsession\tage\nsub-1\tbaseline\t71\n"
    make_dataset(tmp_path, t1w("1", "a"), **{"participants.tsv": table})
    options = make(BidsOptions, {"dataset": str(tmp_path), "scanner": "ses"})
    (scan,) = study_scans(options, read_images(tmp_path))
    assert scan.covariates == {"age": "71"}


def test_a_run_plans_rescans_as_scans_of_their_own(tmp_path):
    names = [t1w(person, scanner, middle=f"run-{run}_") for person in "12" for scanner in "ab" for run in (1, 2)]
    make_dataset(tmp_path, *names[:-1])
    given = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    given["study"] = {"source": "bids", "bids": {"dataset": str(tmp_path), "scanner": "ses", "repeats": "rescans"}}
    planned = Configuration(given)
    assert list(planned.scans) == [
        *(f"sub-1_scanner-{scanner}{again}" for scanner in "ab" for again in ("", "_session-2")),
        *("sub-2_scanner-a", "sub-2_scanner-a_session-2", "sub-2_scanner-b"),
    ]
    assert planned.subjects == ["1", "2"]
    assert planned.scanners == ["a", "b"]


YEARS_LATER = "2012-01-01T09:00:00", "2012-01-03T09:00:00", "2014-01-01T09:00:00", "2014-01-04"
VISITS = [t1w(person, session, middle=f"acq-{scanner}_") for person in "12" for session in "12" for scanner in "ab"]


def scans_table(person: str, session: str, *times: str, column: str = "acq_time") -> dict[str, str]:
    """scans.tsv of a session whose images were acquired on the scanners a, b at these times."""
    rows = [
        f"anat/sub-{person}_ses-{session}_acq-{scanner}_T1w.nii.gz\t{time}\n"
        for scanner, time in zip("ab", times, strict=False)
    ]
    path = f"sub-{person}/ses-{session}/sub-{person}_ses-{session}_scans.tsv"
    return {path: f"filename\t{column}\n{''.join(rows)}"}


def sessions_table(person: str, *times: str, column: str = "acq_time") -> dict[str, str]:
    """sessions.tsv of a person's sessions 1, 2, ..., at these times."""
    rows = [f"ses-{number}\t{time}\n" for number, time in enumerate(times, start=1)]
    return {f"sub-{person}/sub-{person}_sessions.tsv": f"session_id\t{column}\n{''.join(rows)}"}


def times_of(folder, names=VISITS, *, follow_up=None, texts=None, **options) -> list[tuple[str, str, str, float, bool]]:
    """Subject, scanner, session, time and whether it is a rescan of each scan of a dataset."""
    make_dataset(folder, *names, **(texts or {}))
    given = {"dataset": str(folder), "scanner": "acq", "follow_up": follow_up, **options}
    found = study_scans(make(BidsOptions, given), read_images(folder))
    return [(scan.subject, scan.scanner, scan.session, scan.time, scan.rescan) for scan in found]


BOTH = {**scans_table("1", "1", *YEARS_LATER[:2]), **scans_table("1", "2", *YEARS_LATER[2:])}
EXPECTED = [("1", "a", "1", 0, False), ("1", "b", "1", 0, False), ("1", "a", "2", 2.0014, False)]


@pytest.mark.parametrize(
    ("texts", "follow_up"),
    [
        (BOTH, {}),
        (sessions_table("1", YEARS_LATER[0], YEARS_LATER[2]), {}),
        # anonymized dates are kept apart as they were; a missing one of scans.tsv is looked for in sessions.tsv
        (scans_table("1", "1", "n/a") | sessions_table("1", "1850-01-01T09:00:00Z", "1852-01-01T09:00:00"), {}),
        (sessions_table("1", "71.25", "73.2514", column="age"), {"time": "sessions:age"}),
        (
            scans_table("1", "1", "0", "0", column="years") | scans_table("1", "2", "2.0014", "2.1", column="years"),
            {"time": "scans:years"},
        ),
    ],
)
def test_sessions_of_a_later_time_are_follow_ups(tmp_path, texts, follow_up):
    found = times_of(tmp_path, texts=texts, follow_up=follow_up, subjects=["1"])
    # time-0 sessions take a name that no follow-up has; one session is of one time
    assert [scan[:3] for scan in found] == [*(scan[:3] for scan in EXPECTED), ("1", "b", "2")]
    assert [scan[3] for scan in found] == pytest.approx([0, 0, 2.0014, 2.0014], abs=0.003)
    assert not any(scan[4] for scan in found)


def test_of_whom_no_time_is_known_all_is_as_without(tmp_path):
    found = times_of(tmp_path, texts=BOTH, follow_up={}, repeats="rescans")
    assert [scan for scan in found if scan[0] == "1"][:3] == EXPECTED
    again = [scan for scan in found if scan[0] == "2"]
    assert again == [("2", scanner, session, 0, session == "2") for scanner in "ab" for session in "12"]
    with pytest.raises(InputError, match="2 images of subject 2 on scanner a"):
        times_of(tmp_path, texts=BOTH, follow_up={})


def test_without_the_key_times_are_not_looked_at(tmp_path):
    texts = BOTH | sessions_table("2", "yesterday", "today")
    rescans = times_of(tmp_path, texts=texts, repeats="rescans")
    assert [scan[3] for scan in rescans] == [0] * 8
    assert sum(scan[4] for scan in rescans) == 4


def test_sessions_within_the_line_are_rescans(tmp_path):
    texts = {name: text for person in "12" for name, text in sessions_table(person, "2012-01-01", "2012-06-01").items()}
    rescans = times_of(tmp_path, texts=texts, follow_up={}, repeats="rescans")
    assert [scan[2:] for scan in rescans if scan[:2] == ("1", "a")] == [("1", 0, False), ("2", 0, True)]
    with pytest.raises(InputError, match="2 images of subject 1 on scanner a"):
        times_of(tmp_path, texts=texts, follow_up={})
    moved = times_of(tmp_path, texts=texts, follow_up={"after": 0.25})
    assert [scan[2:] for scan in moved if scan[:2] == ("1", "a")] == [("1", 0, False), ("2", 0.4162, False)]


def test_rescans_and_follow_ups_of_one_person(tmp_path):
    # two runs in the first session, which are named by their numbers, and session 2 years later
    names = [
        *(t1w("1", "1", middle=f"acq-a_run-{run}_") for run in (1, 2)),
        t1w("1", "2", middle="acq-a_run-1_"),
        t1w("1", "2", middle="acq-a_run-2_"),
    ]
    texts = sessions_table("1", YEARS_LATER[0], YEARS_LATER[2])
    found = times_of(tmp_path, names, texts=texts, follow_up={}, repeats="rescans")
    assert found == [
        ("1", "a", "1", 0, False),
        ("1", "a", "first-2", 0, True),
        ("1", "a", "2", 2.0014, False),
    ]
    with pytest.raises(InputError, match="2 images of subject 1 on scanner a: .*ses-1.*run-1.*ses-1.*run-2"):
        times_of(tmp_path, names, texts=texts, follow_up={})
    with pytest.raises(InputError, match="2 images of subject 1 on scanner a: .*ses-2.*run-1.*ses-2.*run-2"):
        times_of(tmp_path / "later", names[1:], texts=texts, follow_up={})


def test_an_upgrade_is_a_follow_up_on_another_scanner(tmp_path):
    names = [*VISITS[:2], t1w("2", "1", middle="acq-a_"), t1w("2", "2", middle="acq-b_")]
    texts = sessions_table("1", YEARS_LATER[0]) | sessions_table("2", YEARS_LATER[0], YEARS_LATER[2])
    found = times_of(tmp_path, names, texts=texts, follow_up={})
    assert found[2:] == [("2", "a", "1", 0, False), ("2", "b", "2", 2.0014, False)]
    with pytest.raises(
        InputError, match="session '2' of subject 2 is 2 years after the first, and nobody has an image"
    ):
        times_of(tmp_path, names, texts=texts, follow_up={}, subjects=["2"])


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (sessions_table("1", "2012", YEARS_LATER[2]), {}, "sub-1_sessions.tsv, row 2, column acq_time: '2012' is no"),
        (
            sessions_table("1", "2012-01-01", "13:45:00"),
            {},
            "row 3, column acq_time: '13:45:00' is no date.*2009-06-15T",
        ),
        (scans_table("1", "1", "2012-02-30"), {}, "scans.tsv, row 2, column acq_time: '2012-02-30' is no date"),
        (
            sessions_table("1", "71", "old", column="age"),
            {"time": "sessions:age"},
            "row 3, column age: 'old'; give years",
        ),
        (
            sessions_table("1", "2012-01-01", "n/a"),
            {},
            "sub-1_sessions.tsv, row 3: no acq_time of session '2'.*fill it in",
        ),
        (sessions_table("1", "2012-01-01"), {}, "sub-1_sessions.tsv, ses-2: no acq_time of session '2' of subject 1"),
        (
            scans_table("1", "1", "2012-01-01", "2013-01-01"),
            {},
            "row 3: acquired 1 years after .*row 2, in one session",
        ),
        ({}, {}, "no column acq_time in scans.tsv or column acq_time in sessions.tsv says when"),
        ({}, {"time": "sessions:age"}, "no column age in sessions.tsv says when an image"),
        ({}, {"time": "age"}, "follow_up.time: 'age'; give acq_time, sessions:COLUMN"),
        ({}, {"time": "participants:age"}, "follow_up.time: 'participants:age'; give"),
        ({}, {"after": 0}, "follow_up.after: 0.0; give years"),
        ({}, {"until": 1}, "follow_up: unknown option 'until'"),
    ],
)
def test_refused_times(tmp_path, texts, options, message):
    with pytest.raises(InputError, match=message):
        times_of(tmp_path, texts=texts, follow_up=options)


def test_a_follow_up_has_a_session_of_its_own(tmp_path):
    names = [t1w("1", "pre op!", middle="acq-a_"), t1w("1", "post", middle="acq-a_")]
    table = f"session_id\tacq_time\nses-post\t{YEARS_LATER[0]}\nses-pre op!\t{YEARS_LATER[2]}\n"
    with pytest.raises(InputError, match="ses-pre op!_acq-a_T1w.nii.gz: the session of a follow-up, so rename"):
        times_of(tmp_path, names, texts={"sub-1/sub-1_sessions.tsv": table}, follow_up={})


def test_the_preview_tells_follow_ups(tmp_path):
    make_dataset(tmp_path, *VISITS, **BOTH)
    asked = preview(tmp_path, scanner="acq", repeats="rescans", follow_up={"after": 1.0})
    assert "Follow-ups, 2 in all: 1 on a (2, 2 years); 1 on b (2, 2 years)" in asked
    assert "Rescans, 2 in all: 2 on a (2); 2 on b (2)" in asked
    assert yaml.safe_load(asked[asked.index("  study: ") :])["study"]["bids"]["follow_up"] == {"after": 1.0}
    unasked = preview(tmp_path, scanner="acq")
    assert "acq_time would make 2 scans follow-ups (`follow_up: {}`), more than 0.5 years after" in unasked
    make_dataset(tmp_path, **sessions_table("2", "yesterday"))
    assert "acq_time" not in preview(tmp_path, scanner="acq").partition("Covariates")[0].partition("Images by")[2]


def test_a_run_plans_follow_ups_as_scans_of_their_own(tmp_path):
    make_dataset(tmp_path, *VISITS, *(t1w("3", "1", middle=f"acq-{scanner}_") for scanner in "ab"), **BOTH)
    given = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    options = {"dataset": str(tmp_path), "scanner": "acq", "follow_up": {}, "repeats": "first"}
    given["study"] = {"source": "bids", "bids": options}
    planned = Configuration(given)
    assert [name for name in planned.scans if "session" in name] == [
        f"sub-1_scanner-{scanner}_session-2" for scanner in "ab"
    ]
    # which scans there are makes no other of one that stays
    bids = source("bids")
    assert bids.making(options) == bids.making({**options, "follow_up": None})
    times = [scan.covariates.get("time") for scan in bids.plan(options) if scan.subject == "1"]
    assert times == [None, None, "2.0014", "2.0014"]


def beside(names: list[str], **options) -> list[str]:
    """Of each scan of a dataset with these paths what is beside it: its T2w image's name, or ""."""
    options = {"dataset": "set", "scanner": "ses", **options}
    scans = study_scans(make(BidsOptions, options), images_of_paths(names), images_of_paths(names, "T2w"))
    return [scan.t2.name.removesuffix("_T2w.nii.gz") if scan.t2 else "" for scan in scans]


TWO = [t1w("1", "a", middle="acq-x_"), t1w("1", "a", middle="acq-y_")]
RUNS = [t1w("1", "a", middle="run-1_"), t1w("1", "a", middle="run-2_")]


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        ([t1w("1", "a"), t1w("1", "b"), t1w("2", "a"), t2w("1", "b"), t2w("2", "c")], {}, ["", "sub-1_ses-b", ""]),
        ([t1w("1"), t2w("1", middle="acq-space_")], {"scanner": "one"}, ["sub-1_acq-space"]),
        ([t1w("1", "a"), t2w("1", "a"), t2w("1", "a", middle="acq-z_")], {}, ["sub-1_ses-a"]),
        # what another T1w image's acquisition is named by is that one's, whether the study uses it or not
        ([*TWO, t2w("1", "a", middle="acq-y_")], {"scanner": "acq"}, ["", "sub-1_ses-a_acq-y"]),
        ([*TWO, t2w("1", "a", middle="acq-y_")], {"select": {"acq": "x"}}, [""]),
        ([*TWO, t2w("1", "a", middle="acq-z_")], {"select": {"acq": "x"}}, ["sub-1_ses-a_acq-z"]),
        ([*RUNS, t2w("1", "a", middle="run-02_")], {"repeats": "rescans"}, ["", "sub-1_ses-a_run-02"]),
        ([*RUNS, t2w("1", "a", middle="run-2_")], {"repeats": "first"}, ["sub-1_ses-a_run-2"]),
        ([*RUNS, t2w("1", "a")], {"repeats": "rescans"}, ["sub-1_ses-a", ""]),
        *(
            ([t1w("1", "a"), *(t2w("1", "a", middle=f"run-{run}_") for run in (10, 9))], {"repeats": way}, [found])
            for way, found in (
                ("first", "sub-1_ses-a_run-9"),
                ("last", "sub-1_ses-a_run-10"),
                ("rescans", "sub-1_ses-a_run-9"),
            )
        ),
    ],
)
def test_the_t2w_image_of_the_same_visit(names, options, expected):
    assert beside(names, **options) == expected


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            [t1w("1", "a"), t2w("1", "a", middle="run-1_"), t2w("1", "a", middle="run-2_")],
            {},
            "2 T2w images for sub-1/.*run-1_T2w.*run-2_T2w.nii.gz; move those .*`repeats: first`",
        ),
        (
            [t1w("1", "a"), *(t2w("1", "a", middle=f"part-{part}_") for part in ("mag", "phase"))],
            {"repeats": "rescans"},
            "2 T2w images for",
        ),
        ([*TWO, t2w("1", "a")], {"scanner": "acq"}, "is subject 1's on scanner x or y"),
        ([t1w("1", "a"), "sub-1/ses-a/anat/sub-1_ses-a_t2w.nii"], {}, "ends in '_t2w.nii'; BIDS has '_T2w.nii'"),
        ([t1w("1"), "sub-1/func/sub-1_T2w.nii"], {}, "a T2w image in the folder 'func'"),
    ],
)
def test_refused_t2w_images(names, options, message):
    with pytest.raises(InputError, match=message):
        beside(names, **options)


def test_t2w_images_are_files_of_their_scans_where_they_are_asked_for(tmp_path):
    names = [t1w("1", "a"), t1w("1", "b"), t2w("1", "b")]
    make_dataset(tmp_path, *names, "derivatives/x/" + names[-1])
    options = {"dataset": str(tmp_path), "scanner": "ses", "brain": "stripped"}
    assert [scan.files for scan in source("bids").plan(options)] == [(str(tmp_path / name),) for name in names[:2]]
    asked = options | {"t2": True}
    found = source("bids").module.settle(source("bids").options(asked))
    for given in (asked, json.loads(json.dumps({**asked, "scans_found": found.scans_found}))):
        first, second = source("bids").plan(given)
        assert first.files == (str(tmp_path / names[0]),)
        assert second.files == (str(tmp_path / names[1]), str(tmp_path / names[2]))
    told = "\n".join(describe(BidsOptions(dataset=str(tmp_path)), read_images(tmp_path), read_t2_images(tmp_path)))
    assert "1 T2w image, in the sessions of 1 T1w image (`t2: true`)" in told
    assert "T2w" not in preview(tmp_path)
