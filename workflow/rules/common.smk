# What the rules share: the checked configuration, and where things lie.

import json
import sys
from functools import cache
from pathlib import Path

from core.errors import InputError
from core.files import read_table, remove_unfinished, write_text
from core.jobs.disk_space import check_room
from core.jobs.run_lock import claim
from core.names import RAW
from core.paths import check_writable
from core.run_folder import RunFolder, draw_name
from core.scan_quality import sentences
from core.travelling import JUDGED
from workflow.configuration import Configuration, prepare_environment
from workflow.configuration_files import check_files
from workflow.identity import Identities
from workflow.last_words import found, learned
from workflow.leftovers import forget_failures, take_out
from workflow.progress import tell_progress
from workflow.slurm import asked_first, end_earlier_jobs
from workflow.source_hash import configured_modules, method_hash, verb_hash
from workflow.start import asks_for, command_line, is_dry_run, says_cores

DRY_RUN = is_dry_run()

try:
    if workflow.is_main_process:
        check_files(workflow.overwrite_configfiles)
    STUDY = Configuration(config)
    # with its numbers as numbers, whatever the command line made of them
    config.update(STUDY.content)
    if workflow.is_main_process:
        STUDY.check_arms()
        STUDY.check_covariates()
        STUDY.check_other_blocks()
        STUDY.check_files()
        # a number of jobs is given where they go elsewhere, and a dry run takes 1 core where none is
        if workflow.resource_settings.nodes is None and (not DRY_RUN or says_cores()):
            STUDY.check_cores(workflow.resource_settings.cores)
        check_writable(STUDY.run)
        if not DRY_RUN:
            claim(STUDY.run)
            end_earlier_jobs(STUDY.run)
except InputError as error:
    sys.exit(f"error: {error}")

prepare_environment(STUDY.run)

RUN = STUDY.run
workflow.execute = asked_first(workflow.execute, RUN)
AT = RunFolder(Path(RUN))
ARMS = list(STUDY.arms)
IMAGE_ARMS = [arm for arm in ARMS if arm not in STUDY.volume_arms]
BATCHES = list(STUDY.batches)
FOLDS = STUDY.folds
JOBS = Identities(
    AT,
    {
        "arm": IMAGE_ARMS,
        "volume_arm": STUDY.volume_arms,
        "batch": BATCHES,
        "group": STUDY.groups,
        "fold": FOLDS,
        "scan": STUDY.scans,
    },
)
FIGURES = [
    "figure1_scanner_effects",
    "figure3_volumes",
    "figure4_slices",
    "figure5_rmse",
    "figure6_dice",
]


onstart:
    try:
        remove_unfinished(RUN)
        write_text(AT.command, command_line() + "\n")
        take_out(AT, ARMS, STUDY.subjects, JOBS.planned, JOBS.undone())
        if any(job.rule.name == "report" for job in workflow.dag.needrun_jobs()):
            # no report stands beside results that it doesn't tell of, whatever becomes of this run
            AT.report.unlink(missing_ok=True)
            AT.complete.unlink(missing_ok=True)
        needed = STUDY.source.planned_bytes(STUDY.options, len(IMAGE_ARMS))
        if needed is not None:
            print(check_room(RUN, needed), file=sys.stderr)
    except InputError as error:
        sys.exit(f"error: {error}")


onsuccess:
    if QUALITY and AT.study.quality.is_file():
        for sentence in sentences(read_table(AT.study.quality), "left_out", "kept"):
            print(sentence, file=sys.stderr)
    if AT.metric("volumes").is_file():
        from evaluation.label_trust import doubt_note

        doubt = doubt_note(read_table(AT.metric("volumes")), str)
        if doubt:
            print(doubt, file=sys.stderr)
    made = workflow.dag.needrun_jobs(exclude_finished=False)
    curve = any(job.rule.name == "learning" for job in made)
    print(*(learned if curve else found)(AT.root), sep="\n", file=sys.stderr)


onerror:
    # they were told when they failed, which may be long ago
    print(*PROGRESS.failed, sep="\n", file=sys.stderr)


QUALITY = [AT.study.quality] if STUDY.source.has_quality else []


