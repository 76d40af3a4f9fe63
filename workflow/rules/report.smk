# What a person sees: tables, figures, the report, and whether every arm gave its numbers.

FORMATS = ["tsv", "md", "tex"]


rule status:
    input:
        fitted=statuses(FIT),
        applied=statuses("apply"),
        ranged=statuses("intensities"),
        segmented=statuses("segment-{batch}"),
        measured=statuses("measure-{batch}"),
    output:
        status=AT.status,
    log:
        AT.log("status"),
    params:
        run=subpath(output.status, parent=True),
        arms=ARMS,
        code=verb_hash("evaluation", "status"),
    shell:
        "python -m evaluation status {params.run}/status --arms {params.arms} --out {output.status} > {log} 2>&1"


rule provenance:
    input:
        sheet=rules.scans.output.sheet,
        inputs=rules.check_study.output.inputs,
        # not before these: what each step took is told too
        status=rules.status.output.status,
        tests=rules.statistics.output.tests,
    output:
        provenance=AT.provenance,
    log:
        AT.log("provenance"),
    params:
        config=lambda wildcards: json.dumps(STUDY.content, sort_keys=True),
        code=verb_hash("evaluation", "provenance"),
    shell:
        "python -m evaluation provenance --scans {input.sheet} --config {params.config:q}"
        " --out {output.provenance} > {log} 2>&1"


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
    log:
        AT.log("tables"),
    params:
        run=subpath(input.sheet, parent=True),
        code=verb_hash("evaluation", "tables"),
    shell:
        "python -m evaluation tables {params.run} > {log} 2>&1"


rule figures:
    input:
        sheet=rules.scans.output.sheet,
        arms=rules.describe.output.arms,
        images=expand(rules.apply.output.images, arm=ARMS),
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
    log:
        AT.log("figures"),
    benchmark:
        AT.benchmark("figures")
    threads: 2
    resources:
        mem_mb=memory(2000),
    params:
        run=subpath(input.sheet, parent=True),
        code=verb_hash("evaluation", "figures"),
    shell:
        "python -m evaluation figures {params.run} --threads {threads} > {log} 2>&1"


rule report:
    input:
        arms=rules.describe.output.arms,
        tables=rules.tables.output,
        figures=rules.figures.output,
        status=rules.status.output.status,
        provenance=rules.provenance.output.provenance,
    output:
        page=report(
            AT.report,
            category="Report",
            caption="../report/report.rst",
        ),
    log:
        AT.log("report"),
    resources:
        mem_mb=memory(2000),
    params:
        run=subpath(output.page, parent=True),
        code=verb_hash("evaluation", "report"),
    shell:
        "python -m evaluation report {params.run} > {log} 2>&1"


rule verdict:
    input:
        page=rules.report.output.page,
        status=rules.status.output.status,
        quality=QUALITY,
    output:
        complete=touch(AT.complete),
    log:
        AT.log("verdict"),
    params:
        code=verb_hash("evaluation", "verdict"),
    shell:
        "python -m evaluation verdict {input.status} {input.quality} > {log} 2>&1"
