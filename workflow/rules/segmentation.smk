# Segmentation: every arm on RAW's scale, through one engine.


rule segment:
    input:
        sheet=rules.scans.output.sheet,
        images=rules.apply.output.made,
        intensities=rules.intensities.output.intensities,
        measured=rules.intensities.output.status,
        reference=AT.intensities(RAW),
        reference_measured=AT.record(RAW, "intensities"),
    output:
        made=AT.made("segment/{arm}-{batch}"),
    log:
        AT.log("segment", "{arm}-{batch}"),
    benchmark:
        AT.benchmark("segment", "{arm}-{batch}")
    resources:
        mem_mb=memory(1500),
        runtime=240,
    params:
        **JOBS.of(
            "segment/{arm}-{batch}",
            files=labels,
            lasting=True,
            came_from=[
                "apply/{arm}-{batch}",
                "intensities/{arm}",
                f"intensities/{RAW}",
            ],
            subjects=people,
            engine=config["segmentation"]["engine"],
            rule=config["segmentation"]["rule"],
            threshold=config["segmentation"]["threshold"],
            # that methods needn't segment the scans again
            hard=lambda wildcards: "--hard" if wildcards.arm == RAW else "",
            code=verb_hash(
                "evaluation",
                "segment-arm",
                *configured_modules(config["segmentation"]["engine"]),
            ),
        ),
        images=lambda wildcards: AT.images(wildcards.arm),
        volumes=str(AT.parts("{arm}") / "volumes-{batch}.tsv"),
        regions=str(AT.parts("{arm}") / "regions-{batch}.tsv"),
        status=str(AT.record("{arm}", "segment-{batch}")),
        folder=lambda wildcards: AT.segmentations(wildcards.arm),
    shell:
        "python -m evaluation segment-arm --arm {wildcards.arm} --scans {input.sheet}"
        " --subjects {params.subjects:q} --images {params.images}"
        " --intensities {input.intensities} --reference {input.reference}"
        " --engine {params.engine} --rule {params.rule} --threshold {params.threshold}"
        " --threads {threads} --out {params.folder} {params.hard} --volumes {params.volumes}"
        " --regions {params.regions}"
        " --status {params.status} --requires {input.measured} {input.reference_measured}"
        " --on-failure {config[on_failure]} --minutes {config[minutes_per_step]}"
        " --made {params.made:q} > {log} 2>&1"


if STUDY.further_engines:

    rule resegment:
        input:
            sheet=rules.scans.output.sheet,
            images=rules.apply.output.made,
            intensities=rules.intensities.output.intensities,
            measured=rules.intensities.output.status,
            reference=AT.intensities(RAW),
            reference_measured=AT.record(RAW, "intensities"),
        output:
            made=AT.made("resegment/{arm}-{batch}"),
        log:
            AT.log("resegment", "{arm}-{batch}"),
        benchmark:
            AT.benchmark("resegment", "{arm}-{batch}")
        resources:
            mem_mb=memory(2000),
            runtime=480,
        params:
            **JOBS.of(
                "resegment/{arm}-{batch}",
                files=[
                    AT.parts("{arm}") / "engines-{batch}.tsv",
                    AT.record("{arm}", "resegment-{batch}"),
                ],
                lasting=True,
                came_from=[
                    "apply/{arm}-{batch}",
                    "intensities/{arm}",
                    f"intensities/{RAW}",
                ],
                subjects=people,
                engines=STUDY.further_engines,
                rule=config["segmentation"]["rule"],
                threshold=config["segmentation"]["threshold"],
                code=verb_hash(
                    "evaluation",
                    "resegment-arm",
                    *(
                        module
                        for engine in STUDY.further_engines
                        for module in configured_modules(engine)
                    ),
                ),
            ),
            images=lambda wildcards: AT.images(wildcards.arm),
            out=str(AT.parts("{arm}") / "engines-{batch}.tsv"),
            status=str(AT.record("{arm}", "resegment-{batch}")),
        shell:
            "python -m evaluation resegment-arm --arm {wildcards.arm} --scans {input.sheet}"
            " --subjects {params.subjects:q} --images {params.images}"
            " --intensities {input.intensities} --reference {input.reference}"
            " --engines {params.engines:q} --rule {params.rule} --threshold {params.threshold}"
            " --threads {threads} --out {params.out}"
            " --status {params.status} --requires {input.measured} {input.reference_measured}"
            " --on-failure {config[on_failure]} --minutes {config[minutes_per_step]}"
            " --made {params.made:q} > {log} 2>&1"
