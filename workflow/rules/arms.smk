# Arms: fitted on the study, applied to it, and their range of intensities taken. They go first: the
# slowest arm's images are what the longest chain of jobs waits for.
#
# Held out, an arm is fitted once a fold without its people, and applied to them; the fold's training
# scans are harmonized too, since the range is theirs.

FOLD = "{fold}" if FOLDS else ""
FIT = "fit-{fold}" if FOLDS else "fit"
TRAINING = AT.training_images("{arm}")
BY_FOLD = f"--by-fold {TRAINING}" if FOLDS else ""


rule describe:
    output:
        arms=AT.arms,
    log:
        AT.log("describe"),
    params:
        # a function, since an arm's parameters may hold braces, which aren't wildcards
        arms=lambda wildcards: json.dumps(STUDY.described),
        code=verb_hash("baselines", "describe", *STUDY.method_modules),
    shell:
        "python -m baselines describe --arms {params.arms:q} --out {output.arms} > {log} 2>&1"


rule fit:
    input:
        sheet=rules.scans.output.sheet,
        before=applied_before,
    output:
        model=directory(AT.model("{arm}", FOLD)),
        status=AT.record("{arm}", FIT),
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
        method=lambda wildcards: STUDY.arms[wildcards.arm].method,
        settings=lambda wildcards: settings(STUDY.arms[wildcards.arm].parameters),
        seed=lambda wildcards: STUDY.arms[wildcards.arm].seed,
        checkpoint=lambda wildcards: AT.checkpoint(*wildcards),
        without="--without-fold {fold}" if FOLDS else "",
        on_failure=ON_FAILURE,
        code=lambda wildcards: STUDY.code_of("fit", wildcards.arm),
    shell:
        "python -m baselines fit {params.method} --arm {wildcards.arm} --scans {input.sheet}"
        " --model {output.model} --scale none --seed {params.seed} --threads {threads}"
        " --checkpoint {params.checkpoint} {params.without} {params.settings:q}"
        " --status {output.status} --requires {input.before} --on-failure {params.on_failure} --minutes {config[minutes_per_step]} > {log} 2>&1"


rule apply:
    input:
        sheet=rules.scans.output.sheet,
        model=every_fold(rules.fit.output.model),
        fitted=every_fold(rules.fit.output.status),
    output:
        **({"training": temp(directory(TRAINING))} if FOLDS else {}),
        images=directory(AT.images("{arm}")),
        status=AT.record("{arm}", "apply"),
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
        method=lambda wildcards: STUDY.arms[wildcards.arm].method,
        model=lambda wildcards: AT.model(wildcards.arm),
        settings=lambda wildcards: settings(STUDY.arms[wildcards.arm].parameters),
        # a further seed is there for its spread between scanners alone
        rescans=lambda wildcards: (
            "--without-rescans" if STUDY.arms[wildcards.arm].role == "seed" else ""
        ),
        by_fold=BY_FOLD,
        on_failure=ON_FAILURE,
        code=lambda wildcards: STUDY.code_of("apply", wildcards.arm),
    shell:
        "python -m baselines apply {params.method} --arm {wildcards.arm} --model {params.model}"
        " --scans {input.sheet} --out {output.images} --threads {threads} {params.by_fold} {params.rescans} {params.settings:q}"
        " --status {output.status} --requires {input.fitted} --on-failure {params.on_failure} --minutes {config[minutes_per_step]} > {log} 2>&1"


rule intensities:
    input:
        **({"training": TRAINING} if FOLDS else {}),
        sheet=rules.scans.output.sheet,
        images=rules.apply.output.images,
        applied=rules.apply.output.status,
    output:
        intensities=AT.intensities("{arm}"),
        status=AT.record("{arm}", "intensities"),
    log:
        AT.log("intensities", "{arm}"),
    priority: 1
    resources:
        mem_mb=memory(1500),
        runtime=120,
    params:
        by_fold=BY_FOLD,
        on_failure=ON_FAILURE,
        code=verb_hash("evaluation", "intensities"),
    shell:
        "python -m evaluation intensities --arm {wildcards.arm} --scans {input.sheet}"
        " --images {input.images} --out {output.intensities} {params.by_fold}"
        " --status {output.status} --requires {input.applied} --on-failure {params.on_failure} --minutes {config[minutes_per_step]} > {log} 2>&1"
