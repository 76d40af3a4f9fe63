"""What every method says of itself, in the list and in a run's table of arms."""

from __future__ import annotations

import json

import pytest

from baselines.harness.describing import describe
from baselines.harness.registry import methods


@pytest.mark.parametrize("name", methods())
def test_a_card_leaves_nothing_out(name):
    card = methods()[name].card()
    assert all(card.values())
    assert card["year"].isdigit() or methods()[name].control or name in ("external", "command")
    assert {card["unseen_subjects"], card["unseen_scanners"]} <= {"yes", "no"}


def test_a_card_says_what_is_known():
    assert methods()["ravel"].card()["license"] == "GPL-2"
    assert methods()["ravel"].card()["year"] == "2016"
    assert methods()["whitestripe"].card()["trained_on"] == "nothing"
    assert "not known" in methods()["external"].card()["trained_on"]


def test_arms_have_their_methods_card_and_every_parameter_in_use():
    planned = {"method": "ravel", "parameters": {"probability": 0.7}, "role": "arm", "of": ""}
    row = describe({"ravel": planned}).iloc[0]
    assert row["license"] == "GPL-2"
    assert json.loads(row["parameters"])["probability"] == 0.7
    assert len(json.loads(row["parameters"])) > 1


def test_an_arm_that_stands_on_a_random_fit_is_random_too():
    arms = {
        "mispel": {"method": "mispel", "parameters": {}},
        "combat_volumes": {"method": "combat_volumes", "parameters": {}},
        "stacked": {"method": "combat_volumes", "parameters": {"of": "mispel"}},
        "twice": {"method": "covbat", "parameters": {"of": "stacked"}},
    }
    table = describe({name: arm | {"role": "arm", "of": ""} for name, arm in arms.items()}).set_index("arm")
    assert table["random_fit"].to_dict() == {"mispel": "yes", "combat_volumes": "no", "stacked": "yes", "twice": "yes"}
