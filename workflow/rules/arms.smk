# Arms: fitted on the study, applied to it, and their range of intensities taken. They go first: the
# slowest arm's images are what the longest chain of jobs waits for.
#
# Held out, an arm is fitted once a fold without its people, and applied to them; the fold's training
# scans are harmonized too, since the range is theirs.

FOLD = "{fold}" if FOLDS else ""
FIT = "fit-{fold}" if FOLDS else "fit"
FIT_JOB = "fit/{arm}/fold-{fold}" if FOLDS else "fit/{arm}/all"
TRAINING = AT.training_images("{arm}")
BY_FOLD = f"--by-fold {TRAINING}" if FOLDS else ""


rule describe:
    output:
        arms=AT.arms,
        made=AT.made("describe/all"),
    log:
        AT.log("describe"),
    params:
        **JOBS.of(
            "describe/all",
            files=[AT.arms],
            # a function, since an arm's parameters may hold braces, which aren't wildcards
            arms=lambda wildcards: json.dumps(STUDY.described),
            code=verb_hash("baselines", "describe", *STUDY.method_modules),
        ),
    shell:
        "python -m baselines describe --arms {params.arms:q} --out {output.arms} --made {params.made:q} > {log} 2>&1"


rule fit:
    input:
        sheet=rules.scans.output.sheet,
        before=applied_before,
    output:
        model=directory(AT.model("{arm}", FOLD)),
        status=AT.record("{arm}", FIT),
        made=AT.made(FIT_JOB),
    log:
        AT.log("fit", "{arm}", FIT),
    benchmark:
        AT.benchmark("fit", "{arm}", FIT)
    priority: 1
    threads: config["fit_threads"]
    resources:
        mem_mb=memory(4000),
        runtime=1440,
        gpu=lambda wildcards: STUDY.gpus_of(STUDY.arms[wildcards.arm].method),
    params:
        **JOBS.of(
            FIT_JOB,
            files=[AT.model("{arm}", FOLD), AT.record("{arm}", FIT)],
            came_from=fitted_from,
            method=lambda wildcards: STUDY.arms[wildcards.arm].method,
            settings=lambda wildcards: settings(STUDY.arms[wildcards.arm].parameters),
            seed=lambda wildcards: STUDY.arms[wildcards.arm].seed,
            code=lambda wildcards: STUDY.code_of("fit", wildcards.arm),
        ),
        checkpoint=lambda wildcards: AT.checkpoint(*wildcards),
        without="--without-fold {fold}" if FOLDS else "",
    shell:
        "python -m baselines fit {params.method} --arm {wildcards.arm} --scans {input.sheet}"
        " --model {output.model} --scale none --seed {params.seed} --threads {threads}"
        " --checkpoint {params.checkpoint} {params.without} {params.settings:q}"
        " --status {output.status} --requires {input.before} --on-failure {config[on_failure]}"
        " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"


rule apply:
    input:
        sheet=rules.scans.output.sheet,
        model=every_fold(rules.fit.output.model),
        fitted=every_fold(rules.fit.output.status),
    output:
        **({"training": temp(directory(TRAINING))} if FOLDS else {}),
        images=directory(AT.images("{arm}")),
        status=AT.record("{arm}", "apply"),
        made=AT.made("apply/{arm}"),
    log:
        AT.log("apply", "{arm}"),
    benchmark:
        AT.benchmark("apply", "{arm}")
    priority: 1
    resources:
        mem_mb=memory(2000),
        runtime=240,
        gpu=lambda wildcards: STUDY.gpus_of(STUDY.arms[wildcards.arm].method),
    params:
        **JOBS.of(
            "apply/{arm}",
            files=[AT.images("{arm}"), AT.record("{arm}", "apply")],
            came_from=["prepare/*", "scans/all", "fit/{arm}/*"],
            method=lambda wildcards: STUDY.arms[wildcards.arm].method,
            # a further seed is there for its spread between scanners alone
            rescans=lambda wildcards: (
                "--without-rescans" if STUDY.arms[wildcards.arm].role == "seed" else ""
            ),
            settings=lambda wildcards: settings(STUDY.arms[wildcards.arm].parameters),
            code=lambda wildcards: STUDY.code_of("apply", wildcards.arm),
        ),
        model=lambda wildcards: AT.model(wildcards.arm),
        by_fold=BY_FOLD,
    shell:
        "python -m baselines apply {params.method} --arm {wildcards.arm} --model {params.model}"
        " --scans {input.sheet} --out {output.images} --threads {threads} {params.by_fold} {params.rescans} {params.settings:q}"
        " --status {output.status} --requires {input.fitted} --on-failure {config[on_failure]}"
        " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"


rule intensities:
    input:
        **({"training": TRAINING} if FOLDS else {}),
        sheet=rules.scans.output.sheet,
        images=rules.apply.output.images,
        applied=rules.apply.output.status,
    output:
        intensities=AT.intensities("{arm}"),
        status=AT.record("{arm}", "intensities"),
        made=AT.made("intensities/{arm}"),
    log:
        AT.log("intensities", "{arm}"),
    priority: 1
    resources:
        mem_mb=memory(1500),
        runtime=120,
    params:
        **JOBS.of(
            "intensities/{arm}",
            files=[AT.intensities("{arm}"), AT.record("{arm}", "intensities")],
            came_from=["apply/{arm}"],
            code=verb_hash("evaluation", "intensities"),
        ),
        by_fold=BY_FOLD,
    shell:
        "python -m evaluation intensities --arm {wildcards.arm} --scans {input.sheet}"
        " --images {input.images} --out {output.intensities} {params.by_fold}"
        " --status {output.status} --requires {input.applied} --on-failure {config[on_failure]}"
        " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"
