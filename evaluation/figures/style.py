"""The one visual style: colors, sizes, the page around a figure, and how it is saved.

A method has one color wherever it appears; the palette is seaborn's `colorblind` (Okabe and Ito's
idea), and from the eleventh method on a hatch tells equal colors apart. A page is a header (title,
the mark "simulated", legend), the panels, and a footnote, with heights in inches, so that nothing can
run into anything however many names there are and however long they get. On a paper's page title, mark and
footnote are left to the caption (`evaluation.figures.media`).
"""

from __future__ import annotations

import functools
import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import matplotlib.patches
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from core.files import write_beside
from evaluation.figures.media import Medium, medium

DPI = 160
PAPER_DPI = 300
PALETTE = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#fbafe4",
    "#949494",
    "#ece133",
    "#56b4e9",
)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")
MARKERS = dict(zip(HATCHES, "osD^v", strict=True))
"""What stands for a hatch where an arm is a dot."""

FIXED = {"raw": 7, "mispel": 0, "whitestripe": 1, "ravel": 2}
"""Places in the palette that belong to the paper's four arms in every run."""

INK = "#222222"
QUIET = "#6b6b6b"
WARNING = "#9a3b00"

TITLE_SIZE = 11.0
FOOTNOTE_CHARACTER = 0.0555
"""Width of an average character of the footnote in inches, on the safe side."""

WHITE_GRID = {
    "axes.axisbelow": True,
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.spines.bottom": True,
    "axes.spines.left": True,
    "axes.spines.right": True,
    "axes.spines.top": True,
    "figure.facecolor": "white",
    "grid.linestyle": "-",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "xtick.bottom": False,
    "xtick.color": ".15",
    "xtick.direction": "out",
    "xtick.top": False,
    "ytick.color": ".15",
    "ytick.direction": "out",
    "ytick.left": False,
    "ytick.right": False,
}
"""Seaborn's `whitegrid`; to import seaborn for it and the palette took as long as drawing three figures."""


def settings(on: Medium) -> dict[Any, Any]:
    """Matplotlib's settings for a medium."""
    return {
        **WHITE_GRID,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": on.text,
        # or a layout would be solved again while saving, and drawn once more for that
        "figure.autolayout": False,
        "figure.constrained_layout.use": False,
        # a dollar in somebody's label is a dollar; a logarithmic axis needs a number format of its own, since
        # matplotlib's is written in dollars
        "text.parse_math": False,
        # hinted type has other widths at other resolutions, and the page is laid out at only one
        "text.hinting": "none",
        "axes.labelsize": on.text,
        "axes.titlesize": on.text + 0.5,
        "axes.titleweight": "bold",
        "xtick.labelsize": on.text,
        "ytick.labelsize": on.small,
        "xtick.major.pad": on.scaled(3.5),
        "ytick.major.pad": on.scaled(3.5),
        "axes.labelpad": on.scaled(4.0),
        "legend.fontsize": on.text,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": "#b0b0b0",
        "axes.linewidth": 0.7,
        "grid.color": "#e4e4e4",
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.6,
        "svg.hashsalt": "mispel-benchmark",
        # fonts as TrueType, which journals ask for, not as the default's Type 3
        "pdf.fonttype": 42,
    }


SIMULATED = "Simulated data."

Line = Literal["", "-", "--", "-.", ":"]
"""How matplotlib draws a line; empty for what isn't one."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def styled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a plotting function under the one style, leaving matplotlib's settings as they were."""

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with matplotlib.rc_context(settings(medium())):
            return function(*args, **kwargs)

    return wrapper


@dataclass(frozen=True)
class Look:
    """How a method is drawn: a color, and a hatch where colors have run out."""

    color: str
    hatch: str = ""
    line: Line = ""
    """A line's style, for what is drawn as a line."""
    dot: bool = False
    """Whether it is drawn as a dot, whose shape then stands for the hatch."""

    @property
    def marker(self) -> str:
        """The shape of its dot."""
        return MARKERS[self.hatch]


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """The look of every method of a run, by id; no two are alike for up to 46 methods."""
    free = [place for place in range(len(PALETTE)) if place not in FIXED.values()]
    found: dict[str, Look] = {}
    others = 0
    for arm in arms:
        if arm in FIXED:
            found[arm] = Look(PALETTE[FIXED[arm]])
        else:
            # the four fixed colors come back only with a hatch
            places = [(place, "") for place in free] + [
                (place, hatch) for hatch in HATCHES[1:] for place in range(len(PALETTE))
            ]
            place, hatch = places[others % len(places)]
            found[arm] = Look(PALETTE[place], hatch)
            others += 1
    return found


