"""Where a run's files lie: the one place for every path of `results/<run>/`.

Rules of the workflow ask with wildcards (`RunFolder(...).images("{arm}")`), everything else with names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def scan_name(subject: str, scanner: str, session: str = "") -> str:
    """The stem of every file made from a scan: `sub-<subject>_scanner-<scanner>`, a rescan's with its session."""
    stem = f"sub-{subject}_scanner-{scanner}"
    return f"{stem}_session-{session}" if session else stem


def image_name(scan: str) -> str:
    """The file of a scan's image, by the scan's stem."""
    return f"{scan}_T1w.nii.gz"


def t2_name(scan: str) -> str:
    """The file of a scan's T2-weighted image, by the scan's stem."""
    return f"{scan}_T2w.nii.gz"


def mask_name(stem: str) -> str:
    """The file of a brain mask, by the stem of its scan, or of its person."""
    return f"{stem}_mask.nii.gz"


def labels_name(stem: str) -> str:
    """The file of tissue labels, by the stem of their scan, or of their person."""
    return f"{stem}_dseg.nii.gz"


def hard_labels_name(stem: str) -> str:
    """The file of the most probable tissue of every voxel, by the stem of the scan."""
    return f"{stem}_hard.nii.gz"


def draw_name(people: int | str, draw: int | str) -> str:
    """The stem of what belongs to a point of a learning curve."""
    return f"people-{people}_draw-{draw}"


def trial_name(arm: str, people: int, draw: int) -> str:
    """What an arm's fit at a point of a learning curve is called: a path below the folders of such fits."""
    return f"{arm}/{draw_name(people, draw)}"


