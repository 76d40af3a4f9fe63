# A learning curve: how many travelling people an arm needs, judged on people left out of every fit: `snakemake learning`.


rule learning_scans:
    input:
        sheet=rules.scans.output.sheet,
    output:
        sheet=AT.learning / "scans" / f"{draw_name('{people}', '{draw}')}.tsv",
    log:
        AT.log("learning", f"scans-{draw_name('{people}', '{draw}')}"),
    params:
        held_out=lambda wildcards: learning_curve().held_out,
        seed=config["seed"],
        code=verb_hash("studies", "draw"),
    shell:
        "python -m studies draw --scans {input.sheet} --people {wildcards.people} --draw {wildcards.draw}"
        " --held-out {params.held_out} --seed {params.seed} --out {output.sheet} > {log} 2>&1"


rule judge:
    input:
        sheet=drawn_sheet,
        raw=raw_measured,
        harmonized=AT.learning / "harmonized" / "{trial}",
        applied=AT.learning / "status" / "{trial}" / "apply.json",
    output:
        parts=directory(AT.learning / "parts" / "{trial}"),
        status=AT.learning / "status" / "{trial}" / "judge.json",
    log:
        AT.log("learning", "judge-{trial}"),
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        fold=JUDGED,
        gives=lambda wildcards: STUDY.trial("learning", wildcards.trial).gives,
        images=AT.images(RAW),
        segmentations=AT.segmentations(RAW),
        engine=config["segmentation"]["engine"],
        rule=config["segmentation"]["rule"],
        threshold=config["segmentation"]["threshold"],
        code=verb_hash(
            "evaluation",
            "judge",
            *configured_modules(config["segmentation"]["engine"]),
        ),
    shell:
        "python -m evaluation judge --arm {wildcards.trial} --gives {params.gives} --scans {input.sheet}"
        " --fold {params.fold} --harmonized {input.harmonized}"
        " --raw-images {params.images} --raw-segmentations {params.segmentations}"
        " --engine {params.engine} --rule {params.rule} --threshold {params.threshold} --threads {threads}"
        " --out {output.parts} --status {output.status} --requires {input.applied} --on-failure record"
        " --minutes {config[minutes_per_step]} > {log} 2>&1"


rule learning:
    input:
        arms=rules.describe.output.arms,
        sheet=rules.scans.output.sheet,
        raw=raw_measured,
        sheets=lambda wildcards: [
            AT.learning / "scans" / f"{draw_name(*point)}.tsv"
            for point in learning_curve().points
        ],
        parts=of_every_trial(rules.judge.output.parts),
        status=of_every_trial(rules.judge.output.status),
    output:
        expand(AT.learning / "learning.{suffix}", suffix=["tsv", "png", "svg"]),
        summary=AT.learning / "learning_summary.tsv",
    log:
        AT.log("learning", "learning"),
    params:
        fold=JUDGED,
        arms=lambda wildcards: learning_curve().arms,
        points=lambda wildcards: json.dumps(learning_curve().points),
        primary=STUDY.primary,
        batches=BATCHES,
        run=subpath(output[0], ancestor=2),
        code=verb_hash("evaluation", "learning"),
    shell:
        "python -m evaluation learning {params.run} --fold {params.fold} --arms {params.arms} --points {params.points:q}"
        " --batches {params.batches} --primary {params.primary} > {log} 2>&1"