def shorten(name: str, longest: int) -> str:
    """Cut the middle out of a name longer than `longest` characters."""
    if len(name) <= longest:
        return name
    kept = max(longest - 1, 2)
    return name[: (kept + 1) // 2] + "…" + name[len(name) - kept // 2 :]


def wrap(name: str, characters: int, lines: int) -> str:
    """Break a name into at most `lines` lines of at most `characters`, shortening it where it must be."""
    characters = max(characters, 3)
    broken: list[str] = []
    for part in name.split("\n"):
        broken += textwrap.wrap(part, characters, break_long_words=True) or [""]
    if len(broken) > lines:
        broken = [*broken[: lines - 1], shorten("".join(broken[lines - 1 :]), characters)]
    return "\n".join(broken)


@functools.cache
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of type in inches."""
    font = FontProperties(family="DejaVu Sans", weight=weight)
    return TextPath((0, 0), text, size=size, prop=font).get_extents().width / 72 if text.strip() else 0.0


def fit_lines(name: str, inches: float, lines: int, size: float, weight: str = "normal") -> str:
    """Break a name into at most `lines` lines that fit into `inches`, shortening it where it must be.

    A line keeps at least three characters, however narrow the place.
    """

    def fits(text: str) -> bool:
        return all(text_width(line, size, weight) <= inches for line in text.split("\n"))

    if name.count("\n") < lines and fits(name):
        return name
    tries = range(max(3, min(len(name), int(inches / (0.3 * size / 72)))), 2, -1)
    broken = (wrap(name, characters, lines) for characters in tries)
    return next((text for text in broken if fits(text)), wrap(name, 3, lines))


def fit(names: Sequence[str], inches: float, size: float) -> tuple[list[str], int]:
    """Texts for labels that have `inches` of width each, and the angle (0 or 90) to write them at."""
    room = inches - 0.06
    widest = max((text_width(word, size) for name in names for word in name.split()), default=0.0)
    if widest <= room or room > 0.7:
        return [fit_lines(name, room, 3, size) for name in names], 0
    lines = max(1, min(2, int(inches / (size * 1.35 / 72))))
    return [wrap(name.replace("\n", " "), 22, lines) for name in names], 90


def set_group_labels(axis: Axes, places: Sequence[float] | np.ndarray, names: Sequence[str], inches: float) -> None:
    """Label places on the x axis, wrapped or turned so that neighbors `inches` apart don't touch."""
    size = medium().small
    texts, angle = fit(names, inches, size)
    axis.set_xticks(places, texts, rotation=angle, fontsize=size)


class Page(Figure):
    """A figure with what is said of it."""

    heading: str
    sentences: list[str]
    """What stands in the footnote."""

    caption: str = ""
    """What is printed under it, where that isn't its module's `CAPTION`."""

    dots: list[tuple[Axes, Sequence[str], np.ndarray, np.ndarray]]
    """Where people's dots are: a panel, whose they are, and their places on its axes."""

    def places_of_people(self) -> dict[str, list[list[float]]]:
        """By person where their dots are in the settled picture: shares of its width, and of its height from above."""
        found: dict[str, list[list[float]]] = {}
        for axis, names, x, y in self.dots:
            shares = axis.transData.transform(np.column_stack([x, y])) / [self.bbox.width, self.bbox.height]
            for name, (across, up) in zip(names, shares.tolist(), strict=True):
                found.setdefault(name, []).append([round(across, 4), round(1 - up, 4)])
        return found

    def in_words(self, caption: str) -> str:
        """What is printed under a paper's figure: the title, its module's caption or its own, and the footnote."""
        simulated = [sentence for sentence in self.sentences if sentence == SIMULATED]
        others = [sentence for sentence in self.sentences if sentence != SIMULATED]
        words = " ".join([*simulated, f"{self.heading.rstrip('.')}.", self.caption or caption, *others])
        return textwrap.fill(words, 100) + "\n"


def page(
    title: str,
    *,
    height: float,
    simulated: bool,
    notes: Sequence[str] = (),
    legend: Mapping[str, Look] | None = None,
    width: float | None = None,
) -> Page:
    """A page with `height` inches for its panels, which are the figure's subplots, as wide as its medium or `width`.

    `legend` maps names to looks; `notes` are sentences for the footnote.
    """
    on = medium()
    width = width or on.width
    sentences = ([SIMULATED] if simulated else []) + [note for note in notes if note]
    footnote = textwrap.wrap(" ".join(sentences), int((width - 0.2) / FOOTNOTE_CHARACTER)) if on.titled else []
    names = {wrap(name, 40, 1): look for name, look in (legend or {}).items()}
    columns, rows = legend_grid(list(names), width)
    mark = "simulated" if simulated and on.titled else ""
    room = width - 0.4 - text_width(mark, on.text, "bold")
    heading = fit_lines(title, room, 3, TITLE_SIZE, "bold").split("\n") if on.titled else []
    header = (0.14 if heading else 0.02) + 0.21 * len(heading) + on.scaled(0.166 * rows + (0.1 if rows else 0))
    footer = 0.12 + 0.145 * len(footnote) if on.titled else 0.02
    total = header + height + footer
    panels = ConstrainedLayoutEngine(rect=(0, footer / total, 1, height / total), w_pad=on.gap)
    figure = Page(figsize=(width, total), dpi=DPI, layout=panels, facecolor="white")
    figure.heading, figure.sentences, figure.dots = title, sentences, []
    if heading:
        figure.text(0.1 / width, 1 - 0.07 / total, "\n".join(heading), fontsize=TITLE_SIZE, weight="bold", va="top")
    if mark:
        figure.text(
            1 - 0.14 / width,
            1 - 0.1 / total,
            mark,
            fontsize=on.text,
            weight="bold",
            color=WARNING,
            va="top",
            ha="right",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": WARNING, "linewidth": 0.8},
        )
    if names:
        figure.legend(
            handles=[_legend_handle(name, look) for name, look in names.items()],
            loc="lower left",
            bbox_to_anchor=(0.04 / width, 1 - header / total),
            ncols=columns,
            frameon=False,
            borderaxespad=0.1,
            handlelength=1.4 if not any(look.line for look in names.values()) else 2.4,
            columnspacing=1.4,
            labelspacing=0.35,
        )
    if footnote:
        place = (footer - 0.06) / total
        figure.text(0.1 / width, place, "\n".join(footnote), fontsize=on.small, color=QUIET, va="top", linespacing=1.3)
    return figure


def nothing_to_draw(title: str, what: str, *, simulated: bool, notes: Sequence[str]) -> Page:
    """A page with a sentence that says what the run lacks."""
    figure = page(title, height=1.0, simulated=simulated, notes=notes)
    axis = figure.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, what, ha="center", va="center", color=QUIET, transform=axis.transAxes)
    return figure


