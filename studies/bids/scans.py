"""Which images of a BIDS dataset a study uses, each with its subject, scanner and covariates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, nearest
from core.ids import check_id, check_told_apart
from core.tables import is_missing
from studies.bids.images import Image, models_of
from studies.bids.options import ACQUISITION, ENTITIES, BidsOptions, Repeats
from studies.bids.tables import covariates_of, read_rows_of, why_no_rows
from studies.bids.times import session_of, years_after_first


@dataclass(frozen=True)
class BidsScan:
    """An image that the study uses, and `t2`, the T2w image beside it, where there is one.

    `session` is given with `repeats: rescans`, and of who was followed up; `rescan` says whether an earlier image of
    the subject on the scanner is the scan. A follow-up's `time` is how many years after the subject's first session it
    was, and above 0.
    """

    subject: str
    scanner: str
    image: Path
    covariates: Mapping[str, str]
    session: str = ""
    rescan: bool = False
    t2: Path | None = None
    time: float = 0.0

    @property
    def named_session(self) -> str:
        """Its session where that stands in the names of its files, of a rescan or follow-up."""
        return self.session if self.rescan or self.time else ""


@dataclass(frozen=True)
class Found:
    """What a dataset holds for a study.

    scans : by (subject, scanner) its images in the order of subjects and scanners; one where all is well, or the
        scan and its rescans in order.
    without_scanner : images that the chosen way gives no scanner.
    left_out : by value of scanners that aren't wanted, how many images have it.
    scanners : in order; of those wanted, the ones that some image is from.
    rescans : whether several images of a subject and scanner are a scan and its rescans.
    follow_ups : by (subject, scanner, session) the images of a later time; one where all is well.
    years : by the path of a follow-up's image how many years after the subject's first session it is from.
    """

    scans: Mapping[tuple[str, str], tuple[Image, ...]]
    without_scanner: tuple[Image, ...]
    left_out: Mapping[str, int]
    scanners: tuple[str, ...]
    rescans: bool = False
    follow_ups: Mapping[tuple[str, str, str], tuple[Image, ...]] = field(default_factory=dict)
    years: Mapping[Path, float] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """Subjects in order."""
        return list(dict.fromkeys(subject for subject, _ in self.scans))

    @property
    def several(self) -> dict[tuple[str, str], tuple[Image, ...]]:
        """Subject and scanner of which there are several images."""
        return {key: images for key, images in self.scans.items() if len(images) > 1}

    @property
    def ambiguous(self) -> dict[tuple[str, str], tuple[Image, ...]]:
        """Subject and scanner with several images to choose from; with rescans, only those of one acquisition."""
        later = {key[:2]: images for key, images in self.follow_ups.items() if len(images) > 1}
        if not self.rescans:
            return later | self.several
        alike = {key: of_one_acquisition(images) for key, images in self.several.items()}
        return later | {key: images for key, images in alike.items() if images}

    @property
    def visits(self) -> Iterator[tuple[str, str, tuple[Image, ...]]]:
        """Subject, scanner and images of the first sessions, then of each follow-up."""
        for (subject, scanner), images in self.scans.items():
            yield subject, scanner, images
        for (subject, scanner, _), images in self.follow_ups.items():
            yield subject, scanner, images

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Subject and scanner of which there is no image."""
        return [
            (subject, scanner)
            for subject in self.subjects
            for scanner in self.scanners
            if (subject, scanner) not in self.scans
        ]


def find_scans(images: Sequence[Image], options: BidsOptions) -> Found:
    """Sort a dataset's images by subject and scanner, as the options say.

    Raises `InputError` for subjects or scanners wanted that the dataset hasn't, for a table or a column of it that
    isn't there, and for what `years_after_first` refuses.
    """
    chosen = chosen_images(images, options)
    names = options.named_scanners
    scans: dict[tuple[str, str], list[Image]] = {}
    without: list[Image] = []
    left_out: dict[str, int] = {}
    values = scanner_values(options.folder, chosen, options.scanner or "")
    for image, value in zip(chosen, values, strict=True):
        if is_missing(value):
            without.append(image)
        elif names and value not in names:
            left_out[value] = left_out.get(value, 0) + 1
        else:
            name = names.get(value, value)
            check_id(
                name,
                f"{options.dataset}, scanner of {image.path} (name it otherwise with `scanners: {{'{value}': NAME}}`)",
            )
            scans.setdefault((image.subject, name), []).append(image)
    for wanted in names:
        if wanted not in values:
            raise InputError(f"scanners: no image of '{wanted}' in {options.dataset}{nearest(wanted, set(values))}")
    order = list(dict.fromkeys(names.values())) or sorted({scanner for _, scanner in scans})
    later, years = _take_follow_ups(scans, options)
    subjects = list(dict.fromkeys(subject for subject, _ in scans))
    keys = [(subject, scanner) for subject in subjects for scanner in order if (subject, scanner) in scans]
    return Found(
        {key: tuple(_repeats(scans[key], options.repeats)) for key in keys},
        tuple(without),
        left_out,
        tuple(scanner for scanner in order if any(scanner == there for _, there in keys)),
        options.repeats == "rescans",
        {key: later[key] for key in sorted(later, key=lambda key: (subjects.index(key[0]), order.index(key[1])))},
        years,
    )