def people(wildcards):
    """The subjects of a batch."""
    return STUDY.batches[wildcards.batch]


LAST_STEP = [f"{step.name}/*" for step in STUDY.source.steps[-1:]]


def group(wildcards):
    """The subjects that are prepared together."""
    return STUDY.groups[wildcards.group]


def prepared(wildcards):
    """What preparing a group of people makes."""
    return [path for subject in group(wildcards) for path in AT.study.files_of(subject)]


def made_from(wildcards):
    """What the scans of a group are made from, beside the source's options."""
    return STUDY.made_from(subjects=group(wildcards))


def scan_made_from(wildcards):
    """What a scan is made from, beside the source's options."""
    return STUDY.made_from(scan=wildcards.scan)


def of_step(step):
    """What a step of a scan makes, as patterns."""
    return [
        AT.study.record("{scan}", step.name),
        *(AT.study.root / pattern for pattern in step.makes),
    ]


def harmonized(wildcards):
    """What applying an arm to a batch makes."""
    return [
        *(AT.images_of(wildcards.arm, subject) for subject in people(wildcards)),
        AT.record(wildcards.arm, f"apply-{wildcards.batch}"),
    ]


def labels(wildcards):
    """What segmenting a batch of an arm makes."""
    folder = AT.segmentations(wildcards.arm)
    return [
        *(folder / f"sub-{subject}_scanner-*" for subject in people(wildcards)),
        AT.parts(wildcards.arm) / f"volumes-{wildcards.batch}.tsv",
        AT.parts(wildcards.arm) / f"regions-{wildcards.batch}.tsv",
        AT.record(wildcards.arm, f"segment-{wildcards.batch}"),
    ]


def fitted_from(wildcards):
    """The jobs that an arm's fit stands on: the scans, an arm whose images it looks at, and RAW's labels."""
    after = STUDY.arms[wildcards.arm].after
    images = [f"apply/{after}-*"] if after else []
    labels = [f"segment/{RAW}-*"] if STUDY.takes_labels(wildcards.arm) else []
    return ["prepare/*", "scans/all", *images, *labels]


def stepped(wildcards):
    """The records of the last step of each scan of a batch, for a source whose scans take steps."""
    return [
        AT.made(f"{step.name}/{name}")
        for step in STUDY.source.steps[-1:]
        for name, scan in STUDY.scans.items()
        if scan.subject in group(wildcards)
    ]


def ids(wildcards):
    """A scan's subject and scanner, and a rescan's session."""
    scan = STUDY.scans[wildcards.scan]
    return [scan.subject, scan.scanner, *filter(None, [scan.session])]


def applied_before(wildcards):
    """Whether the arm was applied whose images this one's fit looks at; nothing for most."""
    after = STUDY.arms[wildcards.arm].after
    return [AT.record(after, f"apply-{batch}") for batch in BATCHES if after]


def segmented_before(wildcards):
    """The records of RAW's segmentations, where the arm's fit takes their labels."""
    if not STUDY.takes_labels(wildcards.arm):
        return []
    return [AT.made(f"segment/{RAW}-{batch}") for batch in BATCHES]


def fit_requires(wildcards):
    """How the steps ended that an arm's fit stands on."""
    labels = BATCHES if STUDY.takes_labels(wildcards.arm) else []
    segmented = [AT.record(RAW, f"segment-{batch}") for batch in labels]
    return [*applied_before(wildcards), *segmented]


def arm_of_fit(wildcards):
    """What is fitted: an arm, or what a trial is of."""
    return (
        STUDY.arms[wildcards.arm] if hasattr(wildcards, "arm") else trial_arm(wildcards)
    )


def fit_processes(wildcards):
    """How many processes fit it together."""
    return STUDY.processes_of(arm_of_fit(wildcards))


def fit_threads(wildcards):
    """The threads of all of them."""
    return config["fit_threads"] * fit_processes(wildcards)


def fit_gpus(wildcards):
    """The GPUs of all of them, none for most methods."""
    return STUDY.gpus_of(arm_of_fit(wildcards), fit_processes(wildcards))


