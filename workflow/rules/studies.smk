# Scans: checked, made or brought in, on one grid and one scale.


rule check_study:
    output:
        options=f"{RUN}/study/options.json",
    log:
        f"{RUN}/logs/check_study.log",
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        source=STUDY.source,
        options=lambda wildcards: json.dumps(STUDY.options, sort_keys=True),
    shell:
        "python -m studies check --source {params.source} --options {params.options:q}"
        " --out {output.options} > {log} 2>&1"


rule prepare:
    input:
        options=rules.check_study.output.options,
    output:
        prepared=touch(f"{RUN}/study/prepared-{{batch}}"),
    log:
        f"{RUN}/logs/prepare/{{batch}}.log",
    benchmark:
        f"{RUN}/benchmarks/prepare/{{batch}}.tsv"
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        source=STUDY.source,
        folder=subpath(output.prepared, parent=True),
        subjects=people,
        code=source_hash(f"studies.sources.{STUDY.source}"),
    shell:
        "python -m studies prepare --source {params.source} --options {input.options}"
        " --subject {params.subjects:q} --out {params.folder} > {log} 2>&1"


rule scans:
    input:
        prepared=expand(rules.prepare.output.prepared, batch=BATCHES),
    output:
        sheet=f"{RUN}/scans.tsv",
    log:
        f"{RUN}/logs/scans.log",
    params:
        parts=[f"{RUN}/study/sub-{subject}.tsv" for subject in STUDY.subjects],
        division=STUDY.division,
    shell:
        "python -m studies gather --parts {params.parts:q} --out {output.sheet} {params.division:q} > {log} 2>&1"
