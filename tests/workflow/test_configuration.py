"""The configuration: what is refused, and what the rules get from it."""

from __future__ import annotations

import copy
import dataclasses
import math
import typing

import pytest
import yaml

from core.errors import InputError
from core.options import typed
from studies.sources import RUN_WIDE, source, sources
from tests.support.paths import ROOT
from workflow.configuration import Configuration
from workflow.schema import checked


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def test_the_demo(config):
    demo = Configuration(config)
    arms = [arm for arm, planned in demo.arms.items() if planned.role == "arm"]
    assert arms == ["raw", "whitestripe", "ravel", "mispel"]
    assert {arm: (planned.role, planned.of) for arm, planned in demo.arms.items() if planned.role != "arm"} == {
        "ravel_blur": ("blur", "ravel"),
        "mispel_seed1": ("seed", "mispel"),
        "mispel_seed2": ("seed", "mispel"),
        "mispel_permuted": ("permuted", "mispel"),
        "mispel_permuted_seed1": ("seed", "mispel_permuted"),
        "mispel_permuted_seed2": ("seed", "mispel_permuted"),
        "mispel_blur": ("blur", "mispel"),
        "oracle": ("control", ""),
        "cohort_mean": ("control", ""),
        "person_mean": ("control", ""),
    }
    assert demo.arms["mispel_permuted_seed1"].parameters == {"base": "mispel", "settings": "preset=demo"}
    assert (demo.arms["mispel"].seed, demo.arms["mispel_seed2"].seed) == (0, 2)
    assert demo.scanners == ["GE", "Philips", "Prisma", "Trio"]
    assert len(demo.subjects) >= 6
    assert [subject for batch in demo.batches.values() for subject in batch] == demo.subjects
    demo.check_arms()


def test_arms_of_volumes_harmonize_those_of_an_arm_of_images(config):
    given = {"stack": {"method": "longcombat", "of": "ravel"}, "combat_volumes": {"parts": "regions"}}
    config["methods"] |= given
    found = Configuration(config)
    assert found.volume_arms[:2] == ["stack", "stack_permuted"]
    assert (found.arms["stack"].after, found.arms["combat_volumes"].after) == ("ravel", "raw")
    assert found.arms["stack_permuted"].method == "shuffle_volumes"
    assert found.arms["stack_permuted"].after == "ravel"
    assert not [arm for arm, planned in found.arms.items() if planned.of == "stack" and planned.role == "blur"]


@pytest.mark.parametrize("of", ["rave", "combat_volumes", "mispel_blur"])
def test_volumes_of_no_arm_of_images_are_refused(config, of):
    config["methods"] |= {"combat_volumes": {}, "stack": {"method": "longcombat", "of": of}}
    with pytest.raises(InputError, match=rf"methods.stack.of: no arm of images is called '{of}'"):
        Configuration(config)


def test_a_sweep_is_of_a_method_of_images(config):
    config["sweep"] |= {"method": "combat_volumes", "parameters": {"covariates": ["", "age"]}}
    with pytest.raises(InputError, match="'combat_volumes' gives volumes, no images"):
        Configuration(config).check_arms()


def test_held_out_a_stack_on_fits_that_saw_everyone_is_refused(config):
    config |= {"protocol": "kfold", "folds": {"count": 2, "stratify": None}}
    config["methods"] |= {"stack": {"method": "combat_volumes", "of": "whitestripe"}}
    assert "stack" in Configuration(config).volume_arms
    config["methods"]["stack"]["of"] = "mispel"
    with pytest.raises(InputError, match="methods.stack.of: held out, 'mispel' has no volumes of training people"):
        Configuration(config)


# the demo, which they overlay; what is no run; studies whose files are elsewhere
OTHERS = {path.stem for path in (ROOT / "config").glob("*.yaml")} - {"config", "suite", "on-harmony", "masivar"}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_every_key_of_the_other_files_is_known(config, name, tmp_path):
    overlay = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())

    def merge(under: dict, over: dict) -> dict:
        return under | {
            key: merge(under[key], value) if isinstance(value, dict) and isinstance(under.get(key), dict) else value
            for key, value in over.items()
        }

    for subject in ("sub-01", "sub-02", "sub-03"):
        image = tmp_path / subject / "anat" / f"{subject}_T1w.nii.gz"
        image.parent.mkdir(parents=True)
        image.touch()
    merged = merge(config, overlay) | {"anatomy": str(tmp_path)}
    assert Configuration(merged).run == f"results/{name}"


