"""Several studies in one table, and the bundles in which they arrive."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from core.files import read_json, read_table, write_json, write_table
from core.jobs.made import write_sealed
from core.run_folder import RunFolder
from evaluation.__main__ import main
from evaluation.merging import merged as merging
from evaluation.merging.bundle import read_bundle, write_bundle
from evaluation.merging.merged import merge
from evaluation.merging.results import results_of_run, what_counts
from evaluation.sensitivity import agreement_of_order
from tests.support.sent_run import change_provenance, finished, set_parameters


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    made = [finished(folder / name, seed=seed) for seed, name in enumerate(("one", "two", "three"))]
    change_provenance(made[2], study={"source": "sheet", "sheet": {"scans": "/home/somebody/scans.tsv"}})
    return made


@pytest.fixture(scope="module")
def bundle(runs, tmp_path_factory) -> Path:
    return write_bundle(runs[2], tmp_path_factory.mktemp("sent") / "three.zip")


def test_a_bundle_says_what_its_run_says(runs, bundle):
    sent, own = read_bundle(bundle), results_of_run(runs[2])
    assert sent.told == own.told
    assert np.allclose(sent.values.to_numpy(), own.values.to_numpy())


def test_a_bundle_is_the_same_bytes_again_and_holds_no_image_and_no_place(runs, bundle, tmp_path):
    again = write_bundle(runs[2], tmp_path / "again.zip")
    assert again.read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as opened:
        assert not any(name.endswith(".gz") for name in opened.namelist())
        everything = b"".join(opened.read(name) for name in opened.namelist())
    assert b"/home/" not in everything
    assert str(runs[2]).encode() not in everything


def test_a_run_that_did_not_come_to_its_end_is_not_bundled(runs, tmp_path):
    run = finished(tmp_path / "run", seed=3)
    RunFolder(run).complete.unlink()
    with pytest.raises(InputError, match="didn't come to its end"):
        write_bundle(run, tmp_path / "out.zip")
    write_sealed(RunFolder(run).planned, {"fit/raw": "0"})
    with pytest.raises(InputError, match="fit/raw: .*start the run again"):
        write_bundle(run, tmp_path / "out.zip")
    RunFolder(run).planned.unlink()
    with pytest.raises(InputError, match="planned.json: no such file"):
        write_bundle(run, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_merged_studies_keep_the_runs_own_verdicts_and_gains(runs, bundle, tmp_path):
    out = tmp_path / "merged"
    main(["merge", *map(str, runs[:2]), str(bundle), "--out", str(out)])
    arms = read_table(out / "arms.tsv")
    for run in runs:
        gains, verdicts = (read_table(RunFolder(run).statistic(name)) for name in ("gains", "verdicts"))
        own = gains[(gains["endpoint"] == "primary") & (gains["control"] == "raw")].set_index("method")
        here = arms[(arms["study"] == run.name) & (arms["arm"] != "raw")].set_index("arm")
        for name in ("gain", "gain_low", "gain_high"):
            assert here[name].to_numpy() == pytest.approx(own.loc[here.index, name].to_numpy(), rel=1e-5)
        said = verdicts.set_index("method").loc[here.index]
        for name in ("removed", "kept", "harmonizes"):
            assert here[name].tolist() == said[name].tolist()
    told = read_json(out / "merged.json")
    assert told["schema"] == 1
    assert {study["date"] for study in told["studies"].values()} == {"2021-10-11"}
    page = (out / "README.md").read_text()
    assert "(simulated)" in page.partition("\n")[0]
    assert "critical" not in page
    html = (out / "index.html").read_text()
    assert 'src="data:image/png' in html
    assert "http://" not in html
    # a merge again takes its place; another folder isn't touched
    main(["merge", *map(str, runs), "--out", str(out)])
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        main(["merge", *map(str, runs), "--out", str(tmp_path / "else")])
    assert (tmp_path / "else" / "mine.txt").exists()


def test_pairwise_wins_by_hand(runs):
    found = [results_of_run(run) for run in runs]
    pairs = merging.pairwise(merge(found)).set_index(["a", "b"])
    differences = [one.values["ravel"] - one.values["mispel"] for one in found]
    row = pairs.loc[("mispel", "ravel")]
    # volumes' differences: the lower the better
    assert row["share"] == pytest.approx(np.mean([(part > 0).mean() for part in differences]))
    assert row["people"] == 15
    ends = [(part.mean(), 2.776445 * part.std(ddof=1) / np.sqrt(5)) for part in differences]
    assert row["a_clear"] == sum(mean - half > 0 for mean, half in ends)
    assert row["b_clear"] == sum(mean + half < 0 for mean, half in ends)
    other = pairs.loc[("ravel", "mispel")]
    assert other["share"] == pytest.approx(1 - row["share"])
    assert other["difference"] == pytest.approx(-row["difference"])
    assert other["difference_low"] == pytest.approx(-row["difference_high"])


def test_ranks_and_their_agreement(runs):
    table = merging.ranks(merge([results_of_run(run) for run in runs]))
    for _, part in table.groupby("run"):
        assert part.sort_values("rank")["score"].is_monotonic_decreasing
    assert agreement_of_order(table)["tau"].between(-1, 1).all()
    spread = merging.spread_of_ranks(table)
    assert (spread["best"] <= spread["mean"]).all()
    assert (spread["mean"] <= spread["worst"]).all()


def test_an_arm_that_a_study_has_not_is_a_gap(runs, tmp_path):
    small = finished(tmp_path / "small", seed=5, methods=("raw", "mispel"))
    merged = merge([results_of_run(runs[0]), results_of_run(small)])
    table = merging.by_study(merged)
    gap = table[(table["study"] == "small") & (table["arm"] == "ravel")].iloc[0]
    assert gap["there"] == "no"
    assert pd.isna(gap["mean"])
    assert set(merging.ranks(merged)["method"]) == {"raw", "mispel"}
    pairs = merging.pairwise(merged).set_index(["a", "b"])
    assert pairs.loc[("mispel", "raw"), "studies"] == 2
    assert pairs.loc[("ravel", "raw"), "studies"] == 1


def test_other_parameters_are_another_arm(runs, tmp_path):
    other = finished(tmp_path / "other", seed=6)
    for run, width in ((other, 32), (first := finished(tmp_path / "first", seed=7), 8)):
        set_parameters(run, "mispel", json.dumps({"width": width, "preset": "demo"}))
    merged = merge([results_of_run(first), results_of_run(other)])
    assert [arm.label for arm in merged.arms if arm.about.id == "mispel"] == ["MISPEL (width 8)", "MISPEL (width 32)"]
    pairs = merging.pairwise(merged)
    assert not ((pairs["a"] == "mispel_1") & (pairs["b"] == "mispel_2")).any()


def test_a_run_that_does_not_record_parameters_is_refused(tmp_path):
    run = finished(tmp_path / "run", seed=12)
    write_table(run / "arms.tsv", read_table(run / "arms.tsv").drop(columns="parameters"))
    with pytest.raises(InputError, match="arms.tsv: no column 'parameters'.*start the run again"):
        results_of_run(run)


def test_what_cannot_be_merged_is_refused(runs, bundle, tmp_path):
    with pytest.raises(InputError, match="give two or more"):
        merge([results_of_run(runs[0])])
    with pytest.raises(InputError, match="the same study under the same configuration as .*; give one of them"):
        merge([results_of_run(runs[2]), read_bundle(bundle)])
    other = finished(tmp_path / "other", seed=8)
    change_provenance(other, evaluation={"primary": {"measure": "ssim", "tissue": None}})
    main(["statistics", str(other), "--bootstrap", "100", "--primary", "ssim"])
    with pytest.raises(InputError, match="volume_difference_pve.*ssim.*merge runs of one primary endpoint"):
        merge([results_of_run(runs[0]), results_of_run(other)])


def test_statistics_that_do_not_follow_from_the_metrics_are_refused(tmp_path):
    run = finished(tmp_path / "run", seed=9)
    path = run / "statistics" / "gains.tsv"
    table = read_table(path)
    table.loc[table["endpoint"] == "primary", "gain"] += 1
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    with pytest.raises(InputError, match="gains.tsv: gain of .* doesn't follow"):
        results_of_run(run)


def test_an_arm_with_gains_and_without_a_verdict_is_refused(tmp_path):
    run = finished(tmp_path / "run", seed=14, methods=("raw", "whitestripe", "ravel"))
    path = run / "statistics" / "verdicts.tsv"
    write_table(path, read_table(path).head(1))
    with pytest.raises(InputError, match="verdicts.tsv: no verdict on '.*', which has gains; start the run again"):
        results_of_run(run)


def test_merging_into_a_file_is_refused(runs, bundle, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: a file; give the path of a folder"):
        main(["merge", str(runs[0]), str(bundle), "--out", str(tmp_path / "file")])
    assert (tmp_path / "file").read_text() == "mine"


def test_a_configuration_counts_by_what_changes_results():
    one = {"run": "a", "study": {"source": "phantom", "phantom": {"n": 4}, "sheet": {"scans": None}}, "methods": {}}
    other = {"run": "b", "study": {"source": "phantom", "phantom": {"n": "4"}}, "methods": {"ravel": None}}
    assert what_counts(one) == what_counts(other)
    assert what_counts(one) != what_counts(one | {"seed": 1})


# --- tampered bundles -------------------------------------------------------------------------------


def tampered(bundle: Path, out: Path, change, *, seal: bool = True) -> Path:
    """A bundle with its files changed by `change`, a function of name and bytes to bytes; with checksums made anew."""
    with zipfile.ZipFile(bundle) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    files = {name: change(name, content) for name, content in files.items()}
    if seal:
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if "checksums" not in name}
        files["checksums.json"] = json.dumps(sums).encode()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    return out


def in_results(change):
    def changed(name: str, content: bytes) -> bytes:
        if name != "results.json":
            return content
        told = json.loads(content)
        change(told)
        return json.dumps(told).encode()

    return changed


def result_of(told: dict, arm: str) -> dict:
    return next(entry for entry in told["results"] if entry["arm"] == arm)


def claim_to_harmonize(told: dict) -> None:
    result_of(told, "ravel").update(removed="beyond", kept="kept", harmonizes="yes")


def one_better_person(name: str, content: bytes) -> bytes:
    return better(content) if name == "metrics/volume_differences.tsv" else content


def better(content: bytes) -> bytes:
    lines = content.decode().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("mispel\t"))
    lines[place] = "\t".join([*lines[place].split("\t")[:-1], "0.5"])
    return ("\n".join(lines) + "\n").encode()


def infinite(name: str, content: bytes) -> bytes:
    if name != "metrics/volume_differences.tsv":
        return content
    lines = content.decode().splitlines()
    lines[1] = "\t".join([*lines[1].split("\t")[:-1], "inf"])
    return ("\n".join(lines) + "\n").encode()


def a_false_gain_before_the_true_one(told: dict) -> None:
    gains = result_of(told, "mispel")["gains"]
    gains.insert(0, gains[0] | {"gain": 99.0, "gain_low": 98.0, "gain_high": 100.0})


def in_first_gain(**changes):
    return in_results(lambda told: result_of(told, "mispel")["gains"][0].update(changes))


def in_verdict(**changes):
    return in_results(lambda told: result_of(told, "mispel").update(changes))


def kept_by_word_alone(told: dict) -> None:
    result_of(told, "mispel").update(kept="kept", kept_share=0.3, kept_share_low=0.2, kept_share_high=0.4)


def no_configuration(name: str, content: bytes) -> bytes:
    return b"a: [" if name == "configuration.yaml" else content


TAMPERED = {
    "a gain twice": (in_results(a_false_gain_before_the_true_one), "gains of mispel: control is 'raw, raw"),
    "an answer": (in_first_gain(answer="surely better"), "gains of mispel: answer is 'surely better"),
    "what a gain is over": (in_first_gain(over="ravel"), "gains of mispel: over is 'ravel"),
    "a gain's people": (in_first_gain(people=500), "gains of mispel: people is '500"),
    "a share removed": (in_verdict(removed_share=55.0), "mispel: removed_share is 55.0, its people give"),
    "kept, by its word": (in_results(kept_by_word_alone), "mispel: kept is 'kept', its numbers say 'lost'"),
    "another word for kept": (in_verdict(kept="nearly all"), "mispel: kept is 'nearly all'"),
    "another word for nearer": (in_verdict(nearer="surely"), "nearer: 'surely' is not one of"),
    "a reason": (in_verdict(why="it harmonizes best"), "mispel: why is 'it harmonizes best'"),
    "a verdict on RAW": (
        in_results(lambda told: result_of(told, "raw").update(removed="beyond")),
        "raw: removed is 'beyond', its numbers say 'not known'",
    ),
    "RAW as a control": (
        in_results(lambda told: told["arms"][0].update(role="control")),
        "'raw' is what all are compared with, no control",
    ),
    "an endpoint without its tissue": (
        in_results(lambda told: told["endpoint"].update(tissue="")),
        "tissue: 'null' for volume_difference_pve",
    ),
    "a configuration that is none": (no_configuration, "configuration.yaml: "),
    "a mean": (
        in_results(lambda told: result_of(told, "mispel").update(mean=1.0)),
        "results.json: mean of mispel is 1.0, its people give",
    ),
    "a gain": (
        in_results(lambda told: result_of(told, "mispel")["gains"][0].update(gain_low=9.0)),
        "results.json: gain_low of mispel over raw is 9.0",
    ),
    "a verdict": (in_results(claim_to_harmonize), "results.json: ravel: removed is 'beyond'"),
    "the margin": (in_results(lambda told: told["endpoint"].update(margin=0.0)), "endpoint.margin is 0.0"),
    "a person's number": (one_better_person, "results.json: mean of mispel is"),
    "no finite number": (infinite, "metrics/volume_differences.tsv"),
    "NaN in JSON": (
        in_results(lambda told: result_of(told, "mispel").update(mean=float("nan"))),
        "results.json: .*nan",
    ),
    "another schema": (in_results(lambda told: told.update(schema=2)), "schema '2', this version reads 1"),
    "a key too many": (in_results(lambda told: told.update(extra=1)), "results.json: the whole: .*extra"),
    "an unknown measure": (
        in_results(lambda told: told["endpoint"].update(measure="beauty")),
        "'beauty' is no primary endpoint of this version",
    ),
    "an arm twice": (in_results(lambda told: told["arms"].append(told["arms"][0])), "an id stands twice"),
    "parameters that are none": (
        in_results(lambda told: told["arms"][0].update(parameters="[1, 2]")),
        "the parameters of 'raw' are no JSON object",
    ),
    "more people than the card": (in_results(lambda told: told["study"].update(people=2)), "study.people is 2"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_bundle_is_refused(bundle, tmp_path, what):
    change, said = TAMPERED[what]
    sent = tampered(bundle, tmp_path / "sent.zip", change)
    with pytest.raises(InputError, match=said) as refused:
        read_bundle(sent)
    assert str(sent) in str(refused.value)


def test_a_file_that_is_not_as_it_was_bundled_is_refused(bundle, tmp_path):
    change = in_results(lambda told: told.update(date="2030-01-01"))
    with pytest.raises(InputError, match="results.json: not as it was bundled"):
        read_bundle(tampered(bundle, tmp_path / "sent.zip", change, seal=False))


def unchanged(name: str, content: bytes) -> bytes:
    return content


@pytest.mark.parametrize(
    "name", ["../escaped.tsv", "/etc/passwd", "metrics/../../a.tsv", "images/raw/a.nii.gz", "metrics\\a.tsv"]
)
def test_a_file_that_no_bundle_holds_is_refused(bundle, tmp_path, name):
    sent = tampered(bundle, tmp_path / "sent.zip", unchanged)
    with zipfile.ZipFile(sent, "a") as opened:
        opened.writestr(name, "x")
    with pytest.raises(InputError, match="is no file of a bundle"):
        read_bundle(sent)
    assert not (tmp_path / "escaped.tsv").exists()


def test_a_link_a_bomb_a_file_twice_and_no_zip_are_refused(bundle, tmp_path):
    sent = tampered(bundle, tmp_path / "link.zip", unchanged)
    with zipfile.ZipFile(sent, "a") as opened:
        entry = zipfile.ZipInfo("metrics/link.tsv")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="metrics/link.tsv is a link"):
        read_bundle(sent)

    sent = tampered(bundle, tmp_path / "bomb.zip", unchanged)
    with zipfile.ZipFile(sent, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("metrics/bomb.tsv", b"0" * 60_000_000)
    with pytest.raises(InputError, match="bytes unpacked"):
        read_bundle(sent)

    sent = tampered(bundle, tmp_path / "twice.zip", unchanged)
    with zipfile.ZipFile(sent, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("results.json", "{}")
    with pytest.raises(InputError, match="results.json stands in it 2 times"):
        read_bundle(sent)

    (tmp_path / "no.zip").write_bytes(bundle.read_bytes()[:-60])
    with pytest.raises(InputError, match="no zip that can be read"):
        read_bundle(tmp_path / "no.zip")
    with pytest.raises(InputError, match="no such file"):
        read_bundle(tmp_path / "absent.zip")


def test_a_studys_card_is_its_sources_under_the_users_own_words(runs, tmp_path):
    run = finished(tmp_path / "run", seed=10)
    write_json(run / "study" / "card.json", {"name": "a dataset", "license": "CC0", "reference": "10.1/1"})
    config = read_json(run / "provenance.json")["config"]["study"]
    change_provenance(run, study={**config, "card": {"name": "mine", "license": None, "reference": None}})
    card = results_of_run(run).told["study"]
    assert (card["name"], card["license"], card["reference"]) == ("mine", "CC0", "10.1/1")
    assert results_of_run(runs[0]).told["study"]["license"] == "not said"


def test_parameters_in_a_bundle_tell_of_no_folder(tmp_path):
    run = finished(tmp_path / "run", seed=11)
    set_parameters(run, "mispel", json.dumps({"apply": "python /home/me/own/x.py {in}", "model": "/home/me/m.pt"}))
    sent = read_bundle(write_bundle(run, tmp_path / "sent.zip"))
    assert json.loads(sent.arms["mispel"].parameters) == {"apply": "python x.py {in}", "model": "m.pt"}


def test_what_a_sender_wrote_is_shown_as_it_stands(runs, bundle, tmp_path):
    hostile = "$\\frac{ ![x](http://elsewhere/x.png) <img src=http://elsewhere/y.png>\n\n# All harmonize\n`"

    def change(told: dict) -> None:
        told["study"].update(name=hostile, license=hostile, people=10**6)
        told["version"] = hostile
        for arm in told["arms"]:
            arm.update(label=arm["label"] + hostile, citation=hostile)

    sent = tampered(bundle, tmp_path / "sent.zip", in_results(change))
    main(["merge", str(runs[0]), str(sent), "--out", str(tmp_path / "merged")])
    html = (tmp_path / "merged" / "index.html").read_text()
    assert html.count("<img") == html.count("<h1") == 1
    page = (tmp_path / "merged" / "README.md").read_text()
    assert page.count("![") == 1
    assert not any(line.startswith("# All") for line in page.splitlines())
    assert "three (5)" in next(line for line in page.splitlines() if "Few people" in line)
