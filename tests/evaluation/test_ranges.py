"""Ranges from counts that batches of people made: those of all scans at once, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import folds
from core.errors import InputError
from core.images import save_image
from core.run_folder import image_name
from core.sheet import read_sheet
from evaluation.arms.intensities import PERCENTS, join_intensities, measure_intensities
from evaluation.arms.percentiles import Counts
from evaluation.arms.ranges import ArmImages, join_ranges, read_counts, write_counts
from tests.support.made_up_study import write_study

SCANS = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), max_size=30), max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.lists(SCANS, min_size=1, max_size=4), st.integers(0, 99))
def test_batches_joined_are_all_scans_at_once(batches, seed):
    # a few hundred values of one kind beside those made up, so that percentiles aren't extremes
    body = np.random.default_rng(seed).normal(3, 1, (len(batches), 300)).astype(np.float32)
    blocks = [[own, *(np.array(scan, np.float32) for scan in scans)] for own, scans in zip(body, batches, strict=True)]
    everything = [block for batch in blocks for block in batch]
    counted = [(Counts.of(lambda own=own: own, len(own), PERCENTS), lambda own=own: own) for own in blocks]
    assert join_intensities("arm", counted) == measure_intensities("arm", lambda: everything, len(everything))


def test_only_a_batch_far_from_the_others_is_read_again():
    draw = np.random.default_rng(1)
    asked = []

    def batch(name: str, shift: float):
        values = draw.normal(10 + shift, 1, 40_000).astype(np.float32)

        def blocks():
            asked.append(name)
            return [values]

        return Counts.of(blocks, 1, PERCENTS), blocks

    alike = [batch("a", 0), batch("b", 0.05), batch("c", -0.05)]
    assert sum(counts.keys.size for counts, _ in alike) < 0.1 * 120_000
    asked.clear()
    join_intensities("arm", alike)
    assert asked == []
    mixed = [*alike, batch("far", 2)]
    asked.clear()
    found = join_intensities("arm", mixed)
    assert "far" in asked
    everything = [values for _, blocks in mixed for values in blocks()]
    assert found == measure_intensities("arm", lambda: everything, 4)


@pytest.mark.parametrize("held_out", [False, True])
def test_ranges_of_a_study_by_batch(held_out, tmp_path):
    study = read_sheet(write_study(tmp_path / "own", subjects=4), scale="brain")
    if held_out:
        study = folds.with_folds(study, {"01": "1", "02": "1", "03": "2", "04": "2"})
    generator = np.random.default_rng(3)
    whole = ArmImages("arm", study, tmp_path / "images", tmp_path / "training" if held_out else None)
    batches = []
    # the first batch has nobody outside fold 1
    for number, people in enumerate((["01", "02"], ["03"], ["04"])):
        training = tmp_path / str(number) if held_out else None
        for scan in study.select(people).scans:
            noisy = scan.read() * generator.normal(1, 0.1, scan.shape).astype(np.float32)
            save_image(tmp_path / "images" / image_name(scan.name), noisy, scan.affine)
            if held_out:
                other = f"fold-{3 - int(folds.fold_of(scan))}"
                for folder in (tmp_path / "training", training):
                    save_image(folder / other / image_name(scan.name), noisy * 2, scan.affine)
        images = ArmImages("arm", study, tmp_path / "images", training)
        write_counts(tmp_path / f"{number}.npz", people, images.counts(people))
        batches.append((images, *read_counts(tmp_path / f"{number}.npz")))
    found = join_ranges(batches)
    assert found == whole.ranges()
    assert sorted(found) == (["1", "2"] if held_out else [""])
    with pytest.raises(InputError, match=r"scans.tsv: no counts of intensities"):
        read_counts(tmp_path / "own" / "scans.tsv")
