"""How MISPEL's losses fell while it was trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun

TITLE = "MISPEL's training"
TOPIC = "Training"
CAPTION = (
    "MISPEL's losses by epoch, as means over the epoch's batches, on the study's intensity scale (logarithmic axis). "
    "Step 1 learns embeddings and decoders by the reconstruction and the coupling loss (Eq. 2 to 4); Step 2 trains the "
    "decoders alone by the reconstruction and the harmonization loss (Eq. 2, 5, 6)."
)
LOSSES = {
    "reconstruction": "reconstruction (Eq. 2)",
    "coupling": "coupling (Eq. 3)",
    "harmonization": "harmonization (Eq. 5)",
    "total": "weighted total (Eq. 4, 6)",
}
NOT_LOSSES = frozenset({"step", "epoch", "fold", "seconds"})
LINES: tuple[style.Line, ...] = ("-", "--", "-.", ":")


@style.styled
def plot(
    trainings: Sequence[tuple[str, pd.DataFrame]], *, simulated: bool = False, notes: Sequence[str] = ()
) -> style.Page:
    """Draw a row of panels a training, a panel a step, a line a loss.

    Each table has the columns `step`, `epoch` and losses (any other numeric column); `trainings` gives
    them with their names.
    """
    steps = sorted({step for _, table in trainings for step in table["step"].unique()})
    names = list(dict.fromkeys(name for _, table in trainings for name in losses_in(table)))
    looks = {
        name: style.Look(style.PALETTE[place % 10], line=LINES[place % len(LINES)]) for place, name in enumerate(names)
    }
    on = medium()
    figure = style.page(
        TITLE,
        height=len(trainings) * (on.panel_height(2.5, len(trainings)) or on.scaled(1.6)),
        simulated=simulated,
        notes=notes,
        legend={LOSSES.get(name, name.replace("_", " ")): look for name, look in looks.items()},
    )
    grid = figure.subplots(len(trainings), len(steps), squeeze=False)
    for row, (training, table) in enumerate(trainings):
        for column, step in enumerate(steps):
            axis = grid[row, column]
            part = table[table["step"] == step]
            drawn = False
            for name in names:
                if name not in part:
                    continue
                values = part[name].to_numpy(dtype=float)
                positive = np.isfinite(values) & (values > 0)
                if positive.any():
                    drawn = True
                    axis.plot(
                        part["epoch"].to_numpy()[positive],
                        values[positive],
                        linestyle=looks[name].line,
                        marker="o" if positive.sum() <= 30 else None,
                        markersize=2.5,
                        linewidth=1.5,
                        color=looks[name].color,
                    )
            if drawn:
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_locator(NullLocator())
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            else:
                axis.text(0.5, 0.5, "not recorded", transform=axis.transAxes, ha="center", color=style.QUIET)
            axis.set_xlabel("epoch")
            if column == 0:
                axis.set_ylabel("loss (on the study's scale)")
            title = f"{training}, step {step}" if len(trainings) > 1 else f"step {step}"
            room = on.width / len(steps) - on.scaled(0.7)
            axis.set_title(style.fit_lines(title, room, 2, on.text + 0.5, "bold"))
    return figure


def losses_in(table: pd.DataFrame) -> list[str]:
    """The columns of a table of losses that hold losses."""
    return [name for name in table.columns if name not in NOT_LOSSES and pd.api.types.is_numeric_dtype(table[name])]


def make(run: FinishedRun) -> style.Page | None:
    """Draw every `losses.tsv` under `models/`; nothing where there is none."""
    trainings = [
        (name, table)
        for name, table in ((name, run.table(str(path))) for name, path in run.model_files("losses.tsv"))
        if table is not None and not table.empty
    ]
    if not trainings:
        return None
    return plot(trainings, simulated=run.simulated, notes=run.notes())