@pytest.mark.parametrize("name", sources())
def test_every_option_of_a_source_stands_in_the_configuration_with_its_default(config, name):
    chosen = source(name)
    block = config["study"][name]
    assert set(block) == set(chosen.keys) - set(RUN_WIDE)
    defaults = {field.name: field for field in dataclasses.fields(chosen.module.Options)}
    annotations = typing.get_type_hints(chosen.module.Options)
    for key, value in block.items():
        field = defaults[key]
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        assert typed(value, annotations[key], key) == default, key


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"fantom": {"subjects": 3}}, "unknown key 'study.fantom' .did you mean 'phantom'"),
        ({"bids": {"datset": "x"}}, "unknown key 'study.bids.datset' .did you mean 'dataset'"),
        ({"bids": {"scans_found": []}}, "unknown key 'study.bids.scans_found'"),
    ],
)
def test_blocks_that_are_not_used_are_checked_too(config, study, message):
    config["study"] |= study
    with pytest.raises(InputError, match=message):
        Configuration(config).check_other_blocks()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["sede"], 1, "unknown key 'sede' .did you mean 'seed'"),
        (["study", "phantom", "voxel_size"], 1, "'study.phantom.voxel_size' .did you mean 'voxel_size_mm'"),
        (["study", "source"], "phantm", "phantm.*did you mean 'phantom'"),
        (["segmentation", "threshold"], 2, "segmentation.threshold"),
        (["methods", "raw"], None, "'raw' is missing"),
        (["study", "phantom", "subjects"], 1, "1 subject"),
        (["study", "phantom", "scanners"], ["GE"], "1 scanner"),
        (["protocol"], "kfolds", "protocol: 'kfolds' is not one of"),
        (["folds", "counts"], 3, "'folds.counts' .did you mean 'count'"),
        (["run"], "x\n", "run: .*can't be a run's name"),
        (["run"], "./..", "run: .*can't be a run's name"),
        (["run"], "/tmp/x", "run: .*can't be a run's name"),
        (["run"], "x" * 65, "run: .*can't be a run's name"),
        (["methods", "raw\n"], {}, "methods: .*can't be an arm's id"),
        (["methods", "r" * 65], {}, "methods: .*can't be an arm's id"),
        (["seed"], True, "seed: True is not of type 'integer'"),
        (["seed"], 2**31, "seed: 2147483648 is greater than the maximum"),
        (["controls", "seeds"], 1e9, "controls.seeds: 1000000000 is greater than the maximum"),
        (["evaluation", "bootstrap"], 1e30, "evaluation.bootstrap: a whole number beyond 2.63"),
        (["fit_processes"], 0, "fit_processes: 0 is less than the minimum of 1"),
        (["fit_processes"], 1025, "fit_processes: 1025 is greater than the maximum of 1024"),
        (["fit_processes"], "auto", "fit_processes: 'auto' is not of type 'integer'"),
        (["minutes_per_step"], math.nan, "minutes_per_step: nan; give a finite number"),
        (["minutes_per_step"], "nan", "minutes_per_step: nan; give a finite number"),
        (["methods", "mispel", "lambda1"], math.inf, "methods.mispel.lambda1: inf; give a finite number"),
        (["sweep", "parameters", "lambda1"], [1.0, math.nan], "sweep.parameters.lambda1.2: nan"),
        (["sweep", "parameters", "lambda1"], list(range(1000)), "4000 combinations, each a fit; at most 999"),
        (["study", "phantom", "sessions"], 10**9, "sessions: 1000000000; give how often .* 1 to 100"),
        (["folds", "stratify"], "diagnosys", "no scan has a covariate 'diagnosys' .did you mean 'diagnosis'"),
        (["study", "phantom", "scanners"], ["GE", {"name": "ge", "like": "GE"}], "'ge' and 'GE' differ in case alone"),
    ],
)
def test_refused_at_once(config, path, value, message):
    spoilt = copy.deepcopy(config)
    place = spoilt
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=message):
        Configuration(spoilt)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"ravle": {}}, "no method 'ravle' .did you mean 'ravel'"),
        ({"ravel": {"factor": 2}}, "no parameter 'factor' .did you mean 'factors'"),
        ({"ravel": {"factors": "two"}}, "ravel.factors: 'two'; give a whole number"),
        ({"twice": {"method": "ravel", "factors": 0}}, "factors is 0"),
        ({"combat": {"covariates": "aeg"}}, "methods.combat: combat.covariates: no scan has a covariate 'aeg'"),
        ({"ravel": {"engine": "fls"}}, "ravel.engine: there is no 'fls' .did you mean 'fsl'"),
        ({"ravel": {"control_mask": "absent.nii.gz"}}, "absent.nii.gz: no such file"),
        ({"mica": {"target": "Phillips"}}, "mica.target: there is no scanner 'Phillips' .did you mean 'Philips'"),
        ({"shuffle": {"base": "deepharmony", "settings": "target=x"}}, "deepharmony.target: there is no scanner 'x'"),
        ({"external": {}}, "external: no images; set images to a path .* in the configuration or by --param"),
        ({"external": {"images": "x"}}, "say whether a person's other scans were used"),
        (
            {"theirs": {"method": "external", "images": "no/{subject}_{scanner}.nii", "uses_other_scans": False}},
            "methods.theirs: external: 24 of 24 images are missing, the first is no/01_GE.nii",
        ),
        ({"program": {"method": "command"}}, "methods.program: command: no program"),
        ({"mispel": {"learning_rate": "nan"}}, "mispel.learning_rate: nan; give a finite number"),
        ({"mispel": {"width": 10**9}}, "width is 1e.09; it is at most 1024"),
    ],
)
def test_methods_and_parameters_are_checked(config, methods, message):
    config["methods"].update(methods)
    with pytest.raises(InputError, match=message):
        Configuration(config).check_arms()


