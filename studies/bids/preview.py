"""What a BIDS dataset would give a study, in words: scans by subject and scanner, gaps, and what to decide."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from core.errors import InputError
from core.ids import SAFE_ID
from core.tables import is_missing
from studies.bids.images import Image
from studies.bids.options import ACQ_TIME, TABLES, BidsOptions, FollowUp
from studies.bids.scans import (
    Found,
    chosen_images,
    find_scans,
    how_to_choose,
    of_visit,
    scanner_values,
    session_names,
)
from studies.bids.tables import covariates_of, read_rows_of
from studies.preprocessing.brain import WORDS
from studies.preprocessing.brain import Way as BrainWay

MOST_ROWS = 40
NAMES_A_SCANNER = re.compile("model|scanner|site|manufacturer|vendor|machine", re.IGNORECASE)
"""A way that gives nobody two scanners is shown only where its name says that it is about scanners."""

MOST_VALUES = 12
"""A column with more values than this names no scanners but, say, ages."""


def describe(options: BidsOptions, images: Sequence[Image], t2_images: Sequence[Image] = ()) -> Iterator[str]:
    """Lines that say what the dataset holds and what a harmonization study would still need."""
    subjects = list(dict.fromkeys(image.subject for image in images))
    yield f"{options.dataset}: {len(images)} T1w images of {_count(len(subjects), 'subject')}"
    if t2_images:
        beside = sum(bool(of_visit(image, t2_images)) for image in images)
        yield f"{_count(len(t2_images), 'T2w image')}, in the sessions of {_count(beside, 'T1w image')} (`t2: true`)"
    if options.scanner is None:
        ways = possible_ways(options, images)
        best = max(ways, key=lambda way: _worth(ways[way].found), default="")
        yield from _ways(ways, best)
        if best:
            options = replace(options, scanner=best, scanners=options.named_scanners or ways[best].names)
    found = find_scans(images, options)
    yield from _grid(found)
    yield from _gaps(found, options)
    yield f"Covariates: {', '.join(_covariates(options, found)) or 'none'}"
    yield from _needs(options, found)


def describe_ways(ways: Mapping[str, BrainWay], brain: str) -> Iterator[str]:
    """Lines that say how the brain of each image is found, by the image's path; `brain` is the option of that name."""
    counts = Counter(ways.values())
    shown = "; ".join(f"{_count(count, 'image')}: {WORDS[way]}" for way, count in counts.most_common())
    yield f"Brains (`brain: {brain}`), {shown}"
    if len(counts) > 1:
        for path, way in list(ways.items())[:MOST_ROWS]:
            yield f"  {path}: {WORDS[way]}"
        if len(ways) > MOST_ROWS:
            yield f"  ... and {len(ways) - MOST_ROWS} more images"


@dataclass(frozen=True)
class Way:
    """What a way of telling scanners apart gives, and the `scanners` it needs where a value can't be a name."""

    found: Found
    names: Mapping[str, str]


def possible_ways(options: BidsOptions, images: Sequence[Image]) -> dict[str, Way]:
    """Every way of telling scanners apart that gives at least two, and what it gives.

    Raises `InputError` for what `find_scans` refuses.
    """
    folder = options.folder
    ways = ["ses", "acq", "model"]
    for table in TABLES:
        columns = dict.fromkeys(name for image in images for name in read_rows_of(folder, image, table))
        ways += [f"{table}:{column}" for column in columns]
    possible = {}
    chosen = chosen_images(images, options)
    for way in ways:
        names = _names(scanner_values(folder, chosen, way))
        found = find_scans(images, replace(options, scanner=way, scanners=names))
        # what can't be names, in a column about something else, is text or dates
        telling = _pairs(found) and not (names and ":" in way)
        if 2 <= len(found.scanners) <= MOST_VALUES and (telling or NAMES_A_SCANNER.search(way)):
            possible[way] = Way(found, names)
    return possible


def _names(values: Iterable[str]) -> dict[str, str]:
    """Names for all scanners, where one of the values can't be a name as it is."""
    known = sorted({value for value in values if not is_missing(value)})
    names: dict[str, str] = {}
    if not all(SAFE_ID.fullmatch(value) for value in known):
        for value in known:
            name = re.sub("[^A-Za-z0-9 ._+]+", "-", value)[:64].strip(" ._+-")
            names[value] = name if name and name not in names.values() else f"scanner{len(names) + 1}"
    return names


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _pairs(found: Found) -> int:
    """How many subjects have scans from two scanners or more."""
    counts = [sum(subject == person for person, _ in found.scans) for subject in found.subjects]
    return sum(count >= 2 for count in counts)


def _worth(found: Found) -> tuple[int, int]:
    return _pairs(found), -len(found.ambiguous) - len(found.without_scanner)


