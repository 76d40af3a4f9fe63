# Arms of volumes: fitted on the volumes that another arm's images have, RAW's mostly, and applied to them.

if STUDY.volume_arms:

    VOLUME_FIT_JOB = "fit/{volume_arm}/fold-{fold}" if FOLDS else "fit/{volume_arm}/all"

    rule fit_volumes:
        input:
            sheet=rules.scans.output.sheet,
            segmented=lambda wildcards: [
                AT.made(f"segment/{harmonized_volumes_of(wildcards)}-{batch}")
                for batch in BATCHES
            ],
        output:
            made=AT.made(VOLUME_FIT_JOB),
        log:
            AT.log("fit", "{volume_arm}", FIT),
        benchmark:
            AT.benchmark("fit", "{volume_arm}", FIT)
        resources:
            mem_mb=memory(2000),
            runtime=120,
        params:
            **JOBS.of(
                VOLUME_FIT_JOB,
                files=[AT.model("{volume_arm}", FOLD), AT.record("{volume_arm}", FIT)],
                came_from=lambda wildcards: [
                    "scans/all",
                    f"segment/{harmonized_volumes_of(wildcards)}-*",
                ],
                method=lambda wildcards: STUDY.arms[wildcards.volume_arm].method,
                settings=lambda wildcards: settings(
                    STUDY.arms[wildcards.volume_arm].parameters
                ),
                seed=lambda wildcards: STUDY.arms[wildcards.volume_arm].seed,
                code=lambda wildcards: STUDY.code_of("fit", wildcards.volume_arm),
            ),
            volumes=lambda wildcards: volume_files(wildcards, "volumes"),
            regions=lambda wildcards: volume_files(wildcards, "regions"),
            model=lambda wildcards: AT.model(*wildcards),
            status=str(AT.record("{volume_arm}", FIT)),
            requires=lambda wildcards: [
                AT.record(harmonized_volumes_of(wildcards), f"segment-{batch}")
                for batch in BATCHES
            ],
            without="--without-fold {fold}" if FOLDS else "",
            withheld=STUDY.withheld,
        shell:
            "python -m baselines fit {params.method} --arm {wildcards.volume_arm} --scans {input.sheet}"
            " --volumes {params.volumes} --regions {params.regions} --model {params.model}"
            " --seed {params.seed} {params.without} {params.withheld:q} {params.settings:q}"
            " --status {params.status} --requires {params.requires} --on-failure {config[on_failure]}"
            " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"

    rule apply_volumes:
        input:
            sheet=rules.scans.output.sheet,
            fitted=every_fold(rules.fit_volumes.output.made),
        output:
            made=AT.made("apply/{volume_arm}-all"),
        log:
            AT.log("apply", "{volume_arm}-all"),
        benchmark:
            AT.benchmark("apply", "{volume_arm}-all")
        resources:
            mem_mb=memory(2000),
            runtime=120,
        params:
            **JOBS.of(
                "apply/{volume_arm}-all",
                files=[
                    AT.record("{volume_arm}", "apply-all"),
                    AT.parts("{volume_arm}") / "volumes-*.tsv",
                    AT.parts("{volume_arm}") / "regions-*.tsv",
                ],
                came_from=lambda wildcards: [
                    "scans/all",
                    f"segment/{harmonized_volumes_of(wildcards)}-*",
                    f"fit/{wildcards.volume_arm}/*",
                ],
                batches=BATCHES,
                method=lambda wildcards: STUDY.arms[wildcards.volume_arm].method,
                settings=lambda wildcards: settings(
                    STUDY.arms[wildcards.volume_arm].parameters
                ),
                code=lambda wildcards: STUDY.code_of("apply", wildcards.volume_arm),
            ),
            volumes=lambda wildcards: volume_files(wildcards, "volumes"),
            regions=lambda wildcards: volume_files(wildcards, "regions"),
            model=lambda wildcards: AT.model(wildcards.volume_arm),
            folder=lambda wildcards: AT.parts(wildcards.volume_arm),
            status=str(AT.record("{volume_arm}", "apply-all")),
            fitted=every_fold(str(AT.record("{volume_arm}", FIT))),
        shell:
            "python -m baselines apply {params.method} --arm {wildcards.volume_arm} --scans {input.sheet}"
            " --volumes {params.volumes} --regions {params.regions} --model {params.model}"
            " --out {params.folder} {params.settings:q}"
            " --status {params.status} --requires {params.fitted} --on-failure {config[on_failure]}"
            " --minutes {config[minutes_per_step]} --made {params.made:q} > {log} 2>&1"