def _take_follow_ups(
    scans: dict[tuple[str, str], list[Image]], options: BidsOptions
) -> tuple[dict[tuple[str, str, str], tuple[Image, ...]], dict[Path, float]]:
    """Take follow-ups out of `scans`: `Found`'s two last fields, in the order of time.

    Raises `InputError` for what `years_after_first` refuses, and a follow-up whose session can't be an id.
    """
    way = options.made_follow_up()
    if way is None:
        return {}, {}
    after = years_after_first(options.folder, [image for images in scans.values() for image in images], way)
    years = {path: time for path, time in after.items() if time > way.after}
    later: dict[tuple[str, str, str], list[Image]] = {}
    for subject, scanner in list(scans):
        of_both = scans.pop((subject, scanner))
        for image in sorted(of_both, key=lambda image: after[image.path]):
            if image.path in years:
                session = check_id(session_of(image), f"{image.path}: the session of a follow-up, so rename the image")
                later.setdefault((subject, scanner, session), []).append(image)
        if first := [image for image in of_both if image.path not in years]:
            scans[subject, scanner] = first
    # nothing can be a rescan of a follow-up
    one = "first" if options.repeats == "rescans" else options.repeats
    return {key: tuple(_repeats(images, one)) for key, images in later.items()}, years


def chosen_images(images: Sequence[Image], options: BidsOptions) -> list[Image]:
    """The images that `subjects` and `select` leave; `InputError` where nothing is left of what was asked for."""
    wanted_subjects = options.wanted_subjects
    if wanted_subjects is not None:
        there = {image.subject for image in images}
        for wanted in wanted_subjects:
            if wanted not in there:
                raise InputError(f"subjects: '{wanted}' has no T1w image in {options.dataset}{nearest(wanted, there)}")
    selected = [image for image in images if _selected(image, options.selection)]
    if images and not selected:
        values = (f"{entity} is {', '.join(_values(images, entity))}" for entity in options.select)
        raise InputError(
            f"select: leaves none of the {len(images)} images in {options.dataset}, of which {'; '.join(values)}"
        )
    subjects = list(dict.fromkeys(image.subject for image in selected))
    if wanted_subjects is not None:
        for wanted in wanted_subjects:
            if wanted not in subjects:
                raise InputError(
                    f"subjects: `select` leaves no T1w image of '{wanted}'; leave out or widen one of them"
                )
        subjects = wanted_subjects
    elif isinstance(options.subjects, int):
        subjects = subjects[: options.subjects]
    return [image for image in selected if image.subject in subjects]


def _values(images: Sequence[Image], entity: str) -> list[str]:
    """What an entity is in the images' names, null where it isn't there."""
    return sorted({image.entities.get(entity, "null") for image in images})


def _selected(image: Image, select: Mapping[str, tuple[str | None, ...]]) -> bool:
    return all(any(_same(image.entities.get(entity), value) for value in wanted) for entity, wanted in select.items())


def _same(found: str | None, wanted: str | None) -> bool:
    """Equal labels; numbers also with other leading zeros, as BIDS has it for an index such as the run."""
    if found is None or wanted is None:
        return found is wanted
    return found == wanted or (found.isdecimal() and wanted.isdecimal() and int(found) == int(wanted))


def _repeats(images: Sequence[Image], repeats: str) -> Sequence[Image]:
    ordered = sorted(images, key=lambda image: [(len(part), part) for part in _order(image)])
    return {"first": ordered[:1], "last": ordered[-1:]}.get(repeats, ordered)


