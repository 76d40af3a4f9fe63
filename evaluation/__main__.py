"""The command `python -m evaluation`: an arm's steps, a run's tables, and each measure by hand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from core.jobs.command import run

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
    verb.add_argument(
        "--by-fold",
        type=Path,
        metavar="TRAINING",
        help="a range a fold: of the images TRAINING/fold-1, ... or, where there are none, of the others' in --images",
    )

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
    verb.add_argument("--reference-segmentations", type=Path, required=True, help="folder of RAW's labels")
    verb.add_argument("--out", type=Path, required=True, help="folder for ssim-, dice-, truth-... <batch>")
    verb.add_argument("--batch", default="all", help="name of this batch of subjects (default: all)")


def _arm_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--scans", type=Path, required=True, help="the study's sheet")
    verb.add_argument("--subjects", nargs="+", metavar="SUBJECT", help="only these (default: all)")
    verb.add_argument("--method", help="the arm's id (default: the name of the folder of images)")
    verb.add_argument("--status", type=Path, help="JSON in which to record how the step ended")
    verb.add_argument("--on-failure", choices=("stop", "record"), default="stop", help="default: stop")
    verb.add_argument("--minutes", type=float, default=0, help="with --status: fail after this long (0: never)")
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
    verb.add_argument("--bootstrap", type=int, default=2000, metavar="N", help="resamples of subjects (default: 2000)")

    verb = _verb(verbs, "statistics", statistics, "paired tests of every arm against RAW, and the summary")
    _run_argument(verb)
    verb.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    verb.add_argument("--bootstrap", type=int, default=2000, metavar="N", help="resamples of subjects (default: 2000)")

    verb = _verb(verbs, "tables", tables, "the paper's tables, from a run's files")
    _run_argument(verb)

    verb = _verb(verbs, "figures", figures, "the paper's figures, from a run's files")
    _run_argument(verb)
    verb.add_argument("--threads", type=int, default=1, help="figures drawn at a time (default: 1)")

    verb = _verb(verbs, "report", report, "the page with everything, from a run's files")
    _run_argument(verb)

    verb = _verb(verbs, "status", status, "join the records of how the arms' steps ended")
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="a run's folder of records, RUN/status")
    verb.add_argument("--methods", nargs="+", required=True, metavar="METHOD", help="arms, in order")
    verb.add_argument("--out", type=Path, required=True, help="TSV to write")

    verb = _verb(verbs, "verdict", verdict, "exit with 1 if a step of any arm, or of a scan, failed")
    verb.add_argument("status", type=Path, metavar="STATUS", help="a run's status.tsv")
    verb.add_argument("quality", type=Path, nargs="?", metavar="QUALITY", help="its study/quality.tsv, if it has one")

    verb = _verb(verbs, "provenance", provenance, "what was run: configuration, versions, machine, checksums")
    verb.add_argument("--scans", type=Path, required=True, help="the study's sheet")
    verb.add_argument("--config", required=True, help="the configuration, as JSON")
    verb.add_argument("--out", type=Path, required=True, help="JSON to write")

    verb = _verb(verbs, "sweep", sweep, "judge the points of a sweep of a method's parameters on held-out people")
    verb.add_argument("--scans", type=Path, required=True, help="the study's sheet, with a column fold")
    verb.add_argument("--fold", required=True, help="the fold that no point was fitted on")
    verb.add_argument("--method", required=True, help="the method's id, for the figure's title")
    verb.add_argument("--points", type=json.loads, required=True, help="JSON: each point's parameters")
    verb.add_argument("--images", type=Path, required=True, help="folder with a folder of images a point")
    verb.add_argument("--out", type=Path, required=True, help="folder for sweep.tsv, sweep.png and sweep.svg")

    verb = _verb(verbs, "compare", compare, "what differs between two runs; exit with 1 if anything does")
    verb.add_argument("run_a", type=Path, metavar="RUN_A")
    verb.add_argument("run_b", type=Path, metavar="RUN_B")
    verb.add_argument("--relative", type=float, default=1e-5, help="tolerance, relative to RUN_B (default: 1e-5)")
    verb.add_argument("--absolute", type=float, default=1e-9, help="and absolute (default: 1e-9)")
    verb.add_argument(
        "--bytes", action="store_true", help="name every file that isn't identical; for runs on one kind of processor"
    )

    verb = _verb(verbs, "protocols", protocols, "one table of a study's runs, fitted on everyone and held out")
    verb.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="one of each protocol")


def _run_argument(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", type=Path, metavar="RUN", help="a run's folder, such as results/demo")


def _add_hand_verbs(verbs) -> None:
    verb = _verb(verbs, "segment", segment, "segment one image, intensities as given")
    verb.add_argument("--image", type=Path, required=True, help="T1-weighted NIfTI")
    verb.add_argument("--mask", type=Path, required=True, help="its brain mask")
    verb.add_argument("--out", type=Path, required=True, help="labels to write: 0 none, 1 CSF, 2 GM, 3 WM")
    verb.add_argument("--posteriors", type=Path, help="4-D NIfTI of CSF, GM, WM to write")
    verb.add_argument("--bias", type=Path, help="NIfTI of the bias field to write")
    _segmentation_options(verb)

    verb = _verb(verbs, "ssim", ssim, "structural similarity of two images")
    _two_files(verb)
    verb.add_argument("--mask", type=Path, required=True, help="voxels to average over")
    verb.add_argument("--data-range", type=float, required=True, help="range of the images' intensities")
    verb.add_argument("--low", type=float, default=0.0, help="what the background is set to (default: 0)")

    verb = _verb(verbs, "pearson", pearson, "Pearson correlation of two images")
    _two_files(verb)
    verb.add_argument("--mask", type=Path, required=True, help="voxels to take")

    verb = _verb(verbs, "dice", dice, "Dice of two label images, by tissue")
    _two_files(verb)

    verb = _verb(verbs, "volumes", volumes, "volumes of a label image in mL, by tissue")
    verb.add_argument("labels", type=Path, metavar="LABELS")

    verb = _verb(verbs, "volume-difference", volume_difference, "volumes of A less those of B in mL, by tissue")
    _two_files(verb)

    verb = _verb(verbs, "volume-error", volume_error, "volumes less the true ones in mL, by tissue")
    verb.add_argument("labels", type=Path, metavar="LABELS")
    verb.add_argument("--fractions", type=Path, required=True, help="true fractions, 4-D NIfTI of CSF, GM, WM")

    verb = _verb(verbs, "rmse", rmse, "RMSE of volume differences, with its interval over subjects")
    verb.add_argument("differences", type=Path, metavar="TSV", help="a table as metrics/volume_differences.tsv")
    verb.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    verb.add_argument("--bootstrap", type=int, default=2000, metavar="N", help="resamples of subjects (default: 2000)")


def _two_files(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("a", type=Path, metavar="A")
    verb.add_argument("b", type=Path, metavar="B")


def _arm_step(arguments: Arguments, step: str, work: Callable[[], None], placeholders: Sequence[Path]) -> None:
    from core.jobs.record import run_step

    run_step(
        work,
        status_file=arguments.status,
        method=_method(arguments),
        step=step,
        on_failure=arguments.on_failure,
        minutes=arguments.minutes,
        requires=arguments.requires,
        placeholders=placeholders,
    )


def _method(arguments: Arguments) -> str:
    return arguments.method or arguments.images.resolve().name


def _read_study(arguments: Arguments):
    """The whole study of the sheet, unread; and its subjects that the step is about."""
    from core.sheet import read_sheet

    study = read_sheet(arguments.scans, check=False)
    chosen = study if arguments.subjects is None else study.select(arguments.subjects)
    return study, chosen


def intensities(arguments: Arguments) -> None:
    """Write an arm's `Intensities`."""

    def work() -> None:
        from evaluation.arms.intensities import write_by_fold
        from evaluation.arms.ranges import arm_intensities, fold_intensities

        _, chosen = _read_study(arguments)
        if arguments.by_fold is None:
            arm_intensities(_method(arguments), chosen, arguments.images).write(arguments.out)
        else:
            found = fold_intensities(_method(arguments), chosen, arguments.images, arguments.by_fold)
            write_by_fold(arguments.out, found)

    _arm_step(arguments, "intensities", work, [arguments.out])


