"""A run's images and labels as BIDS derivatives, named by what its scans were read from."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from core.errors import InputError
from core.files import read_json, read_table, write_folder_beside, write_json, write_table, write_text
from core.images import load_image, save_image, save_labels
from core.jobs.command import progress
from core.run_folder import RunFolder, image_name, labels_name, scan_name
from core.sheet import SESSION, read_rows, row_names
from studies.bids.images import images_of_paths
from studies.preprocessing.native import preprocessed_names, take_back
from studies.sources import source

GENERATOR = "mispel-benchmark"
BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
ORDER = ("ses", "acq", "ce", "rec", "run", "echo", "part", "inv", "res")
"""The entities that an image's name keeps, in the order that BIDS has them; space and desc come last."""
TISSUES = pd.DataFrame({"index": [0, 1, 2, 3], "name": ["Background", "CSF", "GM", "WM"]})
SCANNER_COORDINATES, ATLAS_COORDINATES = 1, 4
"""What the header says that an affine leads to (NIfTI's xform codes)."""


@dataclass(frozen=True)
class ExportedScan:
    """A scan of a run: the stem of its files there, its entities in BIDS (without sub), and the image it came from."""

    stem: str
    subject: str
    entities: Mapping[str, str]
    mask: Path
    source: str | None

    def path(self, ending: str, **further: str) -> PurePosixPath:
        """Of a file made from it, in the dataset, with further entities before its ending."""
        labels = [f"{name}-{self.entities[name]}" for name in ORDER if name in self.entities]
        labels += [f"{name}-{label}" for name, label in further.items() if label]
        session = [f"ses-{self.entities['ses']}"] if "ses" in self.entities else []
        name = "_".join([f"sub-{self.subject}", *labels, ending])
        return PurePosixPath(f"sub-{self.subject}", *session, "anat", name)


def export(run: Path, out: Path, *, arms: Sequence[str] = (), controls: bool = False, native: bool = False) -> Path:
    """Write the images and labels of a run's `arms` as the BIDS derivative `out`.

    Without any they are all that are no control and no fit under a further seed, or with `controls` these too.
    native : images alone, on the scanners' own grids instead of the study's.
    Returns `out`, which is there when all of it is; an earlier export is replaced. Raises `InputError` for an arm that
    the run hasn't, scans whose names would be one in BIDS, and a folder that holds anything but an earlier export.
    """
    at = RunFolder(run)
    check_free(out)
    options = read_json(at.study.options)
    read_by = source(read_json(at.provenance)["config"]["study"]["source"])
    scans, labels = exported_scans(at), arms_with_images(at, arms, controls=controls)
    simulated = "simulated" in set(read_rows(at.sheet).get("simulated", ()))
    space = "" if native else read_by.space(options)
    about = {"SkullStripped": True, "Simulated": simulated}
    with write_folder_beside(out) as made:
        for arm in progress(labels, what="arms", total=len(labels)):
            told = about | {"Description": f"Harmonized by {labels[arm]}", "Arm": arm}
            if native:
                with tempfile.TemporaryDirectory() as folder:
                    take_back(at.images(arm), at.study.root, Path(folder))
                    _write_images(scans, Path(folder), made, arm, space, told)
            else:
                _write_images(scans, at.images(arm), made, arm, space, told)
                _write_labels(scans, at.segmentations(arm), made, arm, space)
        if not native:
            _write_masks(scans, made, space)
        write_text(made / "README.md", readme(at.root.name, labels, simulated=simulated))
        write_json(made / DESCRIPTION, about_dataset(at.root, options, out, simulated=simulated))
    return out