@dataclass(frozen=True)
class StudyFolder:
    """The folder that a study's scans are prepared in: `RUN/study`, or one of the user's own."""

    root: Path

    @property
    def options(self) -> Path:
        """The source's options, checked."""
        return self.root / "options.json"

    @property
    def inputs(self) -> Path:
        """Checksums of the user's own files that the source read."""
        return self.root / "inputs.json"

    @property
    def remarks(self) -> Path:
        """What was told of the user's scans when they were checked."""
        return self.root / "remarks.json"

    @property
    def card(self) -> Path:
        """What the source and the user say of where the scans come from."""
        return self.root / "card.json"

    @property
    def quality(self) -> Path:
        """How well each scan's preprocessing went."""
        return self.root / "quality.tsv"

    @property
    def atlas(self) -> Path:
        """The atlas's brain on the study's grid, where scans were registered to it."""
        return self.root / image_name("atlas")

    def part_sheet(self, subject: str) -> Path:
        """The part of the sheet that is about a person."""
        return self.root / f"sub-{subject}.tsv"

    def files_of(self, subject: str) -> list[Path]:
        """All that `prepare` writes for a person, as patterns."""
        stem = f"sub-{subject}"
        truth = ("_dseg.nii.gz", "_fractions.nii.gz", "_truth.json", "_volumes.tsv", "_scanner-*", "_session-*")
        return [
            self.part_sheet(subject),
            self.root / mask_name(stem),
            self.root / f"{stem}_scanner-*",
            self.root / f"{stem}_session-*",
            *(self.root / "truth" / f"{stem}{ending}" for ending in truth),
        ]

    def record(self, scan: str, step: str) -> Path:
        """How a step of a scan's preprocessing ended."""
        return self.root / "status" / scan / f"{step}.json"

    def native_mask(self, scan: str) -> Path:
        """The brain on a scan's own grid."""
        return self.root / "native" / mask_name(scan)

    def transforms(self, scan: str) -> Path:
        """The folder of a scan's transforms to the atlas."""
        return self.root / "transforms" / scan

    def preprocessed(self, scan: str, ending: str) -> Path:
        """A file of a scan on the common grid."""
        return self.root / "preprocessed" / f"{scan}_{ending}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, `results/<run>`."""

    root: Path

    @property
    def study(self) -> StudyFolder:
        """Scans as they entered the study."""
        return StudyFolder(self.root / "study")

    @property
    def sheet(self) -> Path:
        """The sheet that was used."""
        return self.root / "scans.tsv"

    @property
    def arms(self) -> Path:
        """What the arms are."""
        return self.root / "arms.tsv"

    @property
    def status(self) -> Path:
        """How every arm's steps ended, in one table."""
        return self.root / "status.tsv"

    @property
    def records(self) -> Path:
        """The folder of the records that arms' steps leave."""
        return self.root / "status"

    @property
    def made_folder(self) -> Path:
        """The folder of the records of what each job made, see `core.jobs.made`."""
        return self.root / "made"

    @property
    def planned(self) -> Path:
        """By record of what a job made, what identifies the configuration and code that it is planned with."""
        return self.made_folder / "planned.json"

    @property
    def taken_out(self) -> Path:
        """What was made of people and arms that are no longer in the run."""
        return self.root / "taken-out"

    @property
    def complete(self) -> Path:
        """There when everything was made and nothing failed."""
        return self.records / "complete"

    @property
    def provenance(self) -> Path:
        """What was run."""
        return self.root / "provenance.json"

    @property
    def report(self) -> Path:
        """The page with everything."""
        return self.root / "report.html"

    @property
    def methods(self) -> Path:
        """What a paper says of the run."""
        return self.root / "methods.md"

    @property
    def references(self) -> Path:
        """What that cites, as BibTeX."""
        return self.root / "references.bib"

    @property
    def metrics(self) -> Path:
        """The folder of all numbers."""
        return self.root / "metrics"

    @property
    def tables(self) -> Path:
        """The folder of tables for people."""
        return self.root / "tables"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.root / "figures"

    @property
    def paper_figures(self) -> Path:
        """The folder of figures for a paper, which no job makes."""
        return self.figures / "paper"

    @property
    def logs(self) -> Path:
        """The folder of what jobs said."""
        return self.root / "logs"

    @property
    def command(self) -> Path:
        """The command line that Snakemake was last started with."""
        return self.logs / "command.txt"

    @property
    def sweep(self) -> Path:
        """The folder of a sweep of a method's parameters."""
        return self.root / "sweep"

    @property
    def learning(self) -> Path:
        """The folder of a learning curve: how many travelling people an arm needs."""
        return self.root / "learning"

    def made(self, job: str) -> Path:
        """The record of what a job made, by its name: `step/part`."""
        return self.made_folder / f"{job}.json"

    def record(self, arm: str, step: str) -> Path:
        """How an arm's step ended."""
        return self.records / arm / f"{step}.json"

    def model(self, arm: str, fold: str = "") -> Path:
        """What an arm's fit saved, in a fold where there are folds."""
        return self._of_fold("models", arm, fold)

    def checkpoint(self, arm: str, fold: str = "") -> Path:
        """What lets an arm's killed fit go on."""
        return self._of_fold("checkpoints", arm, fold)

    def training_images(self, arm: str, batch: str) -> Path:
        """An arm's images of a batch's people by the models that were fitted on them, by fold; not kept."""
        return self.root / "training" / arm / batch

    def images(self, arm: str) -> Path:
        """The folder of an arm's images."""
        return self.root / "images" / arm

    def images_of(self, arm: str, subject: str) -> Path:
        """An arm's images of a person, as a pattern."""
        return self.images(arm) / image_name(scan_name(subject, "*"))

    def segmentations(self, arm: str) -> Path:
        """The folder of an arm's labels."""
        return self.root / "segmentations" / arm

    def intensities(self, arm: str) -> Path:
        """An arm's range of intensities."""
        return self.root / "intensities" / f"{arm}.json"

    def parts(self, arm: str) -> Path:
        """The folder of what an arm's steps make of batches of people."""
        return self.root / "parts" / arm

    def metric(self, name: str) -> Path:
        """A table of numbers."""
        return self.metrics / f"{name}.tsv"

    def statistic(self, name: str) -> Path:
        """A table of tests or scores."""
        return self.root / "statistics" / f"{name}.tsv"

    def log(self, *names: str) -> Path:
        """What a job said."""
        return self.logs.joinpath(*names[:-1], f"{names[-1]}.log")

    def benchmark(self, *names: str) -> Path:
        """What Snakemake says that a job took."""
        return self.root.joinpath("benchmarks", *names[:-1], f"{names[-1]}.tsv")

    def _of_fold(self, kind: str, arm: str, fold: str) -> Path:
        folder = self.root / kind / arm
        return folder / f"fold-{fold}" if fold else folder
