"""A table as LaTeX in the paper's look, no wider than a column or a page of it.

The packages it needs are array, booktabs and multirow. A column's width is what its text takes in Computer Modern,
LaTeX's own type; other types of a paper are narrower or about as wide.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import ImageFont

from evaluation.tables.layout import Entry, Panel, Table

COLUMN, PAGE, TALLEST = 238.0, 505.0, 640.0
"""Widths of a column and of a page of the paper (3.3 and 7 inches), and the height of a page (8.9), in points."""

GAP = 6.0
"""Points between two columns, twice LaTeX's \\tabcolsep."""

NARROWEST = 60.0
"""Points that a column of wrapped text needs."""

NUMBERS = "n"
"""The header of the column where numbers begin; what stands before it is text, and so is all where there is none."""


@dataclass(frozen=True)
class Size:
    """A size of type: its command, the type's size and distance of lines in points, how much wider it is cut.

    Computer Modern's smaller designs are wider than scaled ones (its digits are 0.5, 0.514, 0.531 and 0.569 em).
    """

    command: str
    points: float
    skip: float
    wider: float


SIZES = (
    Size(r"\small", 9, 11, 1.028),
    Size(r"\footnotesize", 8, 9.5, 1.063),
    Size(r"\scriptsize", 7, 8, 1.139),
)
NOTES = SIZES[1]
SPARE = 4.0
"""Points of a width that are left, since what LaTeX sets was seen to be up to 1 point wider than is foretold."""

RULE = 7.0
"""Points that a rule and the space around it take."""

BOLD = 1.15
"""How much wider bold type is."""

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "…": r"\ldots{}",
    "–": "--",
}


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(character, character) for character in text)


@functools.cache
def text_width(text: str, size: Size) -> float:
    """Width of a line of text in points, without kerning, which would make it narrower."""
    # what the font file has in another place is as wide as these
    known = text.translate({ord("<"): "=", ord(">"): "=", ord("_"): "0", ord("–"): "0", ord("…"): "m"})
    return _font().getlength(known) / 1000 * size.points * size.wider


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Computer Modern Roman as matplotlib brings it."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/cmr10.ttf", 1000)


def cell(content: str | Entry) -> str:
    """A cell's LaTeX: the mean, bold where it is the best, with spread, star and n."""
    if isinstance(content, Entry):
        mean = rf"\textbf{{{latex(content.mean)}}}" if content.best else latex(content.mean)
        return f"{mean}{latex(content.spread)}{'$^{*}$' if content.star else ''}{latex(content.n)}"
    return latex(content)


def cell_width(content: str | Entry, size: Size) -> float:
    """Width of a cell in points."""
    if isinstance(content, Entry):
        mean = text_width(content.mean, size) * (BOLD if content.best else 1)
        return mean + text_width(f"{content.spread}{'*' if content.star else ''}{content.n}", size)
    return text_width(content, size)


