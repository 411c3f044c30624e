"""How a training came about, as a table and as a picture. Knows epochs, not networks.

Columns: `step`, `phase`, `epoch`, `objective` (the mean loss of the steps, with all random changes), and after each
epoch, on images without any, `train_*` (a sample) and `val_*`, and `gap_*`, how much worse validation images fare.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.storage.files import replacing

NAMES = {"train": "training", "val": "validation"}


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Loss and accuracy of every epoch, the gap between training and validation shaded; a line where a phase begins."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    steps = np.arange(1, len(curves) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, name in NAMES.items():
            axes.plot(steps, curves[f"{split}_{metric}"], label=name)
        axes.fill_between(
            steps, curves[f"train_{metric}"], curves[f"val_{metric}"], color="grey", alpha=0.2, linewidth=0, label="gap"
        )
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
        curves.to_csv(beside, index=False)
    with replacing(figure) as beside:
        draw_curves(curves).savefig(beside)
