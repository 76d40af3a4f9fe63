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
        status=f"{RUN}/status.tsv",
    log:
        f"{RUN}/logs/status.log",
    params:
        run=subpath(output.status, parent=True),
        arms=ARMS,
        code=verb_hash("evaluation", "status"),
    shell:
        "python -m evaluation status {params.run}/status --methods {params.arms} --out {output.status} > {log} 2>&1"


rule provenance:
    input:
        sheet=rules.scans.output.sheet,
        inputs=rules.check_study.output.inputs,
        # not before these: what each step took is told too
        status=rules.status.output.status,
        tests=rules.statistics.output.tests,
    output:
        provenance=f"{RUN}/provenance.json",
    log:
        f"{RUN}/logs/provenance.log",
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
            expand(f"{RUN}/tables/table2_ssim.{{format}}", format=FORMATS),
            category="Tables",
            caption="../report/table2_ssim.rst",
        ),
        volumes=report(
            expand(
                f"{RUN}/tables/table3_volume_differences.{{format}}", format=FORMATS
            ),
            category="Tables",
            caption="../report/table3_volume_differences.rst",
        ),
    log:
        f"{RUN}/logs/tables.log",
    params:
        run=subpath(input.sheet, parent=True),
        code=verb_hash("evaluation", "tables"),
    shell:
        "python -m evaluation tables {params.run} > {log} 2>&1"


rule figures:
    input:
        sheet=rules.scans.output.sheet,
        arms=rules.describe.output.arms,
        images=expand(rules.harmonize.output.images, arm=ARMS),
        metrics=rules.metrics.output,
        tests=rules.statistics.output.tests,
        status=rules.status.output.status,
        quality=QUALITY,
    output:
        png=report(
            expand(f"{RUN}/figures/{{name}}.png", name=FIGURES),
            category="Figures",
            caption="../report/figures.rst",
        ),
        svg=expand(f"{RUN}/figures/{{name}}.svg", name=FIGURES),
    log:
        f"{RUN}/logs/figures.log",
    benchmark:
        f"{RUN}/benchmarks/figures.tsv"
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
            f"{RUN}/report.html",
            category="Report",
            caption="../report/report.rst",
        ),
    log:
        f"{RUN}/logs/report.log",
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
        complete=touch(f"{RUN}/status/complete"),
    log:
        f"{RUN}/logs/verdict.log",
    params:
        code=verb_hash("evaluation", "verdict"),
    shell:
        "python -m evaluation verdict {input.status} {input.quality} > {log} 2>&1"
