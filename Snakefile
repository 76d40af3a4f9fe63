# From scans of the same people on several scanners to the paper's tables, figures and a report.
#
#   snakemake --cores 2                                     the demo
#   snakemake --cores 2 --configfile config/paper.yaml      another study
#   snakemake --cores 1 figures                             or `tables`: only those
#   snakemake --cores 2 sweep                               a method's parameters over a grid
#   snakemake --cores 2 learning                            how many travelling people an arm needs
#
# design: studies/ brings scans, baselines/ and mispel/ harmonize them, evaluation/ judges them.


configfile: workflow.source_path("config/config.yaml")


include: "workflow/rules/common.smk"


localrules:
    all,
    describe,
    scans,
    sweep_scans,
    learning_scans,
    status,
    provenance,
    whole,


wildcard_constraints:
    arm="|".join(IMAGE_ARMS),
    volume_arm="|".join(STUDY.volume_arms),
    batch="[0-9]{4}",
    group="[0-9]{4}",
    fold="[0-9]+",
    scan="sub-[^/]+",
    kind="sweep|learning",
    trial="[^/]+(/[^/]+)?",
    people="[0-9]+",
    draw="[0-9]+",


rule all:
    default_target: True
    input:
        report=AT.report,
        complete=AT.complete,
        made=JOBS.records,


include: "workflow/rules/studies.smk"
include: "workflow/rules/arms.smk"
include: "workflow/rules/segmentation.smk"
include: "workflow/rules/volumes.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/trials.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/learning.smk"


if workflow.is_main_process:
    for job, why in JOBS.find_false(keep=DRY_RUN).items():
        print(f"{RUN}: {job} is to be made again: {why}", file=sys.stderr)
    if not DRY_RUN:
        JOBS.write_plan()
        if asks_for("learning"):
            forget_failures(AT.learning)
        PROGRESS = tell_progress(commands=workflow.output_settings.printshellcmds)
