"""The sheet of a point of a learning curve: its training people, and the people who judge every point."""

from __future__ import annotations

from pathlib import Path

from core import folds, travelling
from core.files import write_table
from core.sheet import followed_up, moved, read_rows, rescanned


def write_draw(sheet: Path, out: Path, *, people: int, draw: int, held_out: int, seed: int) -> None:
    """Write the scans of the judged and of the first `people` of a draw; the column `fold` tells them apart.

    Rescans and follow-ups are left out.
    People are chosen by `core.travelling`. Raises `InputError` for more people than there are.
    """
    table = read_rows(sheet)
    table = table[~(rescanned(table) | followed_up(table))]
    everyone = travelling.travelling(zip(table["subject"], table["scanner"], strict=True))
    judged, pool = travelling.divided(everyone, held_out, seed=seed)
    learned = travelling.drawn(pool, people, draw, seed=seed)
    fold_of = dict.fromkeys(judged, travelling.JUDGED) | dict.fromkeys(learned, travelling.LEARNED)
    chosen = table[table["subject"].isin(fold_of)].copy()
    for column in chosen.columns:
        chosen[column] = [moved(column, cell, sheet.parent, out.parent) for cell in chosen[column]]
    chosen[folds.COLUMN] = chosen["subject"].map(fold_of)
    write_table(out, chosen)
