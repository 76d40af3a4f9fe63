# Evaluation: each arm's measures, then the run's metrics, tests and tables.


rule measure:
    input:
        sheet=rules.scans.output.sheet,
        images=rules.apply.output.made,
        intensities=rules.intensities.output.intensities,
        reference=AT.intensities(RAW),
        segmented=rules.segment.output.made,
        reference_segmented=AT.made(f"segment/{RAW}-{{batch}}"),
    output:
        made=AT.made("measure/{arm}-{batch}"),
    log:
        AT.log("measure", "{arm}-{batch}"),
    benchmark:
        AT.benchmark("measure", "{arm}-{batch}")
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        **JOBS.of(
            "measure/{arm}-{batch}",
            files=[
                AT.parts("{arm}") / "measures-{batch}.json",
                AT.parts("{arm}") / "arrays-{batch}.npz",
                AT.record("{arm}", "measure-{batch}"),
            ],
            lasting=True,
            came_from=[
                "prepare/*",
                "apply/{arm}-{batch}",
                "intensities/{arm}",
                f"intensities/{RAW}",
                "segment/{arm}-{batch}",
                f"segment/{RAW}-{{batch}}",
            ],
            subjects=people,
            code=verb_hash("evaluation", "measure-arm"),
        ),
        images=lambda wildcards: AT.images(wildcards.arm),
        segmentations=lambda wildcards: AT.segmentations(wildcards.arm),
        reference=AT.segmentations(RAW),
        folder=lambda wildcards: AT.parts(wildcards.arm),
        status=str(AT.record("{arm}", "measure-{batch}")),
        segmented=[str(AT.record(arm, "segment-{batch}")) for arm in ("{arm}", RAW)],
    shell:
        "python -m evaluation measure-arm --arm {wildcards.arm} --scans {input.sheet}"
        " --subjects {params.subjects:q} --images {params.images}"
        " --segmentations {params.segmentations} --reference-segmentations {params.reference}"
        " --intensities {input.intensities} --reference {input.reference}"
        " --batch {wildcards.batch} --out {params.folder}"
        " --status {params.status} --requires {params.segmented}"
        " --on-failure {config[on_failure]} --minutes {config[minutes_per_step]}"
        " --made {params.made:q} > {log} 2>&1"


rule metrics:
    input:
        sheet=rules.scans.output.sheet,
        segmented=expand(rules.segment.output.made, arm=IMAGE_ARMS, batch=BATCHES),
        measured=expand(rules.measure.output, arm=IMAGE_ARMS, batch=BATCHES),
        harmonized=of_volume_arms("apply/{volume_arm}-all"),
        resegmented=(
            expand(rules.resegment.output.made, arm=IMAGE_ARMS, batch=BATCHES)
            if STUDY.further_engines
            else []
        ),
    output:
        ssim=AT.metric("ssim"),
        volumes=AT.metric("volumes"),
        differences=AT.metric("volume_differences"),
        dice=AT.metric("dice"),
        rmse=AT.metric("rmse"),
        made=AT.made("metrics/all"),
    log:
        AT.log("metrics"),
    params:
        **JOBS.of(
            "metrics/all",
            files=[AT.metric("*")],
            came_from=[
                "prepare/*",
                "segment/*",
                "resegment/*",
                "measure/*",
                *(f"apply/{arm}-all" for arm in STUDY.volume_arms),
            ],
            arms=ARMS,
            volume_arms=STUDY.volume_arms,
            engines=STUDY.further_engines,
            batches=BATCHES,
            seed=config["seed"],
            bootstrap=config["evaluation"]["bootstrap"],
            code=verb_hash("evaluation", "gather"),
        ),
        run=subpath(output.ssim, ancestor=2),
    shell:
        "python -m evaluation gather {params.run} --arms {params.arms}"
        " --volume-arms {params.volume_arms} --engines {params.engines} --batches {params.batches}"
        " --seed {params.seed} --bootstrap {params.bootstrap} --made {params.made:q} > {log} 2>&1"


rule statistics:
    input:
        arms=rules.describe.output.arms,
        ssim=rules.metrics.output.ssim,
        differences=rules.metrics.output.differences,
        dice=rules.metrics.output.dice,
    output:
        tests=AT.statistic("paired_tests"),
        gains=AT.statistic("gains"),
        verdicts=AT.statistic("verdicts"),
        equivalence=AT.statistic("equivalence"),
        summary=AT.statistic("summary"),
        made=AT.made("statistics/all"),
    log:
        AT.log("statistics"),
    params:
        **JOBS.of(
            "statistics/all",
            files=[AT.statistic("*")],
            came_from=["describe/all", "scans/all", "metrics/all"],
            seed=config["seed"],
            bootstrap=config["evaluation"]["bootstrap"],
            primary=STUDY.primary,
            code=verb_hash("evaluation", "statistics"),
        ),
        run=subpath(output.tests, ancestor=2),
    shell:
        "python -m evaluation statistics {params.run} --seed {params.seed} --bootstrap {params.bootstrap}"
        " --primary {params.primary} --made {params.made:q} > {log} 2>&1"
