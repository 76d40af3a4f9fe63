"""How much a run will write, and what it says to a disk that is full or read-only, or taken."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.files import remove_unfinished, write_text
from core.images import save_image
from core.jobs.command import run
from core.jobs.disk_space import TRUTH, bytes_to_write, check_room
from core.jobs.record import run_step
from core.jobs.run_lock import claim
from core.paths import check_writable
from studies.sources import source
from tests.support.made_up_study import AFFINE, SHAPE
from tests.support.paths import ROOT

MEASURED = {(24, 4): 128e6, (9, 4): 53.8e6}
"""Bytes of runs of the phantom at 2 mm (76 x 96 x 80 voxels), by scans and arms."""


@pytest.mark.parametrize(("scans", "arms"), MEASURED)
def test_the_estimate_covers_what_runs_wrote_and_not_much_more(scans, arms):
    found = bytes_to_write(scans=scans, voxels=76 * 96 * 80, arms=arms, beside=TRUTH)
    assert 1 < found / MEASURED[scans, arms] < 1.25


def test_sources_tell_their_grid(sheet):
    options = {"subjects": 3, "scanners": ["GE", "Trio", "Prisma"], "voxel_size_mm": 2, "seed": 0, "scale": "brain"}
    options["rescanned"] = 1
    expected = bytes_to_write(scans=9 + 3, voxels=76 * 96 * 80, arms=4, beside=TRUTH)
    assert source("phantom").planned_bytes(options, 4) == expected
    own = {"scans": str(sheet), "seed": 0, "scale": "brain"}
    expected = bytes_to_write(scans=9, voxels=int(np.prod(SHAPE)), arms=2, beside=0)
    assert source("sheet").planned_bytes(own, 2) == expected


def test_a_disk_that_cannot_hold_it_is_refused_and_what_is_there_counts(tmp_path):
    assert "0.00 GB to write" in check_room(tmp_path / "new", 1000, free=2000)
    with pytest.raises(InputError, match="about 3.00 GB to write, 2.00 GB free; make room"):
        check_room(tmp_path / "new", 3_000_000_000, free=2_000_000_000)
    (tmp_path / "image").write_bytes(b"x" * 1500)
    check_room(tmp_path, 3000, free=2000)


def test_a_folder_is_claimed_by_one_run_and_free_when_that_was_killed(tmp_path):
    code = f"from core.jobs.run_lock import claim; claim({str(tmp_path)!r}); print('claimed', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes)
    assert other.stdout.readline() == "claimed\n"
    with pytest.raises(InputError, match=rf"a run is at work there \(process {other.pid} on .*wait for its end"):
        claim(tmp_path)
    other.kill()
    other.communicate()
    opened = claim(tmp_path)
    assert opened is not None
    os.close(opened)


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    for name in (".123-ssim.tsv", "deep/.9-a.nii.gz", ".at-work", ".hidden-file", "12-real.tsv"):
        write_text(tmp_path / name, "x")
    remove_unfinished(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".at-work", ".hidden-file", "12-real.tsv"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    check_writable(tmp_path / "results" / "new")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not a folder"):
        check_writable(tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(tmp_path / "results")


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A disk of 40 kB; skips the test where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(small_disk, tmp_path):
    noise = np.random.default_rng(0).normal(size=SHAPE)
    first = small_disk / "first.nii.gz"
    save_image(first, noise[:8, :8, :8], AFFINE)
    kept = first.read_bytes()
    status = tmp_path / "apply.json"

    def work() -> None:
        save_image(first, noise, AFFINE)

    with pytest.raises(SystemExit, match="first.nii.gz could not be written: No space left.*start again to go on"):
        run_step(work, status_file=status, method="a", step="apply", on_failure="record")
    assert first.read_bytes() == kept
    assert not status.exists()
    assert list(small_disk.iterdir()) == [first]
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    run_step(work, status_file=status, method="a", step="apply", on_failure="record")
    assert first.stat().st_size > len(kept)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(small_disk / "run")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_command_by_hand_says_so_in_a_sentence(number, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SystemExit) as ended:
        run(lambda: write_text(tmp_path / "a.tsv", "x"))
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith("error:")
    assert "a.tsv could not be written" in said
    assert "start again" in said
    assert list(tmp_path.iterdir()) == []
