"""The report's first screen, where there is little to say."""

from core.files import read_table, write_table
from evaluation.__main__ import main
from evaluation.report.first_screen import first_screen
from evaluation.runs.finished_run import read_run
from evaluation.verdicts import endpoint_label
from tests.support.example_run import write_example_run


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