def segment_arm(arguments: Arguments) -> None:
    """Write an arm's labels and volumes."""

    def work() -> None:
        from core.files import write_table
        from core.folds import by_fold
        from evaluation.arms.intensities import Intensities
        from evaluation.arms.parts import join
        from evaluation.arms.segmenting import segment_arm

        _, chosen = _read_study(arguments)
        volumes = [
            segment_arm(
                people,
                method=_method(arguments),
                images=arguments.images,
                intensities=Intensities.read(arguments.intensities, fold),
                reference=Intensities.read(arguments.reference, fold),
                engine=arguments.engine,
                rule=arguments.rule,
                threshold=arguments.threshold,
                threads=arguments.threads,
                out=arguments.out,
            )
            for fold, people in by_fold(chosen)
        ]
        write_table(arguments.volumes, join(volumes))

    _arm_step(arguments, "segmentation", work, [arguments.volumes])


def measure_arm(arguments: Arguments) -> None:
    """Write the parts of an arm's measures."""
    from evaluation.arms.parts import ARRAYS, FURTHER, PARTS, part_path

    tables = [name for name in PARTS if name != "volumes"]
    files = {name: part_path(arguments.out, (name, "tsv"), arguments.batch) for name in tables}
    others = [part_path(arguments.out, kind, arguments.batch) for kind in (FURTHER, ARRAYS)]

    def work() -> None:
        from core.files import write_table
        from core.folds import by_fold
        from evaluation.arms.intensities import Intensities
        from evaluation.arms.measuring import PersonMeasures, measure_arm
        from evaluation.arms.parts import join

        study, chosen = _read_study(arguments)
        parts = [
            measure_arm(
                study,
                people.subjects,
                method=_method(arguments),
                images=arguments.images,
                segmentations=arguments.segmentations,
                reference_segmentations=arguments.reference_segmentations,
                intensities=Intensities.read(arguments.intensities, fold),
                reference=Intensities.read(arguments.reference, fold),
            )
            for fold, people in by_fold(chosen)
        ]
        for name, file in files.items():
            write_table(file, join([tables[name] for tables, _ in parts]))
        further = PersonMeasures()
        for _, measured in parts:
            further.extend(measured)
        further.write(arguments.out, arguments.batch)

    _arm_step(arguments, "measures", work, [*files.values(), *others])