def check_free(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier export."""
    if out.exists() and not _is_export(out) and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there and no export of a run; give a folder that is empty or isn't there")


def _write_images(
    scans: Sequence[ExportedScan], images: Path, out: Path, arm: str, space: str, told: Mapping[str, Any]
) -> None:
    """An arm's images, each with what is told of it beside it."""
    for scan in scans:
        image = images / image_name(scan.stem)
        if image.is_file():
            path = out / scan.path("T1w.nii.gz", space=space, desc=plain(arm))
            voxels, affine = load_image(image)
            save_image(path, voxels, affine, leads_to=_leads_to(space))
            write_json(_sidecar(path), {**told, **({"Sources": [f"bids:raw:{scan.source}"]} if scan.source else {})})


def _write_labels(scans: Sequence[ExportedScan], labels: Path, out: Path, arm: str, space: str) -> None:
    """An arm's tissues, and once what their numbers mean."""
    for scan in scans:
        tissues = labels / labels_name(scan.stem)
        if tissues.is_file():
            _copy_labels(tissues, out / scan.path("dseg.nii.gz", space=space, desc=plain(arm)), space)
    write_table(out / f"desc-{plain(arm)}_dseg.tsv", TISSUES)


def _write_masks(scans: Sequence[ExportedScan], out: Path, space: str) -> None:
    """Each scan's brain."""
    for scan in scans:
        path = out / scan.path("mask.nii.gz", space=space, desc="brain")
        _copy_labels(scan.mask, path, space)
        write_json(_sidecar(path), {"Type": "Brain"})


def exported_scans(at: RunFolder) -> list[ExportedScan]:
    """The scans of a run with the entities of the images that they came from.

    Of a study that wasn't read from BIDS, the scanner is the acquisition. Raises `InputError` for two scans of
    one name.
    """
    table = read_rows(at.sheet)
    read_from = images_of_scans(at)
    sources = preprocessed_names(at.study) if read_from else {}
    found = []
    for stem, row in zip(row_names(table), table.to_dict("records"), strict=True):
        mask = Path(os.path.normpath(at.root / row["mask"]))
        if read_from:
            source = read_from[sources.get(stem, stem)]
            image = images_of_paths([source])[0]
            entities = {name: plain(label) for name, label in image.entities.items() if name in ORDER}
            found.append(ExportedScan(stem, plain(image.subject), entities, mask, source))
        else:
            session = {"ses": plain(row[SESSION])} if row.get(SESSION) else {}
            entities = {**session, "acq": plain(row["scanner"])}
            found.append(ExportedScan(stem, plain(row["subject"]), entities, mask, None))
    names: dict[PurePosixPath, str] = {}
    for scan in found:
        other = names.setdefault(scan.path("T1w.nii.gz"), scan.stem)
        if other != scan.stem:
            raise InputError(
                f"{at.sheet}: {other} and {scan.stem} would both be {scan.path('T1w.nii.gz')}, since BIDS has letters "
                "and digits alone; name subjects, scanners and sessions so that they differ in these"
            )
    return found


def images_of_scans(at: RunFolder) -> dict[str, str]:
    """By the stem of a scan's files the image in the BIDS dataset that it was read from; nothing for other studies."""
    options = read_json(at.study.options)
    folder = options.get("dataset") or ""
    return {
        scan_name(
            scan["subject"], scan["scanner"], scan["session"] if scan["rescan"] or scan.get("time") else ""
        ): os.path.relpath(scan["image"], folder)
        for scan in options.get("scans_found") or ()
    }


def arms_with_images(at: RunFolder, wanted: Sequence[str], *, controls: bool) -> dict[str, str]:
    """By id of the arms that are wanted what they are called. `InputError` where one has no images.

    Where none is named it is those that are there to be judged, with `controls` all.
    """
    rows = [row for row in read_table(at.arms).fillna("").to_dict("records") if at.images(row["arm"]).is_dir()]
    called = {row["arm"]: " ".join(filter(None, [row["label"], row.get("variant")])) for row in rows}
    for arm in wanted:
        if arm not in called:
            raise InputError(f"{at.root}: no images of an arm '{arm}'; there are {', '.join(called)}")
    judged = [row["arm"] for row in rows if controls or row.get("role", "arm") == "arm"]
    return {arm: called[arm] for arm in wanted or judged}


def plain(label: str) -> str:
    """A label as BIDS has it: letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", label)


def about_dataset(run: Path, options: Mapping[str, Any], out: Path, *, simulated: bool) -> dict[str, Any]:
    """What dataset_description.json says of the export into `out` of a run whose source was given `options`.

    A dataset on this machine is named by its path from `out`, which holds where both are moved together.
    """
    about: dict[str, Any] = {
        "Name": f"{run.name}: harmonized scans{' (simulated)' if simulated else ''}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": GENERATOR, "Version": version(GENERATOR)}],
    }
    published = options.get("openneuro")
    if published:
        address = f"https://openneuro.org/datasets/{published['id']}/versions/{published['version']}"
    elif options.get("dataset"):
        # a relative path counts from where the run was started, which its folder lies two below
        dataset = (run.resolve().parents[1] / options["dataset"]).resolve()
        address = Path(os.path.relpath(dataset, out.resolve())).as_posix()
    else:
        return about
    return about | {"SourceDatasets": [{"URL": address}], "DatasetLinks": {"raw": address}}


def readme(name: str, labels: Mapping[str, str], *, simulated: bool) -> str:
    """What a reader of the dataset is told."""
    arms = "\n".join(f"- `desc-{plain(arm)}`: {label}" for arm, label in labels.items())
    mark = "These scans are simulated.\n\n" if simulated else ""
    return (
        f"# Harmonized scans of the run {name}\n\n{mark}Written by {GENERATOR} {version(GENERATOR)}. By `desc-`, what "
        f"an image was harmonized by:\n\n{arms}\n\n`desc-brain_mask` is the brain; `dseg` are tissues by number "
        "(1 cerebrospinal fluid, 2 gray matter, 3 white matter). Intensities are the method's own.\n"
    )


def _copy_labels(path: Path, out: Path, space: str) -> None:
    labels, affine = load_image(path)
    save_labels(out, labels, affine, leads_to=_leads_to(space))


def _leads_to(space: str) -> int:
    return ATLAS_COORDINATES if space else SCANNER_COORDINATES


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")


def _is_export(folder: Path) -> bool:
    path = folder / DESCRIPTION
    return path.is_file() and any(made.get("Name") == GENERATOR for made in read_json(path).get("GeneratedBy", ()))
