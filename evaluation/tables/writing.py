"""A table as Markdown, LaTeX and TSV."""

from __future__ import annotations

from pathlib import Path

from core.files import write_table, write_text
from evaluation.tables.latex import to_latex
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


def write(table: Table, folder: Path) -> list[Path]:
    """Write a table's three files; returns their paths."""
    paths = [folder / f"{table.name}.{ending}" for ending in ("tsv", "md", "tex")]
    write_table(paths[0], table.data)
    write_text(paths[1], to_markdown(table))
    write_text(paths[2], to_latex(table))
    return paths
