# What the rules share: the checked configuration, and where things lie.

import json
import sys
from pathlib import Path

from core.errors import InputError
from core.files import read_table, remove_unfinished
from core.jobs.disk_space import check_room
from core.jobs.run_lock import check_writable, claim
from core.names import RAW
from core.run_folder import RunFolder
from core.scan_quality import sentences
from workflow.configuration import Configuration, prepare_environment
from workflow.source_hash import configured_modules, method_hash, verb_hash

try:
    STUDY = Configuration(config)
    if workflow.is_main_process:
        STUDY.check_arms()
        STUDY.check_other_blocks()
        check_writable(STUDY.run)
except InputError as error:
    sys.exit(f"error: {error}")

prepare_environment()

RUN = STUDY.run
AT = RunFolder(Path(RUN))
ARMS = list(STUDY.arms)
BATCHES = list(STUDY.batches)
FOLDS = STUDY.folds
ON_FAILURE = config["on_failure"]
FIGURES = [
    "figure1_scanner_effects",
    "figure3_volumes",
    "figure4_slices",
    "figure5_rmse",
    "figure6_dice",
]


onstart:
    try:
        claim(RUN)
        remove_unfinished(RUN)
        needed = STUDY.source.planned_bytes(STUDY.options, len(ARMS))
        if needed is not None:
            print(check_room(RUN, needed), file=sys.stderr)
    except InputError as error:
        sys.exit(f"error: {error}")


onsuccess:
    if QUALITY and AT.study.quality.is_file():
        for sentence in sentences(read_table(AT.study.quality), "left_out", "kept"):
            print(sentence, file=sys.stderr)


QUALITY = [AT.study.quality] if STUDY.source.has_quality else []


def people(wildcards):
    """The subjects of a batch."""
    return STUDY.batches[wildcards.batch]


def stepped(wildcards):
    """The records of the last step of each scan of a batch, for a source whose scans take steps."""
    return [
        AT.study.record(name, step.name)
        for step in STUDY.source.steps[-1:]
        for name, scan in STUDY.scans.items()
        if scan.subject in people(wildcards)
    ]


def ids(wildcards):
    """A scan's subject and scanner, and a rescan's session."""
    scan = STUDY.scans[wildcards.scan]
    return [scan.subject, scan.scanner, *filter(None, [scan.session])]


def applied_before(wildcards):
    """Whether the arm was applied whose images this one's fit looks at; nothing for most."""
    after = STUDY.arms[wildcards.arm].after
    return [AT.record(after, "apply")] if after else []


def memory(mb):
    """Memory to ask for: that much at first, and as much again with every retry (a cluster's profile has one)."""
    return lambda wildcards, attempt: mb * attempt


def settings(parameters):
    """A method's parameters, as `--param` options."""
    return [f"--param={name}={value}" for name, value in parameters.items()]


def every_fold(pattern):
    """The pattern's files of all folds, where people are divided into folds; else the pattern."""
    return expand(pattern, fold=FOLDS, allow_missing=True) if FOLDS else [pattern]


def statuses(step):
    """The records of how a step ended, of every arm; a step by batches or folds has one of each."""
    return expand(AT.record("{arm}", step), arm=ARMS, batch=BATCHES, fold=FOLDS or [""])