def _legend_handle(name: str, look: Look) -> matplotlib.patches.Patch | Line2D:
    if look.line:
        return Line2D([], [], color=look.color, linestyle=look.line, linewidth=1.5, label=name)
    if look.dot:
        return Line2D([], [], color=look.color, linestyle="", marker=look.marker, label=name)
    return matplotlib.patches.Patch(facecolor=look.color, hatch=look.hatch, edgecolor="white", linewidth=0, label=name)


def legend_grid(names: Sequence[str], width: float) -> tuple[int, int]:
    """Columns and rows of a legend in `width` inches, filled column by column, as wide as fits."""
    on = medium()
    widths = [text_width(name, on.text) + on.scaled(0.5) for name in names]
    for columns in range(len(names), 1, -1):
        rows = -(-len(names) // columns)
        # matplotlib makes the first columns one longer where the names don't fill the grid
        longer = len(names) - columns * (rows - 1)
        sizes = [rows] * longer + [rows - 1] * (columns - longer)
        edges = np.cumsum([0, *sizes])
        if sum(max(widths[start:stop]) for start, stop in itertools.pairwise(edges)) <= width - 0.2:
            return columns, rows
    return min(len(names), 1), len(names)


def by_rule(title: str, rule: str) -> str:
    """A title that says by which rule a voxel counts as a tissue, where it is known."""
    return f"{title} ({rule})" if rule else title


def counted(counts: Sequence[int] | np.ndarray, what: str) -> str:
    """A sentence for the footnote: n = 18 subjects, or n = 16 to 18 subjects."""
    counts = [int(count) for count in counts if count]
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f"n = {low} {what}." if low == high else f"n = {low} to {high} {what}, as given."


def settle(figure: Figure) -> None:
    """Give the panels their final places.

    They are rounded, since the layout's solver repeats only to the last digits, which an SVG's ids
    would show.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)
    for axis in figure.axes:
        axis.set_position(np.round(axis.get_position(original=True).bounds, 4))


@styled
def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as its medium has it; the same figure gives the same bytes.

    The report's are `folder/name.png` and `.svg`, a paper's `name_column.pdf` and `.png` or `name_page.pdf` and
    `.png`, the latter with 300 points an inch.
    """
    on = medium()
    settle(figure)
    dpi, kinds = (DPI, ("png", "svg")) if on.titled else (PAPER_DPI, ("pdf", "png"))
    paths = []
    for kind in kinds:
        path = folder / f"{name if on.titled else f'{name}_{on.name}'}.{kind}"
        with write_beside(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=dpi, metadata=METADATA[kind])
        paths.append(path)
    return paths


METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What would tell of the day and of matplotlib's version, left out."""
