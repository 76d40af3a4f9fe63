"""Whether an arm harmonizes: gains beyond controls, with intervals that cover, and cheats that must not pass."""

import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from core.files import write_table
from evaluation.measures.volumes import volume_differences
from evaluation.runs.arms_table import Arm
from evaluation.verdicts.answers import BEYOND, KEPT, LOST, NOT_SHOWN, ONE_FIT, SMOOTHER, UNCLEAR, UNKNOWN, WORSE
from evaluation.verdicts.endpoints import Endpoint, candidates, check_primary, endpoints
from evaluation.verdicts.gains import gain_of, gains, smallest_gain
from evaluation.verdicts.kept import kept_answer, mean_covariance, share_interval, volume_share
from evaluation.verdicts.verdict import harmonizes, lacking_seeds, removed_answer, removed_by_arm, run_verdicts

PAIRS = [("A", "B"), ("A", "C"), ("B", "C")]
SSIM = candidates()["ssim"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("people", "seeds", "person_sd", "seed_sd"),
    [(6, 1, 1.0, 0.0), (6, 3, 1.0, 0.0), (6, 3, 1.0, 0.5), (6, 3, 0.5, 1.0), (18, 3, 1.0, 0.3), (18, 3, 0.2, 1.0)],
)
def test_the_interval_of_a_gain_holds_the_true_one_in_19_of_20_studies(people, seeds, person_sd, seed_sd):
    """Over people and seeds of arm and control alike; it may be wider than it need be where seeds are few."""
    random = np.random.default_rng(5)
    truth, draws, inside = 0.7, 2000, 0
    for _ in range(draws):
        person = person_sd * random.normal(size=people)
        # what a seed does to an arm it does to all people, and some of it to each on its own
        arm = truth + person + seed_sd * (random.normal(size=(seeds, 1)) + 0.5 * random.normal(size=(seeds, people)))
        control = seed_sd * (random.normal(size=(seeds, 1)) + 0.5 * random.normal(size=(seeds, people)))
        found = gain_of(arm, control)
        inside += found.low <= truth <= found.high
    assert 0.935 <= inside / draws <= 0.99


def test_a_gains_answer_and_its_seeds_share():
    random = np.random.default_rng(0)
    arm, control = 5 + random.normal(size=(3, 8)), random.normal(size=(3, 8))
    assert gain_of(arm, control).answer() == BEYOND
    assert gain_of(control, arm).answer() == WORSE
    assert gain_of(control, control + 0.01 * random.normal(size=(3, 8))).answer() == UNCLEAR
    assert gain_of(arm[:, :1], control[:, :1]).answer() == UNKNOWN
    assert np.isnan(gain_of(arm[:, :1], control[:, :1]).low)
    same = gain_of(control[:1], control[:1])
    assert (same.gain, same.answer()) == (0, UNCLEAR)
    assert np.isnan(gain_of(arm[:1], control[:1]).seed_share), "of one seed nobody knows what another would give"
    assert 0 < gain_of(arm[:1], control).seed_share < 1
    shifted = arm + np.array([[0.0], [4.0], [8.0]])
    assert gain_of(shifted, control).seed_share > 0.9


def study(levels: dict[str, float], *, people: int = 8, spread: float = 0.01, seed: int = 0) -> pd.DataFrame:
    """Rows of `metrics/ssim.tsv`: every arm's mean, and people and pairs about it, the people's part shared by arms."""
    random = np.random.default_rng(seed)
    person = spread * random.normal(size=people)
    return pd.DataFrame(
        [
            {
                "method": arm,
                "subject": f"{number:02d}",
                "scanner_a": a,
                "scanner_b": b,
                "ssim": level + person[number] + 0.2 * spread * random.normal(),
            }
            for arm, level in levels.items()
            for number in range(people)
            for a, b in PAIRS
        ]
    )


def described(**arms: dict) -> dict[str, Arm]:
    return {
        name: Arm(id=name, method=name, label=name, citation="", limits="", **about)
        for name, about in {"raw": {}, **arms}.items()
    }