def gather(arguments: Arguments) -> None:
    """Write `RUN/metrics/*.tsv`."""
    from core.sheet import read_sheet
    from evaluation.arms.gathering import gather

    study = read_sheet(arguments.run / "scans.tsv", check=False)
    gather(
        arguments.run,
        study,
        arguments.methods,
        batches=arguments.batches,
        seed=arguments.seed,
        resamples=arguments.bootstrap,
    )


def statistics(arguments: Arguments) -> None:
    """Write `RUN/statistics/paired_tests.tsv` and `summary.tsv`."""
    from core.files import write_table
    from core.sheet import read_sheet
    from evaluation.statistics import run_statistics
    from evaluation.summary import run_summary

    study = read_sheet(arguments.run / "scans.tsv", check=False)
    folder = arguments.run / "statistics"
    write_table(folder / "paired_tests.tsv", run_statistics(arguments.run, study.pairs))
    write_table(folder / "summary.tsv", run_summary(arguments.run, seed=arguments.seed, resamples=arguments.bootstrap))


def tables(arguments: Arguments) -> None:
    """Write `RUN/tables`."""
    from evaluation.tables import draw

    _print_paths(draw(arguments.run))


def figures(arguments: Arguments) -> None:
    """Draw `RUN/figures`."""
    from evaluation.figures import draw

    _print_paths(draw(arguments.run, threads=arguments.threads))


def report(arguments: Arguments) -> None:
    """Write `RUN/report.html`."""
    from evaluation.report import render

    _print_paths([render(arguments.run)])


def _print_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        print(path)


def status(arguments: Arguments) -> None:
    """Write `RUN/status.tsv`."""
    from core.files import write_table
    from evaluation.runs.status_table import join_status

    write_table(arguments.out, join_status(arguments.folder, arguments.methods))


def sweep(arguments: Arguments) -> None:
    """Write a sweep's table and figure."""
    from core.files import write_table
    from core.folds import held_out
    from core.sheet import read_sheet
    from evaluation.figures import style
    from evaluation.figures.sweep import plot
    from evaluation.runs.finished_run import says_simulated
    from evaluation.sweep import score_points

    study = held_out(read_sheet(arguments.scans, check=False), arguments.fold)
    table = score_points(study, arguments.points, arguments.images)
    simulated = says_simulated(scan.covariates.get("simulated") for scan in study.scans)
    figure = plot(table, arguments.points, method=arguments.method, simulated=simulated)
    write_table(arguments.out / "sweep.tsv", table)
    _print_paths([arguments.out / "sweep.tsv", *style.save(figure, arguments.out, "sweep")])


