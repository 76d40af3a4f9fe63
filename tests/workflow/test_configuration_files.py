"""Configuration files on Snakemake's command line: data, never code, refused with one sentence and in seconds."""

from __future__ import annotations

import pytest

from core.errors import InputError
from tests.core.test_documents import bomb
from tests.support.runs import planned, snakemake
from workflow.configuration_files import check_words

YTE = {
    "definitions": "__use_yte__: true\n__definitions__:\n  - open({0!r}, 'w').close()\nrun: x\n",
    "expression": "__use_yte__: true\nrun: ?open({0!r}, 'w').close()\n",
    "variables": "__use_yte__: true\n__variables__:\n  x: ?open({0!r}, 'w').close()\nrun: x\n",
    "condition": "__use_yte__: true\n?if open({0!r}, 'w'):\n  run: x\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", [*YTE, "behind another"])
def test_python_in_a_configuration_file_is_refused_and_not_run(how, tmp_path):
    made = tmp_path / "made"
    (tmp_path / "bad.yaml").write_text(YTE.get(how, YTE["definitions"]).format(str(made)))
    (tmp_path / "good.yaml").write_text("run: y\n")
    files = ["good.yaml", "bad.yaml"] if how == "behind another" else ["bad.yaml"]
    done = snakemake(tmp_path, "-n", "--configfile", *files)
    assert done.returncode == 1
    assert "error: bad.yaml: __use_yte__: a configuration holds no code" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not made.exists()


@pytest.mark.slow
def test_refused_even_without_the_profile_that_reads_first(tmp_path):
    (tmp_path / "bad.yaml").write_text("__use_yte__: true\nrun: x\n")
    done = snakemake(tmp_path, "-n", "--workflow-profile", "none", "--configfile", "bad.yaml")
    assert "__use_yte__: a configuration holds no code" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--configfile", "bomb.yaml"], "error: bomb.yaml: more than 100000 values"),
        (["--configfile", "absent.yaml"], "error: absent.yaml: no such configuration file"),
        (["--configfile", "good.yaml", "figures"], "error: figures: no such configuration file; everything after"),
        (["--configfile", "good.yaml", "--configfile", "good.yaml"], "error: --configfile is given twice"),
        (["--config", "segmentation={threshold: 0.3}"], "error: threshold 0.3; it must be from 0.51"),
        (["--config", "minutes_per_step=nan"], "error: minutes_per_step: nan; give a finite number"),
    ],
)
def test_one_sentence(words, message, tmp_path):
    (tmp_path / "bomb.yaml").write_text(bomb("mappings"))
    (tmp_path / "good.yaml").write_text("run: y\n")
    done = snakemake(tmp_path, "-n", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.slow
def test_several_files_and_numbers_on_the_command_line_are_taken(tmp_path):
    (tmp_path / "a.yaml").write_text("run: of_a\nfolds: {count: 3}\n")
    (tmp_path / "b.yaml").write_text("controls: {seeds: 1, permuted: false, matched_blur: false}\n")
    more = ["--config", "segmentation={threshold: 0.9}", "methods={mispel: null}", "protocol=kfold"]
    done = snakemake(tmp_path, "-n", "-p", *more, "--configfile", "a.yaml", "b.yaml")
    assert planned(done)["fit"] == 3 * 6
    assert "results/of_a/segmentations/raw" in done.stdout
    assert "--threshold 0.9 " in done.stdout


def test_words_given_twice():
    check_words(["--configfile", "a", "b", "--config", "x=1", "--", "--config"])
    for twice in (["--configfile=a", "--configfiles", "b"], ["--config", "a=1", "-n", "--config", "b=2"]):
        with pytest.raises(InputError, match="is given twice, and Snakemake drops the first; write `--config"):
            check_words(twice)
