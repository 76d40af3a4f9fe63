"""A run's configuration: read, checked, and turned into what the rules need.

Every job of Snakemake imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.covariates import Covariate, column_names, read_covariate
from core.documents import read_document
from core.errors import InputError, nearest
from core.folds import check_count, fold_names, strata_of
from core.ids import check_told_apart
from core.jobs.cost import ASKED
from core.jobs.made import digest
from core.jobs.run_process import announce
from core.left_out import check_scanner
from core.libraries import check_libraries
from core.names import RAW
from core.run_folder import RunFolder
from core.travelling import travelling
from studies.sources import RUN_WIDE, PlannedScan, Source, Step, source, sources
from workflow.controls import PlannedArm, Traits, with_controls
from workflow.learning import Candidate, LearningCurve, planned_curve, why_no_curve
from workflow.schema import checked
from workflow.source_hash import configured_modules, method_hash

if TYPE_CHECKING:
    from baselines.interface import Harmonizer

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = ROOT / "config" / "config.yaml"

FEWEST_IN_A_FOLD = 2
"""People a fold, for `protocol: auto` to hold them out."""

PREPARED_TOGETHER = 6
"""People a job of `prepare`, whatever `people_per_job` is: else that would prepare, and so fit, all anew."""

MOST_POINTS = 999
"""Of a sweep: their numbers have three digits."""


class Configuration:
    """A checked configuration. Raises `InputError` naming the key, what was found and the remedy."""

    def __init__(self, config: dict[str, Any]) -> None:
        config = checked(config)
        self.content = config
        self._check_sweep()
        self.run = f"results/{config['run']}"
        # Snakemake merges a user's file before the shipped one, which would put the user's arms first
        shipped = read_document(DEFAULTS)["methods"]
        ordered = dict.fromkeys(shipped) | config["methods"]
        chosen = {arm: settings for arm, settings in ordered.items() if settings is not None}
        if RAW not in chosen:
            raise InputError("methods: 'raw' is missing; every arm is compared with it, so keep `raw: {}`")
        self.arms = with_controls(
            {arm: self._planned(arm, settings) for arm, settings in chosen.items()},
            traits_of,
            lambda arm: str(RunFolder(Path(self.run)).images(arm)),
            **config["controls"],
        )
        self.volume_arms = [name for name, arm in self.arms.items() if arm.gives == "volumes"]
        self.source = source(config["study"]["source"])
        self._check_block(self.source)
        self.options = self.source.of_configuration(config)
        planned = self.source.plan(self.options)
        self.scans = self._stepwise(planned)
        self.planned = planned
        self.subjects = list(dict.fromkeys(scan.subject for scan in planned))
        self.scanners = list(dict.fromkeys(scan.scanner for scan in planned))
        for what, found in (("subject", self.subjects), ("scanner", self.scanners)):
            if len(found) < 2:
                raise InputError(
                    f"study: {len(found)} {what} ({', '.join(found) or 'none'}); a study run needs at least 2 "
                    f"{what}s: add scans, or harmonize single scans with `python -m baselines`"
                )
            check_told_apart(("study", name) for name in found)
        self.folds: list[str] = []
        count = config["folds"]["count"]
        if config["protocol"] == "kfold" or (
            config["protocol"] == "auto" and len(self.subjects) >= FEWEST_IN_A_FOLD * count
        ):
            check_count(count, len(self.subjects))
            self.folds = fold_names(count)
        self.left_out = self._left_out()
        self._check_pairs()
        self._check_stacks()
        self.division = self._division()
        self._scans_of: dict[str, list[PlannedScan]] = {}
        for scan in planned:
            self._scans_of.setdefault(scan.subject, []).append(scan)
        self.batches = by_number(self.subjects, config["people_per_job"])
        self.groups = by_number(self.subjects, PREPARED_TOGETHER)

    def _check_pairs(self) -> None:
        """Refuse a study in which nobody was scanned on two scanners, with the one that is left out among them."""
        scanners: dict[str, set[str]] = {}
        for scan in self.planned:
            # a session is given of rescans and follow-ups, which are in no pair
            if not scan.session:
                scanners.setdefault(scan.subject, set()).add(scan.scanner)
        if not any(len(own) > 1 and (not self.left_out or self.left_out in own) for own in scanners.values()):
            which = f"'{self.left_out}', which is left out, and another" if self.left_out else "two scanners"
            raise InputError(
                f"study: none of {len(self.subjects)} people was scanned on {which}, and arms are judged by pairs of "
                "one person's scans; add such people, or harmonize without a run, with `python -m baselines`"
            )

    def _left_out(self) -> str:
        """The scanner that no fit is to see; empty for none."""
        protocol, scanner = self.content["protocol"], self.content["left_out"]
        if scanner is None:
            return self.scanners[-1] if protocol == "scanners" else ""
        if protocol not in ("scanners", "kfold"):
            raise InputError(
                f"left_out is {scanner[:80]}, and protocol {protocol} leaves no scanner out; give protocol: scanners, "
                "or kfold to hold people out too"
            )
        check_scanner(scanner, self.scanners)
        return str(scanner)

    def _check_stacks(self) -> None:
        """Refuse an arm of volumes that harmonizes those of no arm of images, or of fits that saw held-out people."""
        images = [name for name, arm in self.arms.items() if arm.gives == "images" and arm.role in ("arm", "control")]
        for name in self.volume_arms:
            arm = self.arms[name]
            if arm.after not in images:
                raise InputError(
                    f"methods.{name}.of: no arm of images is called '{arm.after[:80]}'{nearest(arm.after[:80], images)}"
                )
            if self.folds and method_of(self.arms[arm.after]).fits_on == "study":
                raise InputError(
                    f"methods.{name}.of: held out, '{arm.after}' has no volumes of training people by fits without the "
                    "held-out ones; give of=raw, or an arm that learns nothing, or protocol: transductive"
                )

    def _division(self) -> list[str]:
        """The options by which people are divided into folds and a scanner is left out; none where that isn't so."""
        stratify = self.content["folds"]["stratify"]
        known = [] if stratify is None else self.source.covariates(self.options)
        if stratify is not None and stratify not in known:
            raise InputError(
                f"folds.stratify: no scan has a covariate '{stratify[:80]}'{nearest(stratify[:80], known)}"
            )
        options = [f"--leave-out={self.left_out}"] if self.left_out else []
        if not self.folds:
            return options
        options += [f"--folds={len(self.folds)}", f"--seed={self.content['seed']}"]
        return options if stratify is None else [*options, f"--stratify={stratify}"]

    def _stepwise(self, planned: list[PlannedScan]) -> dict[str, PlannedScan]:
        """The scans that take steps of their own before `prepare`, by name; none for most sources."""
        if not self.source.steps:
            return {}
        return {scan.name: scan for scan in planned}

    @property
    def options_of_scans(self) -> str:
        """The source's options that say how a scan is made, as JSON; which scans there are is `made_from`."""
        return json.dumps(self.source.making(self.options), sort_keys=True)

    def made_from(self, subjects: Sequence[str] | None = None, *, scan: str | None = None) -> str:
        """A digest of what scans are made from beside the source's options: all, some people's, or one's steps.

        No step looks at covariates, so that an age that is corrected registers nothing again.
        """
        if scan is not None:
            return digest([scan, self.scans[scan].files])
        chosen = [scan for subject in subjects or self.subjects for scan in self._scans_of[subject]]
        return digest([(scan.name, scan.files, sorted(scan.covariates.items())) for scan in chosen])

    def check_files(self) -> None:
        """Refuse a study of which a file isn't there."""
        for scans in self._scans_of.values():
            for scan in scans:
                for file in scan.files:
                    if not os.path.isfile(file):
                        raise InputError(
                            f"{file}: no such file ({scan.words}); put it back, or leave the scan out of the study"
                        )

    def threads_of(self, step: Step) -> int:
        """How many CPU threads a step of a scan uses."""
        return getattr(self.source.options(self.options), step.threads) if step.threads else 1

    def _planned(self, arm: str, settings: dict[str, Any]) -> PlannedArm:
        """The arm of the configuration: the method it names, or the one of its id; its own seed, or the run's."""
        parameters = {name: value for name, value in settings.items() if name not in ("method", "seed")}
        return PlannedArm(settings.get("method", arm), parameters, settings.get("seed", self.content["seed"]))

    def code_of(self, verb: str, arm: str) -> str:
        """A hash of what `python -m baselines verb` loads for the arm, so that a change of a method is its own."""
        return method_hash(verb, self.arms[arm].method, self.arms[arm].parameters)

    @property
    def described(self) -> dict[str, dict[str, Any]]:
        """What the verb `describe` is to know of each arm."""
        return {
            name: {"method": arm.method, "parameters": dict(arm.parameters), "role": arm.role, "of": arm.of}
            for name, arm in self.arms.items()
        }

    @property
    def method_modules(self) -> list[str]:
        """The modules of all arms' methods."""
        return sorted({module for arm in self.arms.values() for module in configured_modules(arm.method)})

    @property
    def further_engines(self) -> list[str]:
        """The segmentation engines beside the run's own."""
        chosen = self.content["segmentation"]
        return [name for name in dict.fromkeys(chosen["engines"]) if name != chosen["engine"]]

    @property
    def withheld(self) -> list[str]:
        """The options by which every fit is kept from the scanner that is left out."""
        return [f"--without-scanner={self.left_out}"] if self.left_out else []

    @property
    def primary(self) -> str:
        """The primary endpoint: a measure, and its tissue after a colon where it has tissues."""
        chosen = self.content["evaluation"]["primary"]
        return ":".join(filter(None, (chosen["measure"], chosen["tissue"])))

    @property
    def source_module(self) -> str:
        """The module of the study's source."""
        return self.source.module.__name__

    def _check_sweep(self) -> None:
        """Refuse more points than a sweep has numbers for, before they are made."""
        points = math.prod(len(values) for values in self.content["sweep"]["parameters"].values() if values is not None)
        if points > MOST_POINTS:
            raise InputError(f"sweep.parameters: {points:g} combinations, each a fit; at most {MOST_POINTS} are taken")

    def check_sweep_folds(self) -> None:
        """Refuse a sweep of more folds than there are people; asked where a sweep is planned."""
        if self.content["sweep"]["folds"] > len(self.subjects):
            raise InputError(
                f"sweep.folds is {self.content['sweep']['folds']} for {len(self.subjects)} people; it is at most that"
            )

    @property
    def sweep_points(self) -> dict[str, dict[str, Any]]:
        """The points of `snakemake sweep`, by number: every combination of its parameters' values."""
        grid = {name: values for name, values in self.content["sweep"]["parameters"].items() if values is not None}
        return {
            f"{number:03d}": dict(zip(grid, values, strict=True))
            for number, values in enumerate(itertools.product(*grid.values()), start=1)
        }

    @cached_property
    def learning(self) -> LearningCurve:
        """The fits of `snakemake learning`. Raises `InputError` where it can't be; asked where one is planned."""

        def candidate(arm: PlannedArm) -> Candidate:
            made = method_of(arm)
            why = why_no_curve(
                role=arm.role, fits_on=made.fits_on, uses_other_scans=made.uses_other_scans, of_volumes=arm.after
            )
            return Candidate(why, made.least_scans)

        # a session is given of rescans and follow-ups, which nothing is fitted on
        people = travelling((scan.subject, scan.scanner) for scan in self.planned if not scan.session)
        candidates = {name: candidate(arm) for name, arm in self.arms.items()}
        return planned_curve(self.content["learning"], candidates, len(people))

    def trial(self, kind: str, name: str) -> PlannedArm:
        """What is fitted in a trial, by its name: a point of a sweep, or an arm's on some of the people."""
        if kind == "learning":
            return self.arms[name.partition("/")[0]]
        return PlannedArm(self.content["sweep"]["method"], self.sweep_points[name], self.content["seed"])

    def _check_block(self, chosen: Source) -> None:
        """Refuse what a source's block of the configuration holds and the source doesn't know."""
        for key in self.content["study"].get(chosen.name) or {}:
            if key not in chosen.keys and key not in RUN_WIDE:
                raise InputError(f"configuration: unknown key 'study.{chosen.name}.{key}'{nearest(key, chosen.keys)}")

    def check_other_blocks(self) -> None:
        """Refuse blocks of no source, and unknown keys in those that this run doesn't use. Imports them all."""
        for name in self.content["study"]:
            if name not in ("source", "card", *sources()):
                raise InputError(f"configuration: unknown key 'study.{name}'{nearest(name, [*sources(), 'card'])}")
            if name not in ("source", "card"):
                self._check_block(source(name))

    def check_arms(self) -> None:
        """Refuse unknown methods, parameters and engines. Imports every method, so not for every job."""
        from baselines.harness.parameters import make_parameters
        from baselines.harness.registry import image_method, method
        from baselines.interface import Plan
        from evaluation.verdicts.endpoints import check_primary
        from segmentation.interface import check_engine, gives_partial_volumes
        from segmentation.thresholds import check_rule

        seen = [name for name in self.scanners if name != self.left_out]
        scans = [scan for of_person in self._scans_of.values() for scan in of_person if not scan.session]
        plan = Plan(seen, cache(lambda: self.source.covariates(self.options)), scans)
        for name, arm in self.arms.items():
            made = method_of(arm)
            try:
                made.check_plan(plan)
            except InputError as error:
                raise InputError(f"methods.{name}: {error}") from None
            check_libraries(made.libraries, f"methods.{name}", instead=f"leave it out (methods: {{{name}: null}})")
        for name, arm in self.arms.items():
            parameters = make_parameters(method(arm.method), dict(arm.parameters))
            self._check_kept(name, getattr(parameters, "covariates", ""))
        for point in self.sweep_points.values():
            make_parameters(image_method(self.content["sweep"]["method"]), point)
        primary, segmentation = self.content["evaluation"]["primary"], self.content["segmentation"]
        check_primary(primary["measure"], primary["tissue"] or "")
        engine = segmentation["engine"]
        check_engine(engine, "segmentation.engine")
        for further in self.further_engines:
            check_engine(further, "segmentation.engines")
        check_rule(segmentation["rule"], segmentation["threshold"])
        if segmentation["rule"] == "partial_volume" and not gives_partial_volumes(engine):
            raise InputError(f"segmentation.rule: engine {engine} estimates no partial volumes; give posterior or hard")

    def _check_kept(self, arm: str, names: str) -> None:
        """Refuse covariates of an arm that the study hasn't, or that some scan lacks."""
        for name in column_names(names):
            known = self.source.covariates(self.options)
            if name not in known:
                raise InputError(f"methods.{arm}.covariates: no scan has a covariate '{name}'{nearest(name, known)}")
            if (covariate := self._covariate(name)) is not None:
                covariate.check_complete()

    def check_covariates(self) -> None:
        """Refuse what users' tables say of their scans, where the folds or a measure can't use it."""
        from evaluation.measures import biology

        for name in biology.COVARIATES:
            if (covariate := self._covariate(name)) is not None:
                biology.contrasts(covariate, self.subjects)
        stratify = self.content["folds"]["stratify"]
        if self.folds and stratify and (covariate := self._covariate(stratify)) is not None:
            strata_of(covariate)

    def _covariate(self, name: str) -> Covariate | None:
        """A column of the users' tables; None where no scan has it before it is made."""
        if not any(name in scan.covariates for scan in self.planned):
            return None
        return read_covariate(name, (scan.cell(name) for scan in self.planned))

    def takes_labels(self, arm: str) -> bool:
        """Whether the arm's fit would make the labels that RAW's segmentation makes: same scans, same engine."""
        engine = self.content["segmentation"]["engine"]
        labels_by = getattr(method_of(self.arms[arm]), "labels_by", None)
        return self.content["scale"] == "brain" and labels_by == engine

    def processes_of(self, arm: PlannedArm) -> int:
        """How many processes fit the arm together: one where its method can't be fitted by several."""
        wanted: int = self.content["fit_processes"]
        return wanted if wanted > 1 and method_of(arm).trained_together else 1

    def check_cores(self, cores: int) -> None:
        """Refuse more processes a fit than a machine's run may use cores."""
        most = max(map(self.processes_of, self.arms.values()))
        if most > cores:
            raise InputError(
                f"fit_processes is {most}, a core each at least, and the run has {cores} (--cores); "
                f"give --cores {most}, or fewer processes"
            )

    def gpus_of(self, arm: PlannedArm, processes: int = 1) -> int | None:
        """A GPU for each of the processes where the method gains from one and GPUs are to be used, else None."""
        wanted = self.content["gpu"]
        if wanted == "auto":
            wanted = shutil.which("nvidia-smi") is not None
        if not wanted:
            return None
        return processes if "gpu" in method_of(arm).needs else None