def fit_memory(wildcards, attempt):
    """The memory of all of them, as `memory` asks for it."""
    return memory(4000)(wildcards, attempt) * fit_processes(wildcards)


def memory(mb):
    """Memory to ask for: that much at first, and as much again with every retry (a cluster's profile has one)."""
    return lambda wildcards, attempt: mb * attempt


def settings(parameters):
    """A method's parameters, as `--param` options."""
    return [f"--param={name}={value}" for name, value in parameters.items()]


def every_fold(pattern):
    """The pattern's files of all folds, where people are divided into folds; else the pattern."""
    return expand(pattern, fold=FOLDS, allow_missing=True) if FOLDS else [pattern]


def every_batch(pattern):
    """The pattern's files of all batches."""
    return expand(pattern, batch=BATCHES, allow_missing=True)


def of_every_arm(pattern):
    """The pattern's files of every arm of images; a step by batches or folds has one of each."""
    return expand(pattern, arm=IMAGE_ARMS, batch=BATCHES, fold=FOLDS or [""])


def of_volume_arms(job):
    """The records of a job of every arm of volumes."""
    arms = STUDY.volume_arms
    return [AT.made(name) for name in expand(job, volume_arm=arms, fold=FOLDS or [""])]


def harmonized_volumes_of(wildcards):
    """The arm whose volumes an arm of volumes harmonizes."""
    return STUDY.arms[wildcards.volume_arm].after


def volume_files(wildcards, kind):
    """Tables of the volumes that an arm of volumes harmonizes: "volumes" of tissues, or those in "regions"."""
    folder = AT.parts(harmonized_volumes_of(wildcards))
    return [folder / f"{kind}-{batch}.tsv" for batch in BATCHES]


def sweep_folds(wildcards):
    """How many folds a sweep divides people into; refused here, since only a sweep needs them."""
    try:
        STUDY.check_sweep_folds()
    except InputError as error:
        sys.exit(f"error: {error}")
    return config["sweep"]["folds"]


def trial_arm(wildcards):
    """What is fitted in a trial."""
    return STUDY.trial(wildcards.kind, wildcards.trial)


def trial_sheet(wildcards):
    """The sheet of a trial: a sweep's points have one, a learning curve's each draw of people."""
    if wildcards.kind == "sweep":
        return AT.sweep / "scans.tsv"
    return drawn_sheet(wildcards)


def drawn_sheet(wildcards):
    """The sheet of a trial of a learning curve, whose name ends with the draw's."""
    return AT.learning / "scans" / f"{Path(wildcards.trial).name}.tsv"


def trial_volumes(wildcards):
    """The records of RAW's segmentations, for a trial of a method of volumes."""
    harmonized = trial_arm(wildcards).gives == "volumes"
    return [AT.made(f"segment/{RAW}-{batch}") for batch in BATCHES if harmonized]


def trial_tables(wildcards):
    """The options by which a method of volumes is given RAW's."""
    if not trial_volumes(wildcards):
        return []
    tables = {
        kind: [str(AT.parts(RAW) / f"{kind}-{batch}.tsv") for batch in BATCHES]
        for kind in ("volumes", "regions")
    }
    return [word for kind, paths in tables.items() for word in (f"--{kind}", *paths)]


def trial_withheld(wildcards):
    """A sweep's sheet knows of no scanner that is left out."""
    return STUDY.withheld if wildcards.kind == "learning" else []


def trial_failure(wildcards):
    """A sweep ends with a point that fails; a learning curve shows it."""
    return "record" if wildcards.kind == "learning" else "stop"


@cache
def learning_curve():
    """What is fitted; refused here, since only a learning curve needs so many people."""
    try:
        return STUDY.learning
    except InputError as error:
        sys.exit(f"error: {error}")


def of_every_trial(pattern):
    """The pattern's files of all trials of the curve."""
    return lambda wildcards: expand(
        pattern, kind="learning", trial=learning_curve().trials
    )


def raw_measured(wildcards):
    """The records of RAW's measures, by which every arm is judged."""
    return [AT.made(f"measure/{RAW}-{batch}") for batch in BATCHES]
