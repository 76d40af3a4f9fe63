"""The report's first screen, where there is little to say."""

import re

from core.files import read_json, read_table, write_json, write_table
from evaluation.__main__ import main
from evaluation.report.first_screen import MARKS, first_screen
from evaluation.report.methods_text import stand_in
from evaluation.report.templates import FOLDER
from evaluation.runs.finished_run import read_run
from evaluation.verdicts.endpoints import endpoint_label
from tests.support.example_run import write_example_run

CSS = (FOLDER / "report.css").read_text(encoding="utf-8")


def test_where_every_arm_failed_there_is_no_answer(tmp_path):
    folder = write_example_run(tmp_path, subjects=3)
    for path in (folder / "metrics").glob("*.tsv"):
        table = read_table(path)
        write_table(path, table[table["method"] == "raw"])
    main(["statistics", str(folder), "--bootstrap", "100"])
    verdicts = read_table(folder / "statistics" / "verdicts.tsv")
    assert set(verdicts["why"]) == {"it gave no numbers"}
    assert first_screen(read_run(folder)) == {}


def test_an_endpoint_is_called_alike_everywhere():
    assert endpoint_label("ssim", float("nan")) == "SSIM"
    assert endpoint_label("dice", "GM") == "Dice, GM"


def test_an_endpoint_that_stands_in_for_the_configured_one_says_so(tmp_path):
    folder = write_example_run(tmp_path, subjects=3)
    main(["statistics", str(folder), "--bootstrap", "100"])
    path = folder / "provenance.json"
    told = read_json(path)
    for named, expected in (
        ("volume_difference_pve", "the one that the configuration names."),
        ("volume_difference", "it stands in for the one that the configuration names (Absolute difference of volumes)"),
    ):
        told["config"]["evaluation"] = {"primary": {"measure": named, "tissue": "GM"}}
        write_json(path, told)
        run = read_run(folder)
        assert expected in first_screen(run)["endpoint"]
        assert stand_in(run) == ("" if named == "volume_difference_pve" else "volume_difference_pve")


def test_each_answer_has_a_mark_of_its_own_and_says_what_was_lost(tmp_path):
    folder = write_example_run(tmp_path, subjects=3)
    main(["statistics", str(folder), "--bootstrap", "100"])
    path = folder / "statistics" / "verdicts.tsv"
    rows = read_table(path)
    kept = {"kept_share": 1.0, "kept_share_low": 0.95, "kept_share_high": 1.05}
    answers = {
        "ravel": ("worse", "lost", kept | {"kept_volume_share": 0.6}),
        "mispel": ("beyond", "lost", dict.fromkeys(kept, 0.5) | {"kept_volume_share": 0.6}),
    }
    for method, (removed, lost, shares) in answers.items():
        for column, value in {"removed": removed, "kept": lost, "nearer": "no clear difference", **shares}.items():
            rows.loc[rows["method"] == method, column] = value
    write_table(path, rows)
    questions = first_screen(read_run(folder))["questions"]
    removed, kept, nearer = (
        {line["label"]: (line["mark"], line["text"]) for line in lines} for lines in questions.values()
    )
    assert (removed["RAVEL"][0], removed["MISPEL"][0], nearer["RAVEL"][0]) == ("no", "yes", "open")
    told = "of RAW's variance between people in images, 60% in the primary endpoint's volumes."
    assert kept["RAVEL"] == ("no", f"lost in volumes: 100% (95% to 105%) {told}")
    assert kept["MISPEL"] == ("no", f"lost: 50% (50% to 50%) {told}")
    assert set(MARKS.values()) | {"open"} == set(re.findall(r"\.verdict li\.(\w+)::marker", CSS))
    assert len(set(re.findall(r'::marker \{[^}]*content: "([^"]+)"', CSS))) == 4
