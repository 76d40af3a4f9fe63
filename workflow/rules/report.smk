# What a person sees: tables, figures, the report, and whether every arm gave its numbers.

FORMATS = ["tsv", "md", "tex"]
DRAWN_FROM = [
    "describe/all",
    "scans/all",
    "quality/*",
    "metrics/all",
    "statistics/all",
    "status/all",
]


rule status:
    input:
        fitted=of_every_arm(rules.fit.output.made),
        applied=of_every_arm(rules.apply.output.made),
        ranged=of_every_arm(rules.intensities.output.made),
        segmented=of_every_arm(rules.segment.output.made),
        resegmented=(
            of_every_arm(rules.resegment.output.made) if STUDY.further_engines else []
        ),
        measured=of_every_arm(rules.measure.output.made),
        volumes=of_volume_arms("apply/{volume_arm}-all"),
    output:
        status=AT.status,
        made=AT.made("status/all"),
    log:
        AT.log("status"),
    params:
        **JOBS.of(
            "status/all",
            files=[AT.status],
            came_from=[
                "fit/*/*",
                "apply/*",
                "intensities/*",
                "segment/*",
                "resegment/*",
                "measure/*",
            ],
            arms=ARMS,
            code=verb_hash("evaluation", "status"),
        ),
        run=subpath(output.status, parent=True),
    shell:
        "python -m evaluation status {params.run}/status --arms {params.arms} --out {output.status}"
        " --made {params.made:q} > {log} 2>&1"


rule provenance:
    input:
        sheet=rules.scans.output.sheet,
        inputs=rules.check_study.output.inputs,
        # not before these: what each step took is told too
        status=rules.status.output.status,
        tests=rules.statistics.output.tests,
        quality=QUALITY,
    output:
        provenance=AT.provenance,
        made=AT.made("provenance/all"),
    log:
        AT.log("provenance"),
    params:
        **JOBS.of(
            "provenance/all",
            files=[AT.provenance],
            came_from=["check_study/all", "scans/all", "status/all", "statistics/all"],
            config=lambda wildcards: json.dumps(STUDY.content, sort_keys=True),
            code=verb_hash("evaluation", "provenance"),
        ),
    shell:
        "python -m evaluation provenance --scans {input.sheet} --config {params.config:q}"
        " --out {output.provenance} --made {params.made:q} > {log} 2>&1"


rule tables:
    input:
        sheet=rules.scans.output.sheet,
        arms=rules.describe.output.arms,
        metrics=rules.metrics.output,
        tests=rules.statistics.output.tests,
        status=rules.status.output.status,
    output:
        ssim=report(
            expand(AT.tables / "table2_ssim.{format}", format=FORMATS),
            category="Tables",
            caption="../report/table2_ssim.rst",
        ),
        volumes=report(
            expand(AT.tables / "table3_volume_differences.{format}", format=FORMATS),
            category="Tables",
            caption="../report/table3_volume_differences.rst",
        ),
        made=AT.made("tables/all"),
    log:
        AT.log("tables"),
    params:
        **JOBS.of(
            "tables/all",
            files=[AT.tables],
            came_from=DRAWN_FROM,
            code=verb_hash("evaluation", "tables"),
        ),
        run=subpath(input.sheet, parent=True),
    shell:
        "python -m evaluation tables {params.run} --made {params.made:q} > {log} 2>&1"


rule figures:
    input:
        sheet=rules.scans.output.sheet,
        arms=rules.describe.output.arms,
        images=expand(rules.apply.output.made, arm=IMAGE_ARMS, batch=BATCHES),
        metrics=rules.metrics.output,
        tests=rules.statistics.output.tests,
        status=rules.status.output.status,
        quality=QUALITY,
    output:
        png=report(
            expand(AT.figures / "{name}.png", name=FIGURES),
            category="Figures",
            caption="../report/figures.rst",
        ),
        svg=expand(AT.figures / "{name}.svg", name=FIGURES),
        made=AT.made("figures/all"),
    log:
        AT.log("figures"),
    benchmark:
        AT.benchmark("figures")
    threads: 2
    resources:
        mem_mb=memory(2000),
    params:
        **JOBS.of(
            "figures/all",
            files=[AT.figures],
            came_from=[*DRAWN_FROM, "prepare/*", "fit/*/*", "apply/*"],
            code=verb_hash("evaluation", "figures"),
        ),
        run=subpath(input.sheet, parent=True),
    shell:
        "python -m evaluation figures {params.run} --threads {threads} --made {params.made:q} > {log} 2>&1"


rule report:
    input:
        arms=rules.describe.output.arms,
        tables=rules.tables.output,
        figures=rules.figures.output,
        status=rules.status.output.status,
        provenance=rules.provenance.output.provenance,
        remarks=rules.check_study.output.remarks,
    output:
        page=report(
            AT.report,
            category="Report",
            caption="../report/report.rst",
        ),
        methods=AT.methods,
        references=AT.references,
        made=AT.made("report/all"),
    log:
        AT.log("report"),
    resources:
        mem_mb=memory(2000),
    params:
        **JOBS.of(
            "report/all",
            files=[AT.report, AT.methods, AT.references],
            came_from=[
                *DRAWN_FROM,
                "prepare/*",
                "apply/*",
                "provenance/all",
                "tables/all",
                "figures/all",
            ],
            code=verb_hash("evaluation", "report"),
        ),
        run=subpath(output.page, parent=True),
    shell:
        "python -m evaluation report {params.run} --made {params.made:q} > {log} 2>&1"


rule whole:
    input:
        page=rules.report.output.page,
        status=rules.status.output.status,
        quality=QUALITY,
    output:
        complete=AT.complete,
    log:
        AT.log("whole"),
    params:
        run=subpath(input.page, parent=True),
        code=verb_hash("evaluation", "check"),
    shell:
        "python -m evaluation check {params.run} --quick --complete {output.complete} > {log} 2>&1"