def verdict(arguments: Arguments) -> int:
    """Say which arms and scans failed; 1 if any did."""
    from core.files import read_table
    from evaluation.runs.status_table import failed_scans, failures

    sentences = failures(read_table(arguments.status))
    if arguments.quality is not None:
        sentences += failed_scans(read_table(arguments.quality))
    for sentence in sentences:
        print(sentence)
    return 1 if sentences else 0


def provenance(arguments: Arguments) -> None:
    """Write `RUN/provenance.json`."""
    import json

    from core.files import write_json
    from core.sheet import read_sheet
    from evaluation.runs.provenance import describe

    study = read_sheet(arguments.scans, check=False)
    write_json(arguments.out, describe(study, arguments.scans, json.loads(arguments.config)))


def compare(arguments: Arguments) -> int:
    """Print what differs between two runs; 1 if any of the results does."""
    from evaluation.runs.comparison import compare, same_files

    if arguments.bytes:
        differing = same_files(arguments.run_a, arguments.run_b)
        print("\n".join(differing) or "every file of the results is identical")
        return 1 if differing else 0
    found = compare(arguments.run_a, arguments.run_b, relative=arguments.relative, absolute=arguments.absolute)
    print("nothing differs" if found.empty else found.to_string(index=False))
    # what was run differently explains, but is no result
    return 0 if (found["file"] == "provenance.json").all() else 1


def protocols(arguments: Arguments) -> None:
    """Write `RUN/tables/table_protocols.*` of the held-out run."""
    from evaluation.protocols import write_protocols

    _print_paths(write_protocols(arguments.runs))


def segment(arguments: Arguments) -> None:
    """Segment one image."""
    from segmentation.files import segment_file

    segment_file(
        arguments.image,
        arguments.mask,
        arguments.out,
        engine=arguments.engine,
        rule=arguments.rule,
        threshold=arguments.threshold,
        threads=arguments.threads,
        posteriors=arguments.posteriors,
        bias=arguments.bias,
    )


def ssim(arguments: Arguments) -> None:
    """Print SSIM of two images."""
    from evaluation.by_hand import ssim_of_files

    value = ssim_of_files(arguments.a, arguments.b, arguments.mask, data_range=arguments.data_range, low=arguments.low)
    print(f"{value:.6g}")


def pearson(arguments: Arguments) -> None:
    """Print the correlation of two images."""
    from evaluation.by_hand import pearson_of_files

    print(f"{pearson_of_files(arguments.a, arguments.b, arguments.mask):.6g}")


def dice(arguments: Arguments) -> None:
    """Print Dice of two label images."""
    from evaluation.by_hand import dice_of_files

    _print_by_tissue("dice", dice_of_files(arguments.a, arguments.b))


def volumes(arguments: Arguments) -> None:
    """Print the volumes of a label image."""
    from evaluation.by_hand import volumes_of_file

    _print_by_tissue("volume_ml", volumes_of_file(arguments.labels))


def volume_difference(arguments: Arguments) -> None:
    """Print how the volumes of two label images differ."""
    from evaluation.by_hand import volume_difference_of_files

    _print_by_tissue("difference_ml", volume_difference_of_files(arguments.a, arguments.b))


def volume_error(arguments: Arguments) -> None:
    """Print how far the volumes of a label image are from the true ones."""
    from evaluation.by_hand import volume_error_of_files

    _print_by_tissue("volume_error_ml", volume_error_of_files(arguments.labels, arguments.fractions))


def _print_by_tissue(name: str, values: dict[str, float]) -> None:
    print(f"tissue\t{name}")
    for tissue, value in values.items():
        print(f"{tissue}\t{value:.6g}" if value == value else f"{tissue}\tn/a")


def rmse(arguments: Arguments) -> None:
    """Print the RMSE of a table of volume differences."""
    from core.files import read_table
    from evaluation.measures.volumes import rmse_table

    table = rmse_table(read_table(arguments.differences), seed=arguments.seed, resamples=arguments.bootstrap)
    print(table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep="n/a", lineterminator="\n"), end="")


if __name__ == "__main__":
    run(main)