@pytest.mark.parametrize(
    ("block", "settings", "message"),
    [
        ("segmentation", {"threshold": 0.3}, "threshold 0.3; it must be from 0.51"),
        ("segmentation", {"engine": "fsl"}, "segmentation.engine: engine fsl: .*install FSL"),
        ("segmentation", {"rule": "partial_volume", "engine": "gmm"}, "engine gmm estimates no partial volumes"),
        ("evaluation", {"primary": {"measure": "ssim", "tissue": "GM"}}, "'GM' for ssim; give null"),
        ("evaluation", {"primary": {"measure": "dice", "tissue": None}}, "'null' for dice; give one of CSF, GM, WM"),
    ],
)
def test_what_the_evaluation_would_refuse_is_refused_while_planning(config, block, settings, message, monkeypatch):
    monkeypatch.delenv("FSLDIR", raising=False)
    config[block] |= settings
    with pytest.raises(InputError, match=message):
        Configuration(config).check_arms()


def test_texts_of_the_command_line_are_taken_for_what_the_schema_wants(config):
    config |= {"seed": "3", "minutes_per_step": "1e-1", "people_per_job": 2.0, "gpu": "false"}
    config["segmentation"]["threshold"] = "0.9"
    config["methods"]["mispel"] = "null"
    taken = Configuration(config)
    assert (taken.content["seed"], taken.content["minutes_per_step"], taken.content["gpu"]) == (3, 0.1, False)
    assert taken.content["segmentation"]["threshold"] == 0.9
    assert "mispel" not in taken.arms
    assert len(taken.batches) == 3


@pytest.mark.parametrize(("gpu", "gpus"), [(True, 3), (False, None)])
def test_several_processes_fit_what_they_can(config, gpu, gpus):
    config |= {"fit_processes": 3, "gpu": gpu}
    config["methods"]["espa"] = {}
    several = Configuration(config)
    together = {name for name, arm in several.arms.items() if several.processes_of(arm) == 3}
    # fits on permuted labels are MISPEL's too; a blur of its images is none
    mispel = {name for name in several.arms if name.startswith(("mispel", "espa")) and not name.endswith("_blur")}
    assert together == mispel
    assert {several.processes_of(arm) for name, arm in several.arms.items() if name not in mispel} == {1}
    for name in ("mispel", "mispel_permuted", "espa"):
        arm = several.arms[name]
        assert several.gpus_of(arm, several.processes_of(arm)) == gpus
        assert several.gpus_of(arm) == (1 if gpu else None)
    assert several.gpus_of(several.arms["ravel"]) is None
    several.check_cores(3)
    with pytest.raises(InputError, match="fit_processes is 3, a core each at least, and the run has 2 .--cores."):
        several.check_cores(2)
    config["methods"] |= {"mispel": None, "espa": None}
    Configuration(config).check_cores(1)


def test_a_sweep_of_more_folds_than_people_is_refused_where_it_is_asked_for(config):
    config["sweep"]["folds"] = 7
    with pytest.raises(InputError, match="sweep.folds is 7 for 6 people"):
        Configuration(config).check_sweep_folds()


