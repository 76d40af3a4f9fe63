"""Which controls an arm gets."""

import pytest

from core.errors import InputError
from workflow.controls import PlannedArm, Traits, with_controls

LEARNER = Traits(control=False, uses_other_scans=False, maps_intensities=False, learns_scanners=True, random_fit=True)


def expanded(arms, traits=LEARNER, *, permuted=True, matched_blur=True, seeds=2):
    planned = {arm: PlannedArm(arm, {}) for arm in arms}
    return with_controls(
        planned,
        lambda arm: traits,
        lambda arm: f"images/{arm}",
        permuted=permuted,
        matched_blur=matched_blur,
        seeds=seeds,
    )


def test_a_trained_arm_is_followed_by_its_controls_and_seeds():
    found = expanded(["raw", "mine"])
    assert list(found) == ["raw", "mine", "mine_seed1", "mine_permuted", "mine_permuted_seed1", "mine_blur"]
    assert found["mine_blur"] == PlannedArm("matched_blur", {"images": "images/mine"}, 0, "blur", "mine", "mine")
    assert found["mine_permuted"].parameters == {"base": "mine", "settings": ""}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"control": True}, ["mine"]),
        ({"uses_other_scans": True}, ["mine"]),
        ({"maps_intensities": True}, ["mine", "mine_seed1", "mine_permuted", "mine_permuted_seed1"]),
        ({"learns_scanners": False, "random_fit": False}, ["mine", "mine_blur"]),
    ],
)
def test_an_arm_gets_no_control_that_says_nothing(change, left):
    assert list(expanded(["mine"], Traits(**{**vars(LEARNER), **change}))) == left


def test_controls_can_be_left_out():
    assert list(expanded(["mine"], permuted=False, matched_blur=False, seeds=1)) == ["mine"]


def test_an_arm_that_is_called_as_a_control_is_refused():
    with pytest.raises(InputError, match="'mine_blur' is what the control of 'mine' is called"):
        expanded(["mine", "mine_blur"])