CONTROLLED = described(
    mine={"random_fit": True},
    mine_seed1={"role": "seed", "of": "mine"},
    mine_permuted={"role": "permuted", "of": "mine"},
    mine_permuted_seed1={"role": "seed", "of": "mine_permuted"},
    mine_blur={"role": "blur", "of": "mine"},
)


def answer(mine: float, permuted: float, blur: float, *, rescan: float = 0.97) -> tuple[str, str]:
    levels = {"raw": 0.8, "mine": mine, "mine_seed1": mine, "mine_permuted": permuted, "mine_permuted_seed1": permuted}
    table = study(levels | {"mine_blur": blur})
    rescans = study({"raw": rescan}).rename(columns={"scanner_a": "session_a", "scanner_b": "session_b"})
    every = gains(table, rescans, Endpoint(SSIM, primary=True), CONTROLLED)
    assert set(every["method"]) == {"mine", "mine_permuted", "mine_blur"}
    found = every[every["method"] == "mine"]
    assert set(found["seeds"]) == {2}
    assert list(found["control"]) == ["raw", "permuted", "blur"]
    return removed_answer(found, SSIM.better)


def test_only_what_is_beyond_every_control_counts():
    assert answer(0.90, 0.80, 0.82)[0] == BEYOND
    assert answer(0.90, 0.90, 0.82) == (UNCLEAR, "no clear difference from its fit on permuted labels")
    assert answer(0.90, 0.80, 0.90) == (UNCLEAR, "no clear difference from the blur as smooth as it is")
    assert answer(0.80, 0.80, 0.80)[0] == UNCLEAR
    # sure, but less than a tenth of what there is to gain
    removed, why = answer(0.805, 0.80, 0.80)
    assert removed == UNCLEAR
    assert why.startswith("better than RAW, but not surely by what counts; better than its fit on permuted labels, but")
    assert answer(0.90, 0.80, 0.95) == (WORSE, "worse than the blur as smooth as it is")
    assert answer(0.75, 0.70, 0.70) == (WORSE, "worse than RAW")
    assert answer(0.99, 0.80, 0.82)[0] == SMOOTHER


def test_without_partial_volumes_the_hard_label_stands_in():
    table = (
        study({"raw": 20.0})
        .rename(columns={"ssim": "absolute_difference_ml_hard"})
        .assign(tissue="GM", absolute_difference_ml_pve=np.nan)
    )
    first = endpoints({"volume_differences": table}, "volume_difference_pve", "GM")[0]
    assert (first.measure.name, first.tissue, first.primary) == ("volume_difference_hard", "GM", True)


def test_one_person_gives_no_answer():
    found = gains(study({"raw": 0.8, "mine": 0.9}, people=1), None, Endpoint(SSIM, primary=True), described(mine={}))
    assert removed_answer(found, SSIM.better) == (
        UNKNOWN,
        "the primary endpoint has numbers of 1 people, and two are needed",
    )


def test_lower_is_better_where_it_is():
    volume = candidates()["volume_difference_pve"]
    table = study({"raw": 20.0, "mine": 5.0}, spread=0.5).rename(columns={"ssim": volume.column}).assign(tissue="GM")
    found = gains(table, None, Endpoint(volume, "GM"), described(mine={}))
    assert found["gain"].iloc[0] == pytest.approx(15, abs=0.2)
    assert removed_answer(found, volume.better)[0] == BEYOND
    assert np.isnan(found["rescan"].iloc[0])


def test_what_uses_other_scans_and_controls_are_not_compared():
    arms = described(mean={"uses_other_scans": True}, oracle={"role": "control"})
    found = gains(study({"raw": 0.8, "mean": 0.99, "oracle": 1.0}), None, Endpoint(SSIM), arms)
    assert not arms["mean"].competes
    assert list(zip(found["method"], found["control"], strict=True)) == [("mean", "raw"), ("oracle", "raw")]


def test_the_person_is_kept_or_lost():
    assert kept_answer(0.92, 1.1) == KEPT
    assert kept_answer(0.2, 0.4) == LOST
    assert kept_answer(0.8, 0.95) == UNCLEAR
    assert kept_answer(np.nan, np.nan) == UNKNOWN
    random = np.random.default_rng(1)
    raw = random.gamma(9, size=10)
    share, low, high = share_interval(lambda people: people.mean(axis=-1), 0.3 * raw, raw)
    assert share == pytest.approx(0.3)
    assert low == pytest.approx(0.3)
    assert high == pytest.approx(0.3)