def _order(image: Image) -> list[str]:
    return [*acquisition(image), image.path.name]


def acquisition(image: Image) -> tuple[str, ...]:
    """What an image's name says of its acquisition: session, acquisition and run, "" where it doesn't name one."""
    return tuple(image.entities.get(entity, "") for entity in ACQUISITION)


def of_one_acquisition(images: Sequence[Image]) -> tuple[Image, ...]:
    """The first of these images that are of one acquisition, in another space, say; () where each has its own."""
    for image in images:
        alike = tuple(other for other in images if acquisition(other) == acquisition(image))
        if len(alike) > 1:
            return alike
    return ()


def session_names(images: Sequence[Image]) -> list[str]:
    """What the sessions of a subject on a scanner are called, by their images in order.

    The label of the session, acquisition or run, the first of them that every image has and no two share; their
    number from 1 where there is none, as for an only image, or two runs in each of two sessions. Raises
    `InputError` for a label that can't be an id.
    """
    for entity in ACQUISITION:
        labels = [image.entities.get(entity, "") for image in images]
        if all(labels) and len(set(labels)) == len(labels) > 1:
            return [
                check_id(label, f"{image.path}: the name of a rescan by its {entity}, so rename the image")
                for label, image in zip(labels, images, strict=True)
            ]
    return [str(number) for number in range(1, len(images) + 1)]


def scanner_values(folder: Path, images: Sequence[Image], way: str) -> list[str]:
    """What `way` (see `BidsOptions.scanner`) says of each image, "" where it says nothing.

    With `one`, or no way at all, every image is from one scanner, called "scanner".
    """
    if way in ("", "one"):
        return ["scanner"] * len(images)
    if way in ("ses", "acq"):
        return [image.entities.get(way, "") for image in images]
    if way == "model":
        return models_of(folder, images)
    table, _, column = way.partition(":")
    rows = [read_rows_of(folder, image, table) for image in images]
    known = sorted({name for row in rows for name in row})
    if column not in known:
        there = f"columns: {', '.join(known)}" if known else why_no_rows(folder, images, table)
        raise InputError(f"{folder}: no column '{column}' in {table}.tsv ({there})")
    return [row.get(column, "") for row in rows]


def study_scans(options: BidsOptions, images: Sequence[Image], t2_images: Sequence[Image] = ()) -> list[BidsScan]:
    """The scans of a study by subject, one image each, a scan before its rescans, then follow-ups; T2w images beside.

    Raises `InputError` where nothing tells scanners apart, an image has no scanner, or a subject has two
    images from one scanner; with `repeats: rescans`, two of one acquisition; for a follow-up on a scanner from which
    nobody has a first scan, and two in one session; and for what `t2_beside` refuses.
    """
    folder = options.folder
    if options.scanner is None:
        raise InputError(
            f"{folder}: what tells its scanners apart? Set `scanner`; `python -m studies bids {folder}` shows what "
            "each choice would give"
        )
    found = find_scans(images, options)
    for what, ids in (("subjects", found.subjects), ("scanners", found.scanners)):
        check_told_apart((f"{folder}, {what}", value) for value in ids)
    if found.without_scanner:
        some = ", ".join(str(image.path) for image in found.without_scanner[:3])
        raise InputError(
            f"{folder}: `scanner: {options.scanner}` gives {len(found.without_scanner)} images no scanner ({some}); "
            "fill the gap, choose another way, or leave them out with `subjects` or `select`"
        )
    for (subject, scanner), repeated in found.ambiguous.items():
        names = ", ".join(str(image.path) for image in repeated)
        raise InputError(
            f"{folder}: {len(repeated)} images of {'one acquisition of ' if found.rescans else ''}subject {subject} "
            f"on scanner {scanner}: {names}; choose with "
            f"{how_to_choose(repeated, options.scanner)}"
        )
    known = {scanner for _, scanner in found.scans}
    for (subject, scanner, session), (image,) in found.follow_ups.items():
        if scanner not in known:
            raise InputError(
                f"{image.path}: session '{session}' of subject {subject} is {found.years[image.path]:.3g} years after "
                f"the first, and nobody has an image of scanner {scanner} from a first session; nothing is fitted on "
                "follow-ups, so no method would know it: leave the scanner out with `scanners`, or raise "
                "`follow_up.after`"
            )
    beside = t2_beside(found, images, t2_images, options.repeats)

    def made(image: Image, scanner: str, session: str, **kind: Any) -> BidsScan:
        t2 = folder / beside[image.path].path if image.path in beside else None
        covariates = covariates_of(folder, image)
        return BidsScan(image.subject, scanner, folder / image.path, covariates, session, t2=t2, **kind)

    scans = [
        made(image, scanner, session, rescan=number > 0)
        for (subject, scanner), repeated in found.scans.items()
        for number, (image, session) in enumerate(zip(repeated, _first_sessions(found, subject, repeated), strict=True))
    ]
    later = [
        made(image, scanner, session, time=found.years[image.path])
        for (_, scanner, session), (image,) in found.follow_ups.items()
    ]
    return sorted([*scans, *later], key=lambda scan: found.subjects.index(scan.subject))


