# Evaluation: each arm's measures, then the run's metrics, tests and tables.


rule measure:
    input:
        sheet=rules.scans.output.sheet,
        images=rules.harmonize.output.images,
        intensities=rules.intensities.output.intensities,
        reference=f"{RUN}/intensities/raw.json",
        volumes=rules.segment.output.volumes,
        segmented=rules.segment.output.status,
        reference_segmented=f"{RUN}/status/raw/segment-{{batch}}.json",
    output:
        measures=f"{RUN}/parts/{{arm}}/measures-{{batch}}.json",
        arrays=f"{RUN}/parts/{{arm}}/arrays-{{batch}}.npz",
        status=f"{RUN}/status/{{arm}}/measure-{{batch}}.json",
    log:
        f"{RUN}/logs/measure/{{arm}}-{{batch}}.log",
    benchmark:
        f"{RUN}/benchmarks/measure/{{arm}}-{{batch}}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        subjects=people,
        segmentations=rules.segment.params.folder,
        reference=f"{RUN}/segmentations/raw",
        folder=subpath(output.measures, parent=True),
        on_failure=ON_FAILURE,
        code=verb_hash("evaluation", "measure-arm"),
    shell:
        "python -m evaluation measure-arm --method {wildcards.arm} --scans {input.sheet}"
        " --subjects {params.subjects:q} --images {input.images}"
        " --segmentations {params.segmentations} --reference-segmentations {params.reference}"
        " --intensities {input.intensities} --reference {input.reference}"
        " --batch {wildcards.batch} --out {params.folder}"
        " --status {output.status} --requires {input.segmented} {input.reference_segmented}"
        " --on-failure {params.on_failure} --minutes {config[minutes_per_step]} > {log} 2>&1"


rule metrics:
    input:
        sheet=rules.scans.output.sheet,
        volumes=expand(rules.segment.output.volumes, arm=ARMS, batch=BATCHES),
        measured=expand(rules.measure.output, arm=ARMS, batch=BATCHES),
    output:
        ssim=f"{RUN}/metrics/ssim.tsv",
        volumes=f"{RUN}/metrics/volumes.tsv",
        differences=f"{RUN}/metrics/volume_differences.tsv",
        dice=f"{RUN}/metrics/dice.tsv",
        rmse=f"{RUN}/metrics/rmse.tsv",
    log:
        f"{RUN}/logs/metrics.log",
    params:
        run=subpath(output.ssim, ancestor=2),
        arms=ARMS,
        batches=BATCHES,
        seed=config["seed"],
        bootstrap=config["evaluation"]["bootstrap"],
        code=verb_hash("evaluation", "gather"),
    shell:
        "python -m evaluation gather {params.run} --methods {params.arms} --batches {params.batches}"
        " --seed {params.seed} --bootstrap {params.bootstrap} > {log} 2>&1"


rule statistics:
    input:
        arms=rules.describe.output.arms,
        ssim=rules.metrics.output.ssim,
        differences=rules.metrics.output.differences,
        dice=rules.metrics.output.dice,
    output:
        tests=f"{RUN}/statistics/paired_tests.tsv",
        summary=f"{RUN}/statistics/summary.tsv",
    log:
        f"{RUN}/logs/statistics.log",
    params:
        run=subpath(output.tests, ancestor=2),
        seed=config["seed"],
        bootstrap=config["evaluation"]["bootstrap"],
        code=verb_hash("evaluation", "statistics"),
    shell:
        "python -m evaluation statistics {params.run} --seed {params.seed} --bootstrap {params.bootstrap}"
        " > {log} 2>&1"
