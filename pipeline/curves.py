"""The course of a training, as a table and as a picture. Fits nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.files import replacing
from pipeline.fitting import Row

DIGITS = 6  # of the numbers in the table


def table_of(phases: dict[str, list[Row]]) -> pd.DataFrame:
    """One row an epoch: phase, epoch within it, step over all, and the numbers."""
    parts = [
        pd.DataFrame(rows).assign(phase=phase, epoch=np.arange(1, len(rows) + 1)) for phase, rows in phases.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(step=np.arange(1, len(table) + 1))


def gap(row: Row) -> float:
    """How much more often training images are recognised than validation images; over 0: overfitting."""
    return row["train_accuracy"] - row["val_accuracy"]


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Loss, accuracy, and their gap, of every epoch, training and validation; a line where a phase begins."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    steps = np.arange(1, len(curves) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        train, val = curves[f"train_{metric}"], curves[f"val_{metric}"]
        axes.plot(steps, train, label="training")
        axes.plot(steps, val, label="validation")
        axes.fill_between(steps, train, val, color="grey", alpha=0.15, label="gap")
        for start in np.flatnonzero(curves["phase"].ne(curves["phase"].shift())):
            axes.axvline(start + 1, color="grey", linewidth=0.8)
            side = "left" if start < len(steps) / 2 else "right"
            axes.text(
                start + 1, axes.get_ylim()[1], f" {curves['phase'].iloc[start]} ", va="top", ha=side, color="grey"
            )
        axes.set(xlabel="epoch", title=metric)
        axes.legend()
    return figure


def write_curves(curves: pd.DataFrame, table: Path, figure: Path) -> None:
    """The curves as numbers and as a picture."""
    with replacing(table) as beside:
        curves.round(DIGITS).to_csv(beside, index=False)
    with replacing(figure) as beside:
        draw_curves(curves).savefig(beside)
