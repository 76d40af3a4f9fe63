# A sweep of a method's parameters, judged on people left out of every fit: `snakemake sweep`.

from pathlib import Path

SWEEP = config["sweep"]
POINTS = STUDY.sweep_points
LEFT_OUT = "1"


rule sweep_scans:
    input:
        sheet=rules.scans.output.sheet,
    output:
        sheet=AT.sweep / "scans.tsv",
    log:
        AT.log("sweep", "scans"),
    params:
        folds=sweep_folds,
        seed=config["seed"],
        code=verb_hash("studies", "gather"),
    shell:
        "python -m studies gather --parts {input.sheet} --folds {params.folds} --seed {params.seed}"
        " --out {output.sheet} > {log} 2>&1"


rule sweep_fit:
    input:
        sheet=rules.sweep_scans.output.sheet,
    output:
        model=directory(AT.sweep / "models" / "{point}"),
    log:
        AT.log("sweep", "fit-{point}"),
    benchmark:
        AT.benchmark("sweep", "fit-{point}")
    threads: config["fit_threads"]
    resources:
        mem_mb=memory(4000),
        runtime=1440,
        gpu=lambda wildcards: STUDY.gpus_of(SWEEP["method"]),
    params:
        method=SWEEP["method"],
        fold=LEFT_OUT,
        settings=lambda wildcards: settings(POINTS[wildcards.point]),
        seed=config["seed"],
        checkpoint=lambda wildcards: AT.sweep / "checkpoints" / wildcards.point,
        code=lambda wildcards: method_hash(
            "fit", SWEEP["method"], POINTS[wildcards.point]
        ),
    shell:
        "python -m baselines fit {params.method} --scans {input.sheet} --model {output.model}"
        " --scale none --seed {params.seed} --threads {threads}"
        " --without-fold {params.fold} --checkpoint {params.checkpoint} {params.settings:q} > {log} 2>&1"


rule sweep_apply:
    input:
        sheet=rules.sweep_scans.output.sheet,
        model=rules.sweep_fit.output.model,
    output:
        images=temp(directory(AT.sweep / "images" / "{point}")),
    log:
        AT.log("sweep", "apply-{point}"),
    resources:
        mem_mb=memory(2000),
        runtime=240,
        gpu=lambda wildcards: STUDY.gpus_of(SWEEP["method"]),
    params:
        method=SWEEP["method"],
        fold=LEFT_OUT,
        settings=lambda wildcards: settings(POINTS[wildcards.point]),
        code=lambda wildcards: method_hash(
            "apply", SWEEP["method"], POINTS[wildcards.point]
        ),
    shell:
        "python -m baselines apply {params.method} --model {input.model} --scans {input.sheet} {params.settings:q}"
        " --only-fold {params.fold} --out {output.images} --threads {threads} > {log} 2>&1"


rule sweep:
    input:
        sheet=rules.sweep_scans.output.sheet,
        images=expand(rules.sweep_apply.output.images, point=POINTS),
    output:
        expand(AT.sweep / "sweep.{suffix}", suffix=["tsv", "png", "svg"]),
    log:
        AT.log("sweep", "sweep"),
    params:
        method=SWEEP["method"],
        fold=LEFT_OUT,
        points=json.dumps(POINTS),
        images=lambda wildcards, input: str(Path(input.images[0]).parent),
        folder=subpath(output[0], parent=True),
        code=verb_hash("evaluation", "sweep"),
    shell:
        "python -m evaluation sweep --scans {input.sheet} --fold {params.fold} --method {params.method} --points {params.points:q}"
        " --images {params.images} --out {params.folder} > {log} 2>&1"
