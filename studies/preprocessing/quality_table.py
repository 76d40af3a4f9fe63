"""The quality of all scans of a study in one table, from the files that their steps left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.files import read_json, read_table, write_table, write_text
from core.images import load_image, load_mask
from core.run_folder import StudyFolder, scan_name
from core.scan_quality import DECIDED, WORDS, Flagged, sentences
from studies.preprocessing.quality import COLUMNS, IDS, flag, similarity_to_own, unfit
from studies.preprocessing.steps import outcome

TITLES = {
    "subject": "Subject",
    "scanner": "Scanner",
    "session": "Rescan",
    "brain": "Brain found by",
    "mask_ml": "Brain, mL",
    "snr": "Signal to noise",
    "coverage": "Brain in picture",
    "similarity_atlas": "Similarity to atlas",
    "similarity_own": "Similarity to own other scans",
    "flags": "Look at it because",
}


def gather(folder: Path, scans: Sequence[tuple[str, ...]], flagged: Flagged = "refuse") -> pd.DataFrame:
    """A row of `quality.COLUMNS` for each planned scan; a failed one's reason stands in flags.

    `scans` are (subject, scanner), of rescans (subject, scanner, session). `flagged` says what becomes of those that
    are unfit.
    """
    rows = []
    for subject in dict.fromkeys(scan[0] for scan in scans):
        own = []
        for scan in (scan for scan in scans if scan[0] == subject):
            name = scan_name(*scan)
            failure = outcome(folder, name)
            row: dict[str, Any] = {"session": ""} | dict(zip(IDS, scan, strict=False))
            row |= {"status": "failed" if failure else "ok", "flags": failure}
            if not failure:
                own.append((row, name))
                row |= read_json(StudyFolder(folder).preprocessed(name, "quality.json"))
            rows.append(row)
        images = [load_image(StudyFolder(folder).preprocessed(name, "T1w.nii.gz"))[0] for _, name in own]
        masks = [load_mask(StudyFolder(folder).preprocessed(name, "mask.nii.gz"))[0] for _, name in own]
        for (row, _), similarity in zip(own, similarity_to_own(images, masks), strict=True):
            row["similarity_own"] = similarity
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    numbers = [column for column in COLUMNS if column not in (*IDS, "status", "brain", "flags")]
    table[numbers] = table[numbers].astype(float)
    there = table["status"] != "failed"
    table["flags"] = np.where(there, flag(table), table["flags"])
    unwell = np.array([bool(unfit(row)) for row in table.to_dict("records")])
    table.loc[there & unwell, "status"] = DECIDED[flagged]
    return table


def left_out(folder: Path) -> dict[str, str]:
    """Of scans that the study's quality table, where there is one, leaves out: by name the reason.

    Raises `InputError` where it says that scans are to be refused, naming all of them.
    """
    place = StudyFolder(folder).quality
    if not place.is_file():
        return {}
    table = read_table(place)
    refused = sentences(table, DECIDED["refuse"])
    if refused:
        raise InputError(
            f"{len(refused)} of {len(table)} scans don't look like brains on the atlas: {'. '.join(refused)}. Look at "
            f"{place.with_suffix('.md')} and the images in {StudyFolder(folder).root / 'preprocessed'}; mend what is "
            "wrong (`brain` chooses another way to the brain), or say `flagged: leave_out` or `flagged: keep`"
        )
    out = table[table["status"] == DECIDED["leave_out"]]
    return {scan_name(*(text or "" for text in row[:3])): row[3] for row in out[[*IDS, "flags"]].to_numpy()}


def write(table: pd.DataFrame, out: Path) -> None:
    """Write the table as TSV, and beside it as Markdown for people."""
    write_table(out, table.assign(flags=table["flags"].replace({"": None})))
    write_text(out.with_suffix(".md"), markdown(table))


def markdown(table: pd.DataFrame) -> str:
    """The table as the report shows it."""
    lines = ["### Quality of the preprocessing", ""]
    lines += [f"| {' | '.join(TITLES.values())} |", f"| {' | '.join('---' for _ in TITLES)} |"]
    for row in table.to_dict("records"):
        cells = [row["subject"], row["scanner"], row["session"], row["brain"] if row["status"] != "failed" else "n/a"]
        cells += [
            "n/a" if pd.isna(row[column]) else form.format(row[column])
            for column, form in (
                ("mask_ml", "{:.0f}"),
                ("snr", "{:.1f}"),
                ("coverage", "{:.1%}"),
                ("similarity_atlas", "{:.3f}"),
                ("similarity_own", "{:.3f}"),
            )
        ]
        reason = str(row["flags"] or "").replace("|", "/")
        cells.append(f"**{WORDS[row['status']]}**: {reason}" if row["status"] in WORDS else reason)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Brain: volume of the mask in the scan's own space. Signal to noise: median of the brain over the noise's SD, "
        "estimated from second differences. Similarities: Pearson's correlation in the brain after registration.",
        "",
    ]
    return "\n".join(lines)
