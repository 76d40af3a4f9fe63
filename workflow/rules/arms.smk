# Arms: fitted on the study, applied to it a batch of people a job, and their range of intensities taken. They go
# first: the slowest arm's images are what the longest chain of jobs waits for.
#
# Held out, an arm is fitted once a fold without its people, and applied to them; the fold's training
# scans are harmonized too, since the range is theirs.
#
# The range is of all people: where there are several batches, each is counted, and the counts are joined.
#
# What is long (fit, segment, measure) finds its record still true, where what it was made from is made again and comes
# out the same, and leaves its files as they are (`lasting`); for that these are no outputs, as with scans' steps.

FOLD = "{fold}" if FOLDS else ""
FIT = "fit-{fold}" if FOLDS else "fit"
FIT_JOB = "fit/{arm}/fold-{fold}" if FOLDS else "fit/{arm}/all"
TRAINING = AT.training_images("{arm}", "{batch}")
BY_FOLD = f"--by-fold {TRAINING}" if FOLDS else ""
COUNTED = len(BATCHES) > 1


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
        labels=segmented_before,
    output:
        made=AT.made(FIT_JOB),
    log:
        AT.log("fit", "{arm}", FIT),
    benchmark:
        AT.benchmark("fit", "{arm}", FIT)
    priority: 1
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
        **JOBS.of(
            FIT_JOB,
            files=[AT.model("{arm}", FOLD), AT.record("{arm}", FIT)],
            lasting=True,
            came_from=fitted_from,
            method=lambda wildcards: STUDY.arms[wildcards.arm].method,
            settings=lambda wildcards: settings(STUDY.arms[wildcards.arm].parameters),
            seed=lambda wildcards: STUDY.arms[wildcards.arm].seed,
            code=lambda wildcards: STUDY.code_of("fit", wildcards.arm),
        ),
        model=lambda wildcards: AT.model(*wildcards),
        requires=fit_requires,
        labels=lambda wildcards, input: (
            f"--labels {AT.segmentations(RAW)}" if input.labels else ""
        ),
        # as text, since wildcards in paths are filled in for files alone
        status=str(AT.record("{arm}", FIT)),
        checkpoint=lambda wildcards: AT.checkpoint(*wildcards),
        without="--without-fold {fold}" if FOLDS else "",
        withheld=STUDY.withheld,
    shell:
        "python -m baselines fit {params.method} --arm {wildcards.arm} --scans {input.sheet}"
        " --model {params.model} --scale none --seed {params.seed} --threads {threads} --processes {resources.processes}"
        " --checkpoint {params.checkpoint} {params.without} {params.withheld:q} {params.labels} {params.settings:q}"
        " --status {params.status} --requires {params.requires} --on-failure {config[on_failure]}"
        " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"


rule apply:
    input:
        sheet=rules.scans.output.sheet,
        fitted=every_fold(rules.fit.output.made),
    output:
        **({"training": temp(directory(TRAINING))} if FOLDS else {}),
        status=AT.record("{arm}", "apply-{batch}"),
        made=AT.made("apply/{arm}-{batch}"),
    log:
        AT.log("apply", "{arm}-{batch}"),
    benchmark:
        AT.benchmark("apply", "{arm}-{batch}")
    priority: 1
    resources:
        mem_mb=memory(2000),
        runtime=240,
        gpu=lambda wildcards: STUDY.gpus_of(STUDY.arms[wildcards.arm]),
    params:
        **JOBS.of(
            "apply/{arm}-{batch}",
            files=harmonized,
            came_from=["prepare/*", "scans/all", "fit/{arm}/*"],
            subjects=people,
            method=lambda wildcards: STUDY.arms[wildcards.arm].method,
            # a further seed is there for its spread between scanners alone
            rescans=lambda wildcards: (
                "--without-rescans" if STUDY.arms[wildcards.arm].role == "seed" else ""
            ),
            settings=lambda wildcards: settings(STUDY.arms[wildcards.arm].parameters),
            code=lambda wildcards: STUDY.code_of("apply", wildcards.arm),
        ),
        model=lambda wildcards: AT.model(wildcards.arm),
        images=lambda wildcards: AT.images(wildcards.arm),
        fitted=every_fold(str(AT.record("{arm}", FIT))),
        by_fold=BY_FOLD,
    shell:
        "python -m baselines apply {params.method} --arm {wildcards.arm} --model {params.model}"
        " --scans {input.sheet} --subjects {params.subjects:q} --out {params.images}"
        " --threads {threads} {params.by_fold} {params.rescans} {params.settings:q}"
        " --status {output.status} --requires {params.fitted} --on-failure {config[on_failure]}"
        " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"


if COUNTED:

    rule count_intensities:
        input:
            **({"training": TRAINING} if FOLDS else {}),
            sheet=rules.scans.output.sheet,
            images=rules.apply.output.made,
            applied=rules.apply.output.status,
        output:
            counts=AT.parts("{arm}") / "intensities-{batch}.npz",
            status=AT.record("{arm}", "intensities-{batch}"),
            made=AT.made("intensities/{arm}-{batch}"),
        log:
            AT.log("intensities", "{arm}-{batch}"),
        priority: 1
        resources:
            mem_mb=memory(1500),
            runtime=120,
        params:
            **JOBS.of(
                "intensities/{arm}-{batch}",
                files=[
                    AT.parts("{arm}") / "intensities-{batch}.npz",
                    AT.record("{arm}", "intensities-{batch}"),
                ],
                came_from=["apply/{arm}-{batch}"],
                subjects=people,
                code=verb_hash("evaluation", "count-intensities"),
            ),
            folder=lambda wildcards: AT.images(wildcards.arm),
            by_fold=BY_FOLD,
        shell:
            "python -m evaluation count-intensities --arm {wildcards.arm} --scans {input.sheet}"
            " --subjects {params.subjects:q} --images {params.folder} --out {output.counts} {params.by_fold}"
            " --status {output.status} --requires {input.applied} --on-failure {config[on_failure]}"
            " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"


rule intensities:
    input:
        training=every_batch(TRAINING) if FOLDS else [],
        counts=every_batch(rules.count_intensities.output.counts) if COUNTED else [],
        sheet=rules.scans.output.sheet,
        images=every_batch(rules.apply.output.made),
        before=every_batch(
            rules.count_intensities.output.status
            if COUNTED
            else rules.apply.output.status
        ),
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
            came_from=["apply/{arm}-*", "intensities/{arm}-*"],
            code=verb_hash("evaluation", "intensities"),
        ),
        folder=lambda wildcards: AT.images(wildcards.arm),
        by_fold="--by-fold" if FOLDS else "",
        counts="--counts" if COUNTED else "",
    shell:
        "python -m evaluation intensities --arm {wildcards.arm} --scans {input.sheet}"
        " --images {params.folder} --out {output.intensities}"
        " {params.by_fold} {input.training} {params.counts} {input.counts}"
        " --status {output.status} --requires {input.before} --on-failure {config[on_failure]}"
        " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"