@pytest.mark.parametrize("rescan", [0.5, 4.0, 9.0, 15.0, np.nan])
def test_mixing_in_everyones_mean_is_no_harmonization(rescan):
    """What keeps a share of the person's variance takes no more of the differences than that allows."""
    for mixed in np.linspace(0.001, 0.9, 200):
        kept, value = (1 - mixed) ** 2, (1 - mixed) * 16.0
        counts = 16.0 - value > smallest_gain(candidates()["volume_difference_pve"], 16.0, rescan) + 1e-9
        assert not (counts and kept_answer(kept, kept) == KEPT)


def test_a_control_that_is_due_and_has_no_numbers_leaves_the_answer_open():
    table = study({"raw": 0.8, "mine": 0.9, "mine_seed1": 0.9})
    found = gains(table, None, Endpoint(SSIM, primary=True), CONTROLLED)
    part = found[found["method"] == "mine"]
    assert removed_answer(part, SSIM.better)[0] == BEYOND
    removed, why = removed_answer(part, SSIM.better, due=("permuted", "blur"))
    assert removed == UNKNOWN
    assert (
        why == "there are no numbers of its fit on permuted labels; there are no numbers of the blur as smooth as it is"
    )
    assert described(mine={"learns_scanners": True})["mine"].due == ("permuted", "blur")
    assert described(mine={"maps_intensities": True})["mine"].due == ()


def test_an_arm_that_is_worse_than_raw_is_so_without_its_controls_too():
    found = gains(study({"raw": 0.9, "mine": 0.7}), None, Endpoint(SSIM, primary=True), CONTROLLED)
    part = found[found["method"] == "mine"]
    assert removed_answer(part, SSIM.better, due=("permuted", "blur")) == (WORSE, "worse than RAW")


def test_seeds_that_failed_are_missed():
    levels = {"raw": 0.8, "mine": 0.9, "mine_permuted": 0.8, "mine_permuted_seed1": 0.8, "mine_blur": 0.8}
    found = gains(study(levels), None, Endpoint(SSIM, primary=True), CONTROLLED)
    lacking = lacking_seeds(found[found["method"] == "mine"], CONTROLLED)
    assert lacking == "1 of 2 fits of mine gave no numbers"
    assert removed_answer(found[found["method"] == "mine"], SSIM.better, lacking=lacking) == (UNKNOWN, lacking)


def test_what_a_random_training_gains_under_one_seed_is_not_shown():
    levels = {"raw": 0.8, "mine": 0.9, "mine_seed1": 0.9, "mine_blur": 0.8}
    arms = described(
        mine={"random_fit": True}, mine_seed1={"role": "seed", "of": "mine"}, mine_blur={"role": "blur", "of": "mine"}
    )

    def removed(arms: dict[str, Arm]) -> tuple[str, str]:
        table = study({name: level for name, level in levels.items() if name in arms})
        found = gains(table, None, Endpoint(SSIM, primary=True), arms)
        return removed_by_arm(arms["mine"], found[found["method"] == "mine"], SSIM.better, arms)

    beyond = (BEYOND, "better than RAW and the blur as smooth as it is")
    assert removed(arms) == beyond
    alone = {name: arm for name, arm in arms.items() if name != "mine_seed1"}
    answer, why = removed(alone)
    assert (answer, why) == (ONE_FIT, f"{beyond[1]}, by one fit: what another seed gives isn't known")
    assert harmonizes(answer, KEPT) == NOT_SHOWN
    # a fit that is the same every time has no seeds to lack
    assert removed(alone | described(mine={})) == beyond


def test_volumes_shrunk_to_their_mean_are_not_kept():
    random = np.random.default_rng(0)
    volume = candidates()["volume_difference_pve"]
    people = random.normal(600, 50, size=8)
    rows = [
        {
            "method": arm,
            "subject": str(number),
            "scanner": scanner,
            "tissue": "GM",
            "volume_ml_pve": 600 + share * (own - 600),
        }
        for arm, share in (("raw", 1.0), ("mine", 0.9))
        for number, own in enumerate(people)
        for scanner in "ABC"
    ]
    tables = {"volumes": pd.DataFrame(rows)}
    assert volume_share(tables, ["mine"], Endpoint(volume, "GM")) == pytest.approx((0.81, 0.81, 0.81))
    assert np.isnan(volume_share(tables, ["mine"], Endpoint(SSIM))).all()


