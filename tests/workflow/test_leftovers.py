"""What an earlier run left among the results: moved aside, where no job of this run made it or clears it away."""

from __future__ import annotations

from pathlib import Path

from core.files import write_json
from core.run_folder import RunFolder
from workflow.leftovers import take_out

MADE = {
    "fit/raw/fold-1": ["models/raw/fold-1/method.json"],
    "fit/raw/all": ["models/raw/method.json"],
    "register/sub-01_scanner-GE": ["study/transforms/sub-01_scanner-GE/warp.nii.gz"],
    "register/sub-01_scanner-Trio": ["study/transforms/sub-01_scanner-Trio/warp.nii.gz"],
    "segment/raw-0000": ["segmentations/raw/sub-01_scanner-GE_dseg.nii.gz"],
    "tables/all": ["tables/table2_ssim.tsv"],
    "segment/raw-0001": ["segmentations/raw/sub-02_scanner-GE_dseg.nii.gz"],
}


def write_run(at: RunFolder, made: dict[str, list[str]]) -> None:
    """The files that jobs made, and their records."""
    for job, files in made.items():
        entries = {file: {"sha256": "", "size": 0, "mtime_ns": 0} for file in files}
        write_json(at.made(job), {"identity": "", "from": {}, "files": entries, "read": {}, "failed": False})
        for file in files:
            (at.root / file).parent.mkdir(parents=True, exist_ok=True)
            (at.root / file).touch()


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_other_folds_scans_and_hands_left_is_moved_and_what_a_job_will_clear_away_stays(tmp_path, capsys):
    at = RunFolder(tmp_path / "run")
    write_run(at, MADE)
    (at.root / "study" / "notes.txt").touch()
    # people are in one batch now, whose job is to be done again and clears their labels away
    at.made("segment/raw-0000").unlink()
    at.made("tables/all").unlink()
    planned = ["fit/raw/fold-1", "register/sub-01_scanner-GE", "segment/raw-0000", "tables/all"]
    undone = ["tables", *(f"segmentations/raw/sub-{person}_scanner-*" for person in ("01", "02"))]
    take_out(at, ["raw"], ["01", "02"], planned, undone)
    moved = {"models/raw/method.json", "study/transforms/sub-01_scanner-Trio/warp.nii.gz", "study/notes.txt"}
    assert files_of(at.taken_out) == moved
    kept = {name for files in MADE.values() for name in files} - moved
    assert {name for name in files_of(at.root) if not name.startswith(("made/", "taken-out/"))} == kept
    assert "files in study, files in study/transforms, files in models/raw: no longer in" in capsys.readouterr().err
