# Scans: checked, made or brought in, on one grid and one scale.


rule check_study:
    output:
        checked=touch(f"{RUN}/study/checked"),
    log:
        f"{RUN}/logs/check_study.log",
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        source=STUDY.source,
        options=json.dumps(STUDY.options, sort_keys=True),
    shell:
        "python -m studies check --source {params.source} --options {params.options:q} > {log} 2>&1"


rule prepare:
    input:
        checked=rules.check_study.output.checked,
    output:
        part=f"{RUN}/study/part-{{batch}}.tsv",
    log:
        f"{RUN}/logs/prepare/{{batch}}.log",
    benchmark:
        f"{RUN}/benchmarks/prepare/{{batch}}.tsv"
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        source=STUDY.source,
        options=json.dumps(STUDY.options, sort_keys=True),
        subjects=people,
        code=source_hash(f"studies.sources.{STUDY.source}"),
    shell:
        "python -m studies prepare --source {params.source} --options {params.options:q}"
        " --subjects {params.subjects:q} --part {output.part} > {log} 2>&1"


rule scans:
    input:
        parts=expand(rules.prepare.output.part, batch=BATCHES),
    output:
        sheet=f"{RUN}/scans.tsv",
    log:
        f"{RUN}/logs/scans.log",
    shell:
        "python -m studies gather --parts {input.parts} --out {output.sheet} > {log} 2>&1"