@dataclass(frozen=True)
class Grid:
    """A panel, or so many of its columns as a page takes, as it is set: `wrapped` holds the widths of columns of text
    that are broken into lines, by place, and `heads` the lines of each header."""

    title: str
    heads: Sequence[Sequence[str]]
    rows: Sequence[Sequence[str | Entry]]
    texts: int
    widths: Sequence[float]
    wrapped: dict[int, float]
    size: Size
    page: bool

    @property
    def width(self) -> float:
        """Its least width in points."""
        return sum(self.widths) + GAP * (len(self.widths) - 1)

    @property
    def spanned(self) -> bool:
        """Whether the title stands over the numbers, as the paper's tables have it."""
        numbers = self.widths[self.texts + 1 :]
        room = sum(numbers) + GAP * (len(numbers) - 1)
        return len(numbers) > 1 and bool(self.title) and text_width(self.title, self.size) <= room

    @property
    def merged(self) -> bool:
        """Whether equal cells of the first column are one, as the paper's tissues are."""
        return self.texts > 1 and any(one[0] == other[0] for one, other in itertools.pairwise(self.rows))

    @property
    def head_height(self) -> float:
        """Height in points of rules, heads and what stands over them."""
        return 4 * RULE + self.size.skip * (max(map(len, self.heads)) + bool(self.title))

    def heights(self) -> list[float]:
        """The height of each row with the rule above it, if it begins a group."""
        above: Sequence[Sequence[str | Entry]] = [*self.rows[:1], *self.rows]
        ruled = [self.merged and one[0] != other[0] for one, other in zip(above, self.rows, strict=False)]
        return [self.row_height(row) + RULE * rule for row, rule in zip(self.rows, ruled, strict=True)]

    def row_height(self, row: Sequence[str | Entry]) -> float:
        """Height of a row in points."""
        lines = [-(-cell_width(row[place], self.size) * 1.15 // width) for place, width in self.wrapped.items()]
        return self.size.skip * max([1.0, *lines])

    def lines(self, rows: Sequence[Sequence[str | Entry]]) -> Iterator[str]:
        """The LaTeX of some of its rows."""
        aligned = ["l"] * self.texts + ["r"] * (len(self.heads) - self.texts)
        for place, width in self.wrapped.items():
            aligned[place] = rf">{{\raggedright\arraybackslash}}p{{{int(width)}pt}}"
        if self.title and not self.spanned:
            yield rf"\par\smallskip {latex(self.title)}\par\smallskip"
        wide = r"\textwidth" if self.page else r"\columnwidth"
        yield rf"\begin{{tabular*}}{{{wide}}}{{@{{\extracolsep{{\fill}}}}{''.join(aligned)}@{{}}}}"
        yield r"\toprule"
        if self.spanned:
            start, end = self.texts + 2, len(self.heads)
            yield "& " * (start - 1) + rf"\multicolumn{{{end - start + 1}}}{{c}}{{{latex(self.title)}}} \\"
            yield rf"\cmidrule{{{start}-{end}}}"
        yield " & ".join(map(_head, self.heads, aligned)) + r" \\"
        yield r"\midrule"
        groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0])]
        for number, group in enumerate(groups):
            if self.merged and number:
                yield r"\midrule"
            for place, row in enumerate(group):
                first = self._cell(row, 0)
                if self.merged and place:
                    first = ""
                elif self.merged and self.row_height(row) <= len(group) * self.size.skip:
                    wide, ragged = ("=", r"\raggedright ") if 0 in self.wrapped else ("*", "")
                    first = rf"\multirow{{{len(group)}}}{{{wide}}}{{{ragged}{first}}}"
                yield " & ".join([first, *(self._cell(row, column) for column in range(1, len(row)))]) + r" \\"
        yield r"\bottomrule"
        yield r"\end{tabular*}"

    def _cell(self, row: Sequence[str | Entry], place: int) -> str:
        """A cell's LaTeX, where it is broken into lines after underscores too."""
        text = cell(row[place])
        return text.replace(r"\_", r"\_\allowbreak{}") if place in self.wrapped else text


def _head(lines: Sequence[str], aligned: str) -> str:
    if len(lines) == 1 or "p{" in aligned:
        return latex(" ".join(lines))
    return rf"\begin{{tabular}}[b]{{@{{}}{aligned}@{{}}}}" + r"\\".join(map(latex, lines)) + r"\end{tabular}"


def grids(panel: Panel) -> list[Grid]:
    """How a panel is set: in a column if it fits in the middle size, else on a page, or in blocks of columns."""
    tries = [(size, COLUMN, False) for size in SIZES[:2]] + [(size, PAGE, False) for size in SIZES[:2]]
    tries += [(size, PAGE, True) for size in SIZES[:2]] + [(SIZES[2], PAGE, False), (SIZES[2], PAGE, True)]
    for size, width, wrap in tries:
        found = _fitted(panel, panel.header, panel.rows, size, width, wrap=wrap)
        if found:
            return [found]
    first, size = _repeated(panel), SIZES[1]
    numbers = range(first, len(panel.header))
    cells = (max((cell_width(row[place], size) for row in panel.rows), default=0.0) for place in numbers)
    narrowest = min(cells, default=PAGE)
    for count in range(min(len(numbers), int(PAGE / (narrowest + GAP))), 0, -1):
        blocks: list[Grid] = []
        for start in numbers[::count]:
            some = _some_columns(panel, range(start, min(start + count, len(panel.header))))
            block = _fitted(panel, *some, size, PAGE, wrap=True)
            if block is None:
                break
            blocks.append(block)
        else:
            return blocks
    raise ValueError(f"a column of the table '{panel.title}' is wider than a page")


def _some_columns(panel: Panel, chosen: range) -> tuple[list[str], list[list[str | Entry]]]:
    """A panel's header and rows with the columns of text, n, and some of the others."""
    places = [*range(_repeated(panel)), *chosen]
    return [panel.header[place] for place in places], [[row[place] for place in places] for row in panel.rows]


def _texts(panel: Panel) -> int:
    """How many columns are text: those before n, which numbers follow; without n those before the first of numbers."""
    if NUMBERS in panel.header:
        return list(panel.header).index(NUMBERS)
    places = range(len(panel.header))
    numbers = (place for place in places if panel.rows and all(isinstance(row[place], Entry) for row in panel.rows))
    return next(numbers, len(panel.header))


def _repeated(panel: Panel) -> int:
    """How many columns each block has: those of text, and n."""
    return _texts(panel) + (NUMBERS in panel.header)


