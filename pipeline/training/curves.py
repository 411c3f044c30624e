"""The learning curves of a training, as a table and as a figure. Knows judgements, not networks.

A row is a judgement on the validation images: one an epoch, several in fine-tuning, one of a head that a formula
gives. Columns: `step` (the row), `phase`; within the phase `judgement` (counted from 1), `steps` of gradient descent so
far and `epoch`, passes over the training images so far; `objective` (the mean loss of the steps since the last
judgement, with all random changes); measured without random changes: `train_*` (a sample), `val_*`, and `gap_*`, how
much worse the validation images are. Of an ensemble also `network`, counted from 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.storage.files import replacing

NAMES = {"train": "training", "val": "validation"}


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Loss and accuracy of every judgement, the train-validation gap shaded; a line where a phase begins."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    steps = np.arange(1, len(curves) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, name in NAMES.items():
            axes.plot(steps, curves[f"{split}_{metric}"], label=name)
        axes.fill_between(
            steps, curves[f"train_{metric}"], curves[f"val_{metric}"], color="grey", alpha=0.2, linewidth=0, label="gap"
        )
        names = _phases(curves)
        for start in np.flatnonzero(names.ne(names.shift())):
            axes.axvline(start + 1, color="grey", linewidth=0.8)
            side = "left" if start < len(steps) / 2 else "right"
            axes.text(start + 1, axes.get_ylim()[1], f" {names.iloc[start]} ", va="top", ha=side, color="grey")
        axes.set(xlabel="judgement", title=metric)
        axes.legend()
    return figure


def _phases(curves: pd.DataFrame) -> "pd.Series[str]":
    """What each judgement is of: the phase, of an ensemble also which network."""
    if "network" not in curves:
        return curves["phase"]
    return curves["phase"] + " " + curves["network"].astype(str)


def write_curves(curves: pd.DataFrame, table: Path, figure: Path) -> None:
    """Write the curves as numbers and as a figure."""
    with replacing(table) as beside:
        curves.to_csv(beside, index=False)
    with replacing(figure) as beside:
        draw_curves(curves).savefig(beside)