def test_the_protocol_of_held_out_people(config):
    assert Configuration(config).folds == Configuration(config).division == []
    config |= {"protocol": "kfold", "folds": {"count": 3, "stratify": "diagnosis"}}
    held_out = Configuration(config)
    assert held_out.folds == ["1", "2", "3"]
    assert held_out.division == ["--folds=3", "--seed=0", "--stratify=diagnosis"]
    config["folds"]["stratify"] = "diagnosys"
    with pytest.raises(InputError, match="folds.stratify: no scan has a covariate 'diagnosys' .did you mean 'diagn"):
        Configuration(config)
    config["folds"]["count"] = 7
    with pytest.raises(InputError, match="folds.count is 7 for 6 people"):
        Configuration(config)


def test_the_protocol_of_a_scanner_left_out(config):
    assert Configuration(config).withheld == []
    config["protocol"] = "scanners"
    last = Configuration(config)
    assert last.left_out == "Trio"
    assert last.folds == []
    config["left_out"] = "GE"
    assert Configuration(config).division == ["--leave-out=GE"]
    assert Configuration(config).withheld == ["--without-scanner=GE"]
    # its fits never see it, so it can be no method's target
    config["methods"]["mica"] = {"target": "GE"}
    with pytest.raises(InputError, match="methods.mica: .*there is no scanner 'GE'"):
        Configuration(config).check_arms()
    config["protocol"] = "kfold"
    assert Configuration(config).division == ["--leave-out=GE", "--folds=6", "--seed=0"]
    config["protocol"] = "auto"
    with pytest.raises(InputError, match="left_out is GE, and protocol auto leaves no scanner out; give protocol: sc"):
        Configuration(config)
    config |= {"protocol": "scanners", "left_out": "Tri"}
    with pytest.raises(InputError, match="left_out: no scan is from a scanner 'Tri' .did you mean 'Trio'"):
        Configuration(config)


def test_a_study_without_a_pair_of_one_persons_scans_is_refused(config):
    scanners, people = ("GE", "Philips", "Prisma", "Trio"), [f"{number:02d}" for number in range(1, 7)]
    # the first is scanned on GE alone, the others on all but GE
    config["study"]["phantom"]["missing"] = [
        [one, scanner] for one in people for scanner in scanners if (scanner == "GE") == (one != "01")
    ]
    Configuration(config)
    config |= {"protocol": "scanners", "left_out": "GE"}
    with pytest.raises(InputError, match="none of 6 people was scanned on 'GE', which is left out, and another"):
        Configuration(config)
    config |= {"protocol": "transductive", "left_out": None}
    config["study"]["phantom"]["missing"] = [
        [one, scanner]
        for place, one in enumerate(people)
        for scanner in scanners
        if scanner != scanners[place % len(scanners)]
    ]
    with pytest.raises(InputError, match="none of 6 people was scanned on two scanners.*add such people"):
        Configuration(config)


@pytest.mark.parametrize(("people", "folds"), [(11, 0), (12, 6)])
def test_people_are_held_out_where_a_fold_has_two(config, people, folds):
    config["study"]["phantom"]["subjects"] = people
    assert len(Configuration(config).folds) == folds
    config["protocol"] = "transductive"
    assert not Configuration(config).folds


def test_a_method_twice_under_two_ids(config):
    config["methods"]["ravel_two"] = {"method": "ravel", "factors": 2, "seed": 5}
    checked = Configuration(config)
    checked.check_arms()
    two = checked.arms["ravel_two"]
    assert (two.method, two.parameters, two.seed) == ("ravel", {"factors": 2}, 5)
    assert checked.arms["ravel"].seed == config["seed"]


def test_a_method_that_wraps_another_is_refitted_with_it(config, monkeypatch):
    """One that the configuration names counts beside its own file."""
    monkeypatch.setattr("workflow.source_hash.verb_hash", lambda package, verb, *modules: modules)
    config["methods"] |= {"shuffle": {}, "shuffled": {"method": "shuffle", "base": "nyul", "settings": "step=20"}}
    checked = Configuration(config)
    assert checked.code_of("fit", "shuffled") == ("baselines.shuffle", "baselines.nyul")
    assert checked.code_of("fit", "mispel") == ("mispel.method",)


def test_the_word_none_of_a_source_is_left_to_it(config):
    study = {"source": "bids", "bids": {"registration": "none", "brain": "stripped"}}
    assert checked(config | {"study": study})["study"]["bids"]["registration"] == "none"
