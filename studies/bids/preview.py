"""What a BIDS dataset would give a study, in words: scans by subject and scanner, gaps, and what to decide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from studies.bids.dataset import Found, Image, covariates_of, find_scans, how_to_choose, read_rows_of
from studies.bids.options import TABLES, BidsOptions
from studies.errors import InputError

MOST_ROWS = 40
NAMES_A_SCANNER = re.compile("model|scanner|site|manufacturer|vendor|machine", re.IGNORECASE)
"""A way that gives nobody two scanners is shown only where its name says that it is about scanners."""

MOST_VALUES = 12
"""A column with more values than this names no scanners but, say, ages."""


def describe(options: BidsOptions, images: Sequence[Image]) -> Iterator[str]:
    """Lines that say what the dataset holds and what a harmonization study would still need."""
    subjects = list(dict.fromkeys(image.subject for image in images))
    yield f"{options.dataset}: {len(images)} T1w images of {_count(len(subjects), 'subject')}"
    ways = possible_ways(options, images)
    if options.scanner is None:
        best = max(ways, key=lambda way: _worth(ways[way]), default="")
        yield from _ways(ways, best)
        options = replace(options, scanner=best or None)
    found = find_scans(images, options)
    yield from _grid(found)
    yield from _gaps(found)
    covariates = list(
        dict.fromkeys(name for image in images[:1] for name in covariates_of(Path(options.dataset), image))
    )
    yield f"Covariates: {', '.join(covariates) or 'none'}"
    yield from _needs(options, found)


def possible_ways(options: BidsOptions, images: Sequence[Image]) -> dict[str, Found]:
    """Every way of telling scanners apart that gives at least two, and what it gives."""
    folder = Path(options.dataset)
    ways = ["ses", "acq", "model"]
    for table in TABLES:
        columns = dict.fromkeys(name for image in images for name in read_rows_of(folder, image, table))
        ways += [f"{table}:{column}" for column in columns]
    found = {}
    for way in ways:
        try:
            given = find_scans(images, replace(options, scanner=way, scanners={}))
        except InputError:  # a value that could be no scanner's name
            continue
        if 2 <= len(given.scanners) <= MOST_VALUES and (_pairs(given) or NAMES_A_SCANNER.search(way)):
            found[way] = given
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _pairs(found: Found) -> int:
    """How many subjects have scans from two scanners or more."""
    counts = [sum(subject == person for person, _ in found.scans) for subject in found.subjects]
    return sum(count >= 2 for count in counts)


def _worth(found: Found) -> tuple[int, int]:
    return _pairs(found), -len(found.ambiguous) - len(found.without_scanner)


def _ways(ways: dict[str, Found], best: str) -> Iterator[str]:
    if not ways:
        yield "Nothing tells scanners apart: no ses-, acq-, scanner model or column has two values or more."
        return
    yield "What could tell scanners apart (`scanner`):"
    yield f"  {'way':<28}{'scanners':>9}{'subjects on 2 or more':>24}{'several images':>16}{'no scanner':>12}"
    for way, found in ways.items():
        mark = "  <- shown below" if way == best else ""
        yield (
            f"  {way:<28}{len(found.scanners):>9}{_pairs(found):>24}{len(found.ambiguous):>16}"
            f"{len(found.without_scanner):>12}{mark}"
        )


def _grid(found: Found) -> Iterator[str]:
    width = max([7, *(len(subject) for subject in found.subjects)]) + 2
    yield "Images by subject and scanner:"
    yield "  " + "subject".ljust(width) + "  ".join(found.scanners)
    for subject in found.subjects[:MOST_ROWS]:
        counts = [len(found.scans.get((subject, scanner), ())) for scanner in found.scanners]
        cells = [
            (str(count) if count else "-").center(len(scanner))
            for count, scanner in zip(counts, found.scanners, strict=True)
        ]
        yield "  " + subject.ljust(width) + "  ".join(cells).rstrip()
    if len(found.subjects) > MOST_ROWS:
        yield f"  ... and {len(found.subjects) - MOST_ROWS} more subjects"


def _gaps(found: Found) -> Iterator[str]:
    if found.missing:
        some = ", ".join(f"{subject} on {scanner}" for subject, scanner in found.missing[:8])
        more = f" and {len(found.missing) - 8} more" if len(found.missing) > 8 else ""
        yield f"Missing (allowed; every table shows its n): {some}{more}"
    if found.ambiguous:
        yield f"Ambiguous, {len(found.ambiguous)} to decide:"
        for (subject, scanner), repeated in list(found.ambiguous.items())[:8]:
            yield f"  subject {subject} on {scanner}: {', '.join(image.path.name for image in repeated)}"
        yield f"  decide with {how_to_choose(next(iter(found.ambiguous.values())))}"
    if found.without_scanner:
        some = ", ".join(str(image.path) for image in found.without_scanner[:4])
        yield f"Without a scanner, {len(found.without_scanner)} images to decide: {some}"
    if found.left_out:
        yield f"Left out by `scanners`: {', '.join(f'{value} ({count})' for value, count in found.left_out.items())}"


def _needs(options: BidsOptions, found: Found) -> Iterator[str]:
    paired = _pairs(found)
    if len(found.scanners) >= 2 and paired >= 2:
        undecided = " once the above is decided" if found.ambiguous or found.without_scanner else ""
        yield f"A harmonization study can be made{undecided}: {_count(paired, 'subject')} on 2 scanners or more."
        yield "As configuration:"
        yield "  run: NAME"
        yield f"  study: {{source: bids, bids: {{dataset: {options.dataset}, scanner: {options.scanner!r}}}}}"
        return
    yield (
        f"Not enough for a harmonization study, which needs at least 2 people who were each scanned on 2 scanners or "
        f"more; here {paired} {'was' if paired == 1 else 'were'}, on {_count(len(found.scanners), 'scanner')}."
    )
    yield (
        "  Add these people's scans from another scanner, told apart by ses-, acq-, the sidecar's "
        "ManufacturersModelName or a column of participants.tsv, sessions.tsv or scans.tsv (`scanner`);"
    )
    yield (
        "  or, of skull-stripped images, simulate further scanners: "
        f"`python -m studies simulate --anatomy {options.dataset}`."
    )