def _fitted(
    panel: Panel,
    header: Sequence[str],
    rows: Sequence[Sequence[str | Entry]],
    size: Size,
    width: float,
    *,
    wrap: bool,
) -> Grid | None:
    """A grid no wider than `width`, with `wrap` by breaking its texts into lines; None where there is none."""
    texts = _texts(panel)
    bodies = [max((cell_width(row[place], size) for row in rows), default=0.0) for place in range(len(header))]
    heads = [_broken(head, body, size) for head, body in zip(header, bodies, strict=True)]
    widths = [max(body, *(text_width(line, size) for line in head)) for body, head in zip(bodies, heads, strict=True)]
    room = width - SPARE - GAP * (len(widths) - 1)
    wrapped: dict[int, float] = {}
    if sum(widths) > room:
        least = [max(NARROWEST, *(_longest_word(row[place], size) for row in rows)) for place in range(texts)]
        wrapped = _wrapped(widths[:texts], least, room - sum(widths[texts:])) if wrap else {}
        if not wrapped:
            return None
    widths = [wrapped.get(place, natural) for place, natural in enumerate(widths)]
    return Grid(panel.title, heads, rows, texts, widths, wrapped, size, page=width == PAGE)


def _longest_word(content: str | Entry, size: Size) -> float:
    """Width of what can't be broken in a cell of text."""
    return max((cell_width(word, size) for word in re.findall(r"[^\s_]+_?", str(content))), default=0.0)


def _wrapped(widths: Sequence[float], least: Sequence[float], room: float) -> dict[int, float]:
    """The widths of columns of text that are broken into lines, by place; none if they'd be too narrow.

    They are the widest, all of one width, so many that none that isn't broken is wider. `least` is what each needs.
    """
    widest = sorted(range(len(widths)), key=lambda place: -widths[place])
    for count in range(1, len(widths) + 1):
        share = (room - sum(widths[place] for place in widest[count:])) / count
        needed = [*(least[place] for place in widest[:count]), *(widths[place] for place in widest[count:])]
        if share >= max(needed):
            return dict.fromkeys(widest[:count], share)
    return {}


def _broken(head: str, inches: float, size: Size) -> list[str]:
    """A header in lines as wide as its column's cells, or as its longest word."""
    words = head.split()
    widest = max([inches, *(text_width(word, size) for word in words)])
    lines: list[str] = []
    for word in words:
        if lines and text_width(f"{lines[-1]} {word}", size) <= widest:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def to_latex(table: Table) -> str:
    """A table as LaTeX, on as many floats as pages that it takes.

    (longtable, which breaks over pages itself, can't be used in two columns.)
    """
    found = [grid for panel in table.panels for grid in grids(panel)]
    page = any(grid.page for grid in found)
    floats: list[list[str]] = [[]]
    left = TALLEST - _caption_height(table, page)

    def turn() -> float:
        floats.append([])
        return TALLEST - 30

    for grid in found:
        rows, heights = list(grid.rows), grid.heights()
        while rows:
            total = list(itertools.accumulate(heights, initial=grid.head_height))
            fitting = sum(height <= left for height in total[1:])
            if fitting < min(len(rows), 3) and floats[-1]:
                left = turn()
                continue
            fitting = max(fitting, 1)
            floats[-1] += [rf"{{{grid.size.command}", *grid.lines(rows[:fitting]), r"\par\medskip}"]
            left -= total[fitting] + RULE
            rows, heights = rows[fitting:], heights[fitting:]
    notes = [rf"{latex(note)}\par" for note in table.notes]
    for note, line in zip(table.notes, notes, strict=True):
        high = NOTES.skip * -(-text_width(note, NOTES) // (PAGE if page else COLUMN))
        if high > left:
            left = turn()
        floats[-1].append(rf"{{{NOTES.command}\raggedright {line}}}")
        left -= high
    kind = "table*" if page else "table"
    return "\n".join(line for number, body in enumerate(floats) for line in _float(table, kind, body, number))


def _caption_height(table: Table, page: bool) -> float:
    return 24 + 12 * -(-text_width(table.title, SIZES[0]) // (PAGE if page else COLUMN))


def _float(table: Table, kind: str, body: Sequence[str], number: int) -> list[str]:
    """A float with the table's caption; further ones keep its number."""
    caption = rf"\caption{{{latex(table.title)}}}" + rf"\label{{tab:{table.name}}}"
    again = r"\addtocounter{table}{-1}" + rf"\caption{{{latex(table.title)} (continued)}}"
    return [
        rf"\begin{{{kind}}}",
        r"\centering",
        again if number else caption,
        rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
        *body,
        rf"\end{{{kind}}}",
        "",
    ]