def test_the_mean_covariance_is_the_tables():
    values = np.random.default_rng(0).normal(size=(2, 7, 4))
    for own, found in zip(values, mean_covariance(values), strict=True):
        assert found == pytest.approx(np.cov(own.T)[np.triu_indices(4, 1)].mean())


@pytest.mark.parametrize(("people", "kept"), [(6, 0.95), (6, 0.7), (12, 0.7), (18, 0.95)])
def test_the_interval_of_the_share_of_volumes_holds_the_true_one(people, kept):
    random, holds = np.random.default_rng(people), 0
    for _ in range(300):
        own, noise = random.normal(0, 20, (people, 1)), random.normal(0, 6, (people, 4))
        arm = np.sqrt(kept) * own + 0.5 * noise + random.normal(0, 4, (people, 4))
        _, low, high = share_interval(mean_covariance, arm, own + noise)
        holds += low <= kept <= high
    assert 0.89 <= holds / 300 <= 0.99


def test_an_arm_of_volumes_keeps_the_person_by_its_volumes(tmp_path):
    """It has no image to keep anything in, and no blur to be compared with."""
    random = np.random.default_rng(0)
    people, shifts = random.normal(600, 30, size=8), dict(zip("ABC", (0.0, 25.0, -25.0), strict=True))
    levels = {"raw": 1.0, "mine": 0.05, "mine_permuted": 1.0}
    rows = [
        {
            "method": arm,
            "subject": str(number),
            "scanner": scanner,
            "tissue": "GM",
            "volume_ml": (found := own + left * shift + random.normal(0, 0.5)),
            "volume_ml_pve": found,
            "volume_ml_hard": found,
        }
        for arm, left in levels.items()
        for number, own in enumerate(people)
        for scanner, shift in shifts.items()
    ]
    volumes = pd.DataFrame(rows)
    arms = pd.DataFrame({"arm": list(levels), "method": ["raw", "combat_volumes", "shuffle_volumes"]})
    arms = arms.assign(label=arms["arm"], citation="c", limits="l", gives=["images", "volumes", "volumes"])
    arms = arms.assign(role=["arm", "arm", "permuted"], of=["", "", "mine"], learns_scanners="yes")
    arms = arms.assign(maps_intensities=["no", "yes", "yes"])
    pairs = [("A", "B"), ("A", "C"), ("B", "C")]
    write_table(tmp_path / "arms.tsv", arms)
    write_table(tmp_path / "metrics" / "volumes.tsv", volumes)
    write_table(tmp_path / "metrics" / "volume_differences.tsv", volume_differences(volumes, pairs))
    found = run_verdicts(tmp_path, primary="volume_difference_pve", tissue="GM")[1].set_index("method")
    row = found.loc["mine"]
    assert (row["removed"], row["kept"], row["harmonizes"]) == (BEYOND, KEPT, "yes")
    assert 0.9 < row["kept_share_low"] <= row["kept_share"] <= row["kept_share_high"]
    assert row["kept_share"] == row["kept_volume_share"]
    write_table(tmp_path / "metrics" / "ssim.tsv", study({"raw": 0.8}))
    found = run_verdicts(tmp_path, primary="ssim", tissue="")[1].set_index("method")
    assert found.loc["mine", "why"] == "it gives volumes, and the primary endpoint is of images"


def test_a_primary_endpoint_must_be_measured():
    with pytest.raises(InputError, match="'ssym' is no measure of pairs of scanners.*did you mean 'ssim'"):
        check_primary("ssym", "")
    tables = {"ssim": study({"raw": 0.8})}
    assert next(endpoint.label for endpoint in endpoints(tables, "ssim", "")) == "SSIM"
    with pytest.raises(InputError, match="'GM' for ssim; give null"):
        endpoints(tables, "ssim", "GM")
