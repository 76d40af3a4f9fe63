"""A table as Markdown, LaTeX and TSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.files import write_table, write_text
from evaluation.tables.layout import Entry, Table


def to_markdown(table: Table) -> str:
    """A table as Markdown: a heading, a grid a panel, the notes."""

    def cell(content: str | Entry) -> str:
        if isinstance(content, Entry):
            mean = f"**{content.mean}**" if content.best else content.mean
            star = r"\*" if content.star else ""
            return f"{mean}{content.spread}{star}{content.n}"
        return content.replace("|", r"\|")

    lines = [f"### {table.title}", ""]
    for panel in table.panels:
        if len(table.panels) > 1:
            lines += [f"#### {panel.title}", ""]
        lines.append(f"| {' | '.join(map(cell, panel.header))} |")
        lines.append(f"| {' | '.join(['---'] * len(panel.header))} |")
        lines += [f"| {' | '.join(map(cell, row))} |" for row in panel.rows]
        lines.append("")
    for note in table.notes:
        lines += [note.replace("*", r"\*"), ""]
    return "\n".join(lines)


def to_latex(table: Table) -> str:
    """A table as LaTeX; needs the package booktabs."""

    def cell(content: str | Entry) -> str:
        if isinstance(content, Entry):
            mean = rf"\textbf{{{content.mean}}}" if content.best else content.mean
            return f"{mean}{content.spread}{'$^{*}$' if content.star else ''}{content.n}"
        return latex(content)

    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(table.title)}}}"]
    for panel in table.panels:
        if len(table.panels) > 1:
            lines.append(rf"\par\medskip {latex(panel.title)}\par\smallskip")
        texts = "l" * _text_columns(panel.header)
        lines.append(rf"\begin{{tabular}}{{{texts}{'r' * (len(panel.header) - len(texts))}}}")
        lines += [r"\toprule", " & ".join(map(cell, panel.header)) + r" \\", r"\midrule"]
        lines += [" & ".join(map(cell, row)) + r" \\" for row in panel.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [r"\par\medskip\footnotesize", *[latex(note) + r"\par" for note in table.notes], r"\end{table}"]
    return "\n".join(lines) + "\n"


def _text_columns(header: Sequence[str]) -> int:
    """How many columns are text: those before n, which numbers follow; all where there is no n."""
    return list(header).index("n") if "n" in header else len(header)


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
}


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def write(table: Table, folder: Path) -> list[Path]:
    """Write a table's three files; returns their paths."""
    paths = [folder / f"{table.name}.{ending}" for ending in ("tsv", "md", "tex")]
    write_table(paths[0], table.data)
    write_text(paths[1], to_markdown(table))
    write_text(paths[2], to_latex(table))
    return paths
