"""Labels in doubt are said: by hand, under tables, on the first screen."""

from __future__ import annotations

import numpy as np
import pytest

from core.files import read_table, write_table
from core.images import save_image, save_labels
from evaluation.__main__ import main
from evaluation.label_trust import doubt_note, doubtful
from evaluation.report.first_screen import first_screen
from evaluation.runs.finished_run import read_run
from evaluation.tables.notes import segmentation_note
from tests.support.example_run import write_example_run
from tests.support.mixed_brain import EDGE_MM, mixed_brain, seen_with


@pytest.mark.slow
def test_a_run_names_the_arms_and_counts_their_scans(tmp_path):
    folder = write_example_run(tmp_path, subjects=3)
    path = folder / "metrics" / "volumes.tsv"
    volumes = read_table(path)
    assert doubt_note(volumes, str) == ""
    far = (volumes["method"] == "mispel") & (volumes["tissue"] == "CSF") & (volumes["subject"] != "01")
    write_table(path, volumes.assign(reach=np.where(far, 1.86, 0.6)))
    (row,) = doubtful(read_table(path)).to_dict("records")
    assert (row["method"], row["tissue"], row["scans"] / row["n"]) == ("mispel", "CSF", pytest.approx(2 / 3))
    run = read_run(folder)
    told = f"{run.label('mispel')} (CSF in {row['scans']} of {row['n']} scans, reach up to 1.86)"
    assert told in segmentation_note(run)
    for primary, words in (("volume_difference:GM", "rests on them"), ("ssim", "isn't about labels themselves")):
        main(["statistics", str(folder), "--bootstrap", "100", "--primary", primary])
        (warning,) = [text for text in first_screen(read_run(folder))["warnings"] if "Labels in doubt" in text]
        assert told in warning
        assert warning.endswith(f"The primary endpoint {words}.")


def test_one_image_by_hand(tmp_path, capsys):
    fractions, mask = mixed_brain()
    affine = np.diag([EDGE_MM] * 3 + [1.0])
    save_labels(tmp_path / "mask.nii.gz", mask, affine)
    for noise, warned in ((60, False), (5, True)):
        save_image(tmp_path / "image.nii.gz", seen_with(noise, fractions, mask), affine)
        words = ["--image", "image.nii.gz", "--mask", "mask.nii.gz", "--out", "labels.nii.gz"]
        words[1::2] = [str(tmp_path / name) for name in words[1::2]]
        main(["segment", *words, "--engine", "gmm"])
        assert ("took mixed voxels of its neighbors" in capsys.readouterr().err) == warned
