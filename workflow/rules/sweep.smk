# A sweep of a method's parameters, judged on people left out of every fit: `snakemake sweep`.

from pathlib import Path

SWEEP = config["sweep"]
POINTS = STUDY.sweep_points


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


rule sweep:
    input:
        sheet=rules.sweep_scans.output.sheet,
        images=expand(rules.trial_apply.output.harmonized, kind="sweep", trial=POINTS),
    output:
        expand(AT.sweep / "sweep.{suffix}", suffix=["tsv", "png", "svg"]),
    log:
        AT.log("sweep", "sweep"),
    params:
        method=SWEEP["method"],
        fold=JUDGED,
        points=json.dumps(POINTS),
        images=lambda wildcards, input: str(Path(input.images[0]).parent),
        folder=subpath(output[0], parent=True),
        code=verb_hash("evaluation", "sweep"),
    shell:
        "python -m evaluation sweep --scans {input.sheet} --fold {params.fold} --method {params.method} --points {params.points:q}"
        " --images {params.images} --out {params.folder} > {log} 2>&1"