def by_number(people: Sequence[str], size: int) -> dict[str, list[str]]:
    """People in their order, so many together, by a number of four digits."""
    return {f"{first // size:04d}": list(people[first : first + size]) for first in range(0, len(people), size)}


def method_of(arm: PlannedArm) -> Harmonizer:
    """The arm's method with the arm's parameters. Raises `InputError` for an unknown method."""
    from baselines.harness.parameters import make_parameters
    from baselines.harness.registry import method

    chosen = method(arm.method)
    return chosen(make_parameters(chosen, dict(arm.parameters)))


def traits_of(arm: PlannedArm) -> Traits:
    """What the arm's method says of itself with the arm's parameters. Raises `InputError` for an unknown method."""
    from baselines.interface import VolumeMethod

    made = method_of(arm)
    return Traits(
        control=made.control,
        uses_other_scans=made.uses_other_scans,
        maps_intensities=made.maps_intensities,
        learns_scanners=made.learns_scanners and made.fits_on == "study",
        random_fit=made.random_fit,
        gives=made.gives,
        of_volumes=made.of if isinstance(made, VolumeMethod) else "",
    )


def prepare_environment(run: str) -> None:
    """Let the rules' `python` be the one that runs Snakemake, activated or not, know its run, and say what it took."""
    os.environ[ASKED] = "1"
    announce(run)
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
