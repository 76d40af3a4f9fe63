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
        source=STUDY.source,
        options=lambda wildcards: json.dumps(STUDY.options, sort_keys=True),
        code=verb_hash("studies", "check", STUDY.source_module),
    shell:
        "python -m studies check --source {params.source} --options {params.options:q}"
        " --out {output.options} --inputs {output.inputs} > {log} 2>&1"


rule register:
    input:
        options=rules.check_study.output.options,
    output:
        status=AT.study.record("{scan}", "register"),
    log:
        AT.log("register", "{scan}"),
    benchmark:
        AT.benchmark("register", "{scan}")
    threads: STUDY.options.get("threads", 1)
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        source=STUDY.source,
        folder=subpath(output.status, ancestor=3),
        ids=ids,
        code=verb_hash("studies", "step", STUDY.source_module),
    shell:
        "python -m studies step register --source {params.source} --options {input.options}"
        " --scan {params.ids:q} --out {params.folder} --status {output.status:q} > {log:q} 2>&1"


rule resample:
    input:
        options=rules.check_study.output.options,
        registered=rules.register.output.status,
    output:
        status=AT.study.record("{scan}", "resample"),
    log:
        AT.log("resample", "{scan}"),
    benchmark:
        AT.benchmark("resample", "{scan}")
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        source=STUDY.source,
        folder=subpath(output.status, ancestor=3),
        ids=ids,
        code=verb_hash("studies", "step", STUDY.source_module),
    shell:
        "python -m studies step resample --source {params.source} --options {input.options}"
        " --scan {params.ids:q} --out {params.folder} --status {output.status:q}"
        " --requires {input.registered:q} > {log:q} 2>&1"


rule prepare:
    input:
        options=rules.check_study.output.options,
        stepped=stepped,
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
        source=STUDY.source,
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


rule quality:
    input:
        stepped=expand(rules.resample.output.status, scan=STUDY.scans),
    output:
        quality=AT.study.quality,
    log:
        AT.log("quality"),
    params:
        folder=subpath(output.quality, parent=True),
        scans=[f"{scan.subject}:{scan.scanner}" for scan in STUDY.scans.values()],
        code=verb_hash("studies", "quality"),
    shell:
        "python -m studies quality {params.folder} --scans {params.scans:q} --out {output.quality} > {log} 2>&1"
