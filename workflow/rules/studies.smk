# Scans: checked, made or brought in, on one grid and one scale.
#
# A scan that comes or goes has the study checked again, and so all that stands on that. The steps of the scans,
# which are long, then find their records still true and leave what they made as it is (`lasting`); for that their
# other files are no outputs, which Snakemake would remove before.


rule check_study:
    output:
        options=AT.study.options,
        inputs=AT.study.inputs,
        remarks=AT.study.remarks,
        card=AT.study.card,
        made=AT.made("check_study/all"),
    log:
        AT.log("check_study"),
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        **JOBS.of(
            "check_study/all",
            files=[
                AT.study.options,
                AT.study.inputs,
                AT.study.remarks,
                AT.study.card,
            ],
            source=STUDY.source.name,
            options=lambda wildcards: json.dumps(STUDY.options, sort_keys=True),
            made_from=STUDY.made_from(),
            code=verb_hash("studies", "check", STUDY.source_module),
        ),
    shell:
        "python -m studies check --source {params.source} --options {params.options:q}"
        " --out {output.options} --inputs {output.inputs} --remarks {output.remarks} --card {output.card}"
        " --made {params.made:q} > {log} 2>&1"


for number, step in enumerate(STUDY.source.steps):

    rule:
        name:
            step.name
        input:
            options=rules.check_study.output.options,
            before=[
                AT.made(f"{earlier.name}/{{scan}}")
                for earlier in STUDY.source.steps[:number]
            ],
        output:
            made=AT.made(f"{step.name}/{{scan}}"),
        log:
            AT.log(step.name, "{scan}"),
        benchmark:
            AT.benchmark(step.name, "{scan}")
        threads: STUDY.threads_of(step)
        resources:
            mem_mb=memory(step.mem_mb),
            runtime=step.minutes,
        params:
            **JOBS.of(
                f"{step.name}/{{scan}}",
                files=of_step(step),
                lasting=True,
                came_from=[
                    f"{earlier.name}/{{scan}}"
                    for earlier in STUDY.source.steps[:number]
                ],
                step=step.name,
                source=STUDY.source.name,
                options=STUDY.options_of_scans,
                made_from=scan_made_from,
                code=verb_hash("studies", "step", STUDY.source_module),
            ),
            folder=AT.study.root,
            # as text, since wildcards in paths are filled in for files alone
            status=str(AT.study.record("{scan}", step.name)),
            before=[
                str(AT.study.record("{scan}", earlier.name))
                for earlier in STUDY.source.steps[:number]
            ],
            ids=ids,
        shell:
            "python -m studies step {params.step} --source {params.source} --options {input.options}"
            " --scan {params.ids:q} --out {params.folder} --status {params.status:q}"
            " --requires {params.before:q} --made {params.made:q} > {log:q} 2>&1"


rule prepare:
    input:
        options=rules.check_study.output.options,
        stepped=stepped,
        quality=QUALITY,
    output:
        made=AT.made("prepare/{group}"),
    log:
        AT.log("prepare", "{group}"),
    benchmark:
        AT.benchmark("prepare", "{group}")
    resources:
        mem_mb=memory(2500),
        runtime=120,
    params:
        **JOBS.of(
            "prepare/{group}",
            files=prepared,
            came_from=[*LAST_STEP, "quality/*"],
            source=STUDY.source.name,
            options=STUDY.options_of_scans,
            made_from=made_from,
            code=verb_hash("studies", "prepare", STUDY.source_module),
        ),
        folder=AT.study.root,
        subjects=group,
    shell:
        "python -m studies prepare --source {params.source} --options {input.options}"
        " --subject {params.subjects:q} --out {params.folder} --made {params.made:q} > {log} 2>&1"


rule scans:
    input:
        prepared=expand(rules.prepare.output.made, group=STUDY.groups),
    output:
        sheet=AT.sheet,
        made=AT.made("scans/all"),
    log:
        AT.log("scans"),
    params:
        **JOBS.of(
            "scans/all",
            files=[AT.sheet],
            came_from=["prepare/*"],
            subjects=STUDY.subjects,
            division=STUDY.division,
            code=verb_hash("studies", "gather"),
        ),
        parts=[AT.study.part_sheet(subject) for subject in STUDY.subjects],
    shell:
        "python -m studies gather --parts {params.parts:q} --out {output.sheet} {params.division:q}"
        " --made {params.made:q} > {log} 2>&1"


if STUDY.source.has_quality:

    rule quality:
        input:
            stepped=[
                AT.made(f"{STUDY.source.steps[-1].name}/{scan}")
                for scan in STUDY.scans
            ],
        output:
            quality=AT.study.quality,
            made=AT.made("quality/all"),
        log:
            AT.log("quality"),
        params:
            **JOBS.of(
                "quality/all",
                files=[AT.study.quality, AT.study.quality.with_suffix(".md")],
                came_from=[f"{step.name}/*" for step in STUDY.source.steps],
                source=STUDY.source.name,
                scans=[
                    ":".join(filter(None, [scan.subject, scan.scanner, scan.session]))
                    for scan in STUDY.scans.values()
                ],
                flagged=config["flagged"],
                code=verb_hash("studies", "quality", STUDY.source_module),
            ),
            folder=subpath(output.quality, parent=True),
        shell:
            "python -m studies quality {params.folder} --source {params.source} --scans {params.scans:q}"
            " --flagged {params.flagged} --out {output.quality} --made {params.made:q} > {log} 2>&1"