def _ways(ways: dict[str, Way], best: str) -> Iterator[str]:
    if not ways:
        yield "Nothing tells scanners apart: no ses-, acq-, scanner model or column has two values or more."
        return
    yield "What could tell scanners apart (`scanner`):"
    yield f"  {'way':<28}{'scanners':>9}{'subjects on 2 or more':>24}{'several images':>16}{'no scanner':>12}"
    for way, given in ways.items():
        found = given.found
        mark = ("  needs names in `scanners`" if given.names else "") + ("  <- shown below" if way == best else "")
        yield (
            f"  {way:<28}{len(found.scanners):>9}{_pairs(found):>24}{len(found.several):>16}"
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


def _gaps(found: Found, options: BidsOptions) -> Iterator[str]:
    if found.missing:
        some = ", ".join(f"{subject} on {scanner}" for subject, scanner in found.missing[:8])
        more = f" and {len(found.missing) - 8} more" if len(found.missing) > 8 else ""
        yield f"Missing (allowed; every table shows its n): {some}{more}"
    rescans = {
        key: session_names(images)[1:]
        for key, images in found.several.items()
        if found.rescans and key not in found.ambiguous
    }
    if rescans:
        some = "; ".join(
            f"{subject} on {scanner} ({', '.join(names)})" for (subject, scanner), names in list(rescans.items())[:8]
        )
        more = f"; and {len(rescans) - 8} more" if len(rescans) > 8 else ""
        yield f"Rescans, {sum(map(len, rescans.values()))} in all: {some}{more}"
    yield from _follow_ups(found, options)
    if found.ambiguous:
        yield f"Ambiguous, {len(found.ambiguous)} to decide:"
        for (subject, scanner), repeated in list(found.ambiguous.items())[:8]:
            yield f"  subject {subject} on {scanner}: {', '.join(image.path.name for image in repeated)}"
        yield f"  decide with {how_to_choose(next(iter(found.ambiguous.values())), options.scanner)}"
    if found.without_scanner:
        some = ", ".join(str(image.path) for image in found.without_scanner[:4])
        yield f"Without a scanner, {len(found.without_scanner)} images to decide: {some}"
    if found.left_out:
        yield f"Left out by `scanners`: {', '.join(f'{value} ({count})' for value, count in found.left_out.items())}"


def _follow_ups(found: Found, options: BidsOptions) -> Iterator[str]:
    """Which scans are follow-ups or, where none was asked for, that the tables' times would make some."""
    asked = options.follow_up is not None
    if not asked:
        try:
            found = find_scans(
                [image for _, _, images in found.visits for image in images], replace(options, follow_up={})
            )
        except InputError:
            # no times, or none that can be read, of which nothing was asked
            return
    if not found.follow_ups:
        return
    some = "; ".join(
        f"{subject} on {scanner} ({session}, {found.years[images[0].path]:.3g} years)"
        for (subject, scanner, session), images in list(found.follow_ups.items())[:8]
    )
    more = f"; and {len(found.follow_ups) - 8} more" if len(found.follow_ups) > 8 else ""
    if asked:
        yield f"Follow-ups, {len(found.follow_ups)} in all: {some}{more}"
    else:
        yield (
            f"{ACQ_TIME} would make {len(found.follow_ups)} scans follow-ups (`follow_up: {{}}`), more than "
            f"{FollowUp().after:g} years after the person's first: {some}{more}"
        )


def _covariates(options: BidsOptions, found: Found) -> Iterator[str]:
    """What the tables say of the scans' people, and of how many where not of all."""
    images = [*(image for _, _, repeated in found.visits for image in repeated), *found.without_scanner]
    known: dict[str, set[str]] = {}
    for image in images:
        for name, value in covariates_of(options.folder, image).items():
            subjects = known.setdefault(name, set())
            if not is_missing(value):
                subjects.add(image.subject)
    people = len({image.subject for image in images})
    for name, subjects in known.items():
        yield name if len(subjects) == people else f"{name} ({len(subjects)} of {people} people)"


def _configuration(options: BidsOptions) -> str:
    """The block `study` of a configuration, in one line."""
    given: dict[str, Any] = {"dataset": options.dataset, "scanner": options.scanner}
    if options.scanners:
        names = options.named_scanners
        plain = all(value == name for value, name in names.items())
        given["scanners"] = list(names) if plain else names
    if options.subjects is not None:
        given["subjects"] = options.subjects if isinstance(options.subjects, int) else list(options.subjects)
    if options.select:
        given["select"] = {
            entity: values[0] if len(values) == 1 else list(values) for entity, values in options.selection.items()
        }
    if options.repeats != "refuse":
        given["repeats"] = options.repeats
    if options.follow_up is not None:
        given["follow_up"] = dict(options.follow_up)
    if options.openneuro is not None:
        given["openneuro"] = dict(options.openneuro)
    if options.t2:
        given["t2"] = True
    block = {"source": "bids", "bids": given}
    return yaml.safe_dump(block, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf).strip()


def _needs(options: BidsOptions, found: Found) -> Iterator[str]:
    paired = _pairs(found)
    if len(found.scanners) >= 2 and paired >= 2:
        undecided = " once the above is decided" if found.ambiguous or found.without_scanner else ""
        yield f"A harmonization study can be made{undecided}: {_count(paired, 'subject')} on 2 scanners or more."
        yield "As configuration:"
        yield "  run: NAME"
        yield f"  study: {_configuration(options)}"
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
