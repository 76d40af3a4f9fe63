# Scans: checked, made or brought in, on one grid and one scale.


rule check_study:
    output:
        options=AT.study.options,
        inputs=AT.study.inputs,
    log:
        AT.log("check_study"),
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        source=STUDY.source.name,
        options=lambda wildcards: json.dumps(STUDY.options, sort_keys=True),
        code=verb_hash("studies", "check", STUDY.source_module),
    shell:
        "python -m studies check --source {params.source} --options {params.options:q}"
        " --out {output.options} --inputs {output.inputs} > {log} 2>&1"


for number, step in enumerate(STUDY.source.steps):

    rule:
        name:
            step.name
        input:
            options=rules.check_study.output.options,
            before=[
                AT.study.record("{scan}", earlier.name)
                for earlier in STUDY.source.steps[:number]
            ],
        output:
            status=AT.study.record("{scan}", step.name),
        log:
            AT.log(step.name, "{scan}"),
        benchmark:
            AT.benchmark(step.name, "{scan}")
        threads: STUDY.threads_of(step)
        resources:
            mem_mb=memory(step.mem_mb),
            runtime=step.minutes,
        params:
            step=step.name,
            source=STUDY.source.name,
            folder=subpath(output.status, ancestor=3),
            ids=ids,
            code=verb_hash("studies", "step", STUDY.source_module),
        shell:
            "python -m studies step {params.step} --source {params.source} --options {input.options}"
            " --scan {params.ids:q} --out {params.folder} --status {output.status:q}"
            " --requires {input.before:q} > {log:q} 2>&1"


rule prepare:
    input:
        options=rules.check_study.output.options,
        stepped=stepped,
        quality=QUALITY,
    output:
        prepared=touch(AT.study.prepared("{batch}")),
    log:
        AT.log("prepare", "{batch}"),
    benchmark:
        AT.benchmark("prepare", "{batch}")
    resources:
        mem_mb=memory(2500),
        runtime=120,
    params:
        source=STUDY.source.name,
        folder=subpath(output.prepared, parent=True),
        subjects=people,
        code=verb_hash("studies", "prepare", STUDY.source_module),
    shell:
        "python -m studies prepare --source {params.source} --options {input.options}"
        " --subject {params.subjects:q} --out {params.folder} > {log} 2>&1"


rule scans:
    input:
        prepared=expand(rules.prepare.output.prepared, batch=BATCHES),
    output:
        sheet=AT.sheet,
    log:
        AT.log("scans"),
    params:
        parts=[AT.study.part_sheet(subject) for subject in STUDY.subjects],
        division=STUDY.division,
        code=verb_hash("studies", "gather"),
    shell:
        "python -m studies gather --parts {params.parts:q} --out {output.sheet} {params.division:q} > {log} 2>&1"


if STUDY.source.has_quality:

    rule quality:
        input:
            stepped=[
                AT.study.record(scan, STUDY.source.steps[-1].name)
                for scan in STUDY.scans
            ],
        output:
            quality=AT.study.quality,
        log:
            AT.log("quality"),
        params:
            source=STUDY.source.name,
            folder=subpath(output.quality, parent=True),
            scans=[
                ":".join(filter(None, [scan.subject, scan.scanner, scan.session]))
                for scan in STUDY.scans.values()
            ],
            flagged=config["flagged"],
            code=verb_hash("studies", "quality", STUDY.source_module),
        shell:
            "python -m studies quality {params.folder} --source {params.source} --scans {params.scans:q}"
            " --flagged {params.flagged} --out {output.quality} > {log} 2>&1"
