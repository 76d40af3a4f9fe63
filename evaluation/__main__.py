"""The command `python -m evaluation`: an arm's steps, a run's tables, and each measure by hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from studies.commandline import run

Arguments = argparse.Namespace
RULES = ("posterior", "partial_volume", "hard")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns its exit status."""
    arguments = parser().parse_args(argv)
    return arguments.verb(arguments) or 0


def parser() -> argparse.ArgumentParser:
    """The command's verbs and their options."""
    top = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    verbs = top.add_subparsers(metavar="VERB", required=True)
    _add_arm_verbs(verbs)
    _add_run_verbs(verbs)
    _add_hand_verbs(verbs)
    return top


def _verb(verbs, name: str, function: Callable[[Arguments], int | None], help: str) -> argparse.ArgumentParser:
    added = verbs.add_parser(name, help=help, description=help)
    added.set_defaults(verb=function)
    return added


def _add_arm_verbs(verbs) -> None:
    verb = _verb(verbs, "intensities", intensities, "an arm's 0.5th and 99.5th percentile over all its scans")
    _arm_options(verb)
    verb.add_argument("--images", type=Path, required=True, help="folder of the arm's images")
    verb.add_argument("--out", type=Path, required=True, help="JSON to write")

    verb = _verb(verbs, "segment-arm", segment_arm, "segment an arm's images, mapped onto RAW's scale")
    _arm_options(verb)
    _mapped_images_options(verb)
    _segmentation_options(verb)
    verb.add_argument("--out", type=Path, required=True, help="folder for the labels")
    verb.add_argument("--volumes", type=Path, required=True, help="TSV of volumes to write")

    verb = _verb(verbs, "measure-arm", measure_arm, "an arm's similarity, overlap and nearness to the truth")
    _arm_options(verb)
    _mapped_images_options(verb)
    verb.add_argument("--segmentations", type=Path, required=True, help="folder of the arm's labels")
    verb.add_argument("--out", type=Path, required=True, help="folder for ssim-, dice-, truth-... <batch>.tsv")
    verb.add_argument("--batch", default="all", help="name of this batch of subjects (default: all)")


def _arm_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--scans", type=Path, required=True, help="the study's sheet")
    verb.add_argument("--subjects", nargs="+", metavar="SUBJECT", help="only these (default: all)")
    verb.add_argument("--method", help="the arm's id (default: the name of the folder of images)")
    verb.add_argument("--status", type=Path, help="JSON in which to record how the step ended")
    verb.add_argument("--on-failure", choices=("stop", "record"), default="stop", help="default: stop")
    verb.add_argument(
        "--requires", type=Path, nargs="*", default=[], metavar="STATUS", help="status files of earlier steps"
    )


def _mapped_images_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--images", type=Path, required=True, help="folder of the arm's images")
    verb.add_argument("--intensities", type=Path, required=True, help="the arm's intensities (JSON)")
    verb.add_argument("--reference", type=Path, required=True, help="RAW's intensities (JSON)")


def _segmentation_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--engine", default="hmrf", help="segmentation engine (default: hmrf)")
    verb.add_argument("--rule", choices=RULES, default="posterior", help="what counts as a tissue (default: posterior)")
    verb.add_argument("--threshold", type=float, default=0.8, help="for the rule (default: 0.8)")
    verb.add_argument("--threads", type=int, default=1, help="default: 1")


def _add_run_verbs(verbs) -> None:
    verb = _verb(verbs, "gather", gather, "join the arms' parts into metrics/*.tsv")
    _run_argument(verb)
    verb.add_argument("--methods", nargs="+", required=True, metavar="METHOD", help="arms, in the order of the tables")
    verb.add_argument("--batches", nargs="+", metavar="BATCH", help="only these batches (default: all there are)")
    verb.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")


def _run_argument(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", type=Path, metavar="RUN", help="a run's folder, such as results/demo")


def _add_hand_verbs(verbs) -> None:
    pass


def _arm_step(arguments: Arguments, step: str, work: Callable[[], None], placeholders: Sequence[Path]) -> None:
    from studies.status import run_step

    run_step(
        work,
        status_file=arguments.status,
        method=_method(arguments),
        step=step,
        on_failure=arguments.on_failure,
        requires=arguments.requires,
        placeholders=placeholders,
    )


def _method(arguments: Arguments) -> str:
    return arguments.method or arguments.images.resolve().name


def _read_study(arguments: Arguments):
    """The whole study of the sheet, unread; and its subjects that the step is about."""
    from studies.sheet import read_sheet

    study = read_sheet(arguments.scans, check=False)
    chosen = study if arguments.subjects is None else study.select(arguments.subjects)
    return study, chosen


def intensities(arguments: Arguments) -> None:
    """Write an arm's `Intensities`."""

    def work() -> None:
        from evaluation.run import arm_intensities

        _, chosen = _read_study(arguments)
        arm_intensities(_method(arguments), chosen, arguments.images).write(arguments.out)

    _arm_step(arguments, "intensities", work, [arguments.out])


def segment_arm(arguments: Arguments) -> None:
    """Write an arm's labels and volumes."""

    def work() -> None:
        from evaluation.intensities import Intensities
        from evaluation.run import segment_arm
        from studies.files import write_table

        _, chosen = _read_study(arguments)
        volumes = segment_arm(
            chosen,
            method=_method(arguments),
            images=arguments.images,
            intensities=Intensities.read(arguments.intensities),
            reference=Intensities.read(arguments.reference),
            engine=arguments.engine,
            rule=arguments.rule,
            threshold=arguments.threshold,
            threads=arguments.threads,
            out=arguments.out,
        )
        write_table(arguments.volumes, volumes)

    _arm_step(arguments, "segmentation", work, [arguments.volumes])


def measure_arm(arguments: Arguments) -> None:
    """Write the parts of an arm's measures."""
    from evaluation.run import PARTS

    files = {name: arguments.out / f"{name}-{arguments.batch}.tsv" for name in PARTS if name != "volumes"}

    def work() -> None:
        from evaluation.intensities import Intensities
        from evaluation.run import measure_arm
        from studies.files import write_table

        study, chosen = _read_study(arguments)
        tables = measure_arm(
            study,
            chosen.subjects,
            method=_method(arguments),
            images=arguments.images,
            segmentations=arguments.segmentations,
            intensities=Intensities.read(arguments.intensities),
            reference=Intensities.read(arguments.reference),
            sheet_folder=arguments.scans.parent,
        )
        for name, table in tables.items():
            write_table(files[name], table)

    _arm_step(arguments, "measures", work, list(files.values()))


def gather(arguments: Arguments) -> None:
    """Write `RUN/metrics/*.tsv`."""
    from evaluation.run import gather
    from studies.sheet import read_sheet

    study = read_sheet(arguments.run / "scans.tsv", check=False)
    gather(arguments.run, study, arguments.methods, batches=arguments.batches, seed=arguments.seed)


if __name__ == "__main__":
    run(main)
