# Trials: a method fitted without the people of a fold and applied to them, for what isn't an arm of the run: a point of
# a sweep, or an arm on some of the people. Their sheets hold the people that a trial is about, and its fold.

TRIALS = AT.root / "{kind}"


rule trial_fit:
    input:
        sheet=trial_sheet,
        volumes=trial_volumes,
    output:
        model=directory(TRIALS / "models" / "{trial}"),
        status=TRIALS / "status" / "{trial}" / "fit.json",
    log:
        AT.log("{kind}", "fit-{trial}"),
    benchmark:
        AT.benchmark("{kind}", "fit-{trial}")
    threads: fit_threads
    resources:
        mem_mb=fit_memory,
        runtime=1440,
        gpu=fit_gpus,
        # all processes on one
        nodes=1,
        # no parameter: another number is no reason to fit anew
        processes=fit_processes,
    params:
        method=lambda wildcards: trial_arm(wildcards).method,
        fold=JUDGED,
        settings=lambda wildcards: settings(trial_arm(wildcards).parameters),
        seed=lambda wildcards: trial_arm(wildcards).seed,
        checkpoint=lambda wildcards: AT.root
        / wildcards.kind
        / "checkpoints"
        / wildcards.trial,
        volumes=trial_tables,
        withheld=trial_withheld,
        on_failure=trial_failure,
        code=lambda wildcards: method_hash(
            "fit", trial_arm(wildcards).method, trial_arm(wildcards).parameters
        ),
    shell:
        "python -m baselines fit {params.method} --arm {wildcards.trial} --scans {input.sheet} --model {output.model}"
        " --scale none --seed {params.seed} --threads {threads} --processes {resources.processes}"
        " --without-fold {params.fold} {params.withheld:q} --checkpoint {params.checkpoint}"
        " {params.volumes:q} {params.settings:q}"
        " --status {output.status} --on-failure {params.on_failure} --minutes {config[minutes_per_step]} > {log} 2>&1"


rule trial_apply:
    input:
        sheet=trial_sheet,
        volumes=trial_volumes,
        model=rules.trial_fit.output.model,
        fitted=rules.trial_fit.output.status,
    output:
        harmonized=temp(directory(TRIALS / "harmonized" / "{trial}")),
        status=TRIALS / "status" / "{trial}" / "apply.json",
    log:
        AT.log("{kind}", "apply-{trial}"),
    resources:
        mem_mb=memory(2000),
        runtime=240,
        gpu=lambda wildcards: STUDY.gpus_of(trial_arm(wildcards)),
    params:
        method=lambda wildcards: trial_arm(wildcards).method,
        # the range of intensities by which a learning curve's images are segmented is that of the people learned from
        people=lambda wildcards: (
            f"--only-fold {JUDGED}" if wildcards.kind == "sweep" else ""
        ),
        settings=lambda wildcards: settings(trial_arm(wildcards).parameters),
        volumes=trial_tables,
        on_failure=trial_failure,
        code=lambda wildcards: method_hash(
            "apply", trial_arm(wildcards).method, trial_arm(wildcards).parameters
        ),
    shell:
        "python -m baselines apply {params.method} --arm {wildcards.trial} --model {input.model} --scans {input.sheet}"
        " {params.volumes:q} {params.settings:q} {params.people} --out {output.harmonized} --threads {threads}"
        " --status {output.status} --requires {input.fitted} --on-failure {params.on_failure}"
        " --minutes {config[minutes_per_step]} > {log} 2>&1"