def _first_sessions(found: Found, subject: str, images: Sequence[Image]) -> list[str]:
    """What the sessions of a subject's images of one scanner are called that are no follow-ups.

    "" where the study has no use for a name; otherwise none that one of the subject's follow-ups has.
    """
    later = {session for person, _, session in found.follow_ups if person == subject}
    if not found.rescans and not later:
        return [""] * len(images)
    return [f"first-{name}" if name in later else name for name in session_names(images)]


def t2_beside(found: Found, images: Sequence[Image], t2_images: Sequence[Image], repeats: Repeats) -> dict[Path, Image]:
    """By the path of a study's T1w image the T2w image of the same visit, for those that have one.

    It is of the same subject and session, and shares with the T1w image as much of their names as one there does. A
    T2w image with the acquisition of another of the dataset's T1w `images`, or the run of another of the study's, is
    that one's. Several that are left are refused, or the first or last of them is taken, as `repeats` says (with
    rescans the first). A T2w image that a scan and its rescans could have is the first one's. Raises `InputError` for
    one that scans of two scanners could have.
    """
    beside: dict[Path, Image] = {}
    whose: dict[Path, str] = {}
    of_study = [image for _, _, repeated in found.visits for image in repeated]
    for subject, scanner, repeated in found.visits:
        for image in repeated:
            left = of_visit(image, t2_images)
            for entity in ENTITIES:
                alike = [t2 for t2 in left if _same(t2.entities.get(entity), image.entities.get(entity))]
                others = {"acq": images, "run": of_study}.get(entity, [])
                taken = [other.entities.get(entity) for other in of_visit(image, others)]
                left = alike or [t2 for t2 in left if not any(_same(label, t2.entities.get(entity)) for label in taken)]
            if len(left) > 1 and (repeats == "refuse" or (repeats == "rescans" and of_one_acquisition(left))):
                raise InputError(
                    f"{len(left)} T2w images for {image.path}: {', '.join(str(t2.path) for t2 in left)}; move those "
                    "that aren't for use to sourcedata/, choose with `repeats: first` or `last`, or set `t2: false`"
                )
            for t2 in _repeats(left, "last" if repeats == "last" else "first"):
                if whose.setdefault(t2.path, scanner) != scanner:
                    raise InputError(
                        f"{t2.path}: is subject {subject}'s on scanner {whose[t2.path]} or {scanner}? Name its "
                        "acquisition (acq-) as that of its T1w image, or set `t2: false`"
                    )
                if t2 not in beside.values():
                    beside[image.path] = t2
    return beside


def of_visit(image: Image, others: Sequence[Image]) -> list[Image]:
    """Those of the other images that are of the same subject and session."""
    session = image.entities.get("ses")
    return [other for other in others if (other.subject, other.entities.get("ses")) == (image.subject, session)]


def how_to_choose(images: Sequence[Image], scanner: str | None) -> str:
    """The options that would choose among these images, which `scanner` takes for one scanner's."""
    repeats = "`repeats: first` or `last`" if of_one_acquisition(images) else "`repeats: first`, `last` or `rescans`"
    for entity in ENTITIES:
        values = [image.entities.get(entity) for image in images]
        if len(set(values)) == len(values):
            shown = "null" if values[0] is None else values[0]
            choice = f"`select: {{{entity}: {shown}}}`, or {repeats}"
            if entity == scanner:
                return f"a name for each {entity} in `scanners` if they are different scanners, else {choice}"
            if entity in ("ses", "acq") and scanner in (None, "one"):
                return f"`scanner: {entity}` if it tells scanners apart, else {choice}"
            return choice
    return f"{repeats}, or `scanner` by something that tells them apart"
