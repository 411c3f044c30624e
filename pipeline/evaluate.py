"""Every metric, interval and figure, on the test split, asked as the night asks. Changes no model."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tqdm import tqdm

from pipeline.engine import Engine, load_engine
from pipeline.files import replacing, write_json
from pipeline.metrics import (
    Statistic,
    accuracy,
    as_text,
    balanced_accuracy,
    expected_calibration_error,
    interval,
    mean_log_loss,
)
from pipeline.params import load_params
from pipeline.params_model import Evaluate
from pipeline.paths import EVALUATION, FIGURES, MODEL, PREPARED, TEST_PREDICTIONS
from pipeline.prepared import read_split
from pipeline.stage import log, run


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model says of the test images; row i of each part is the same image."""

    labels: NDArray[np.int64]  # (n,), the truth, index into class_names
    probabilities: NDArray[np.float32]  # (n, classes), rows sum to 1

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(n,), index into class_names."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n,), 0..1."""
        return np.asarray(self.probabilities.max(axis=1), np.float32)


def ask(engine: Engine, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32]:
    """Probabilities (n, classes) for the images (n, height, width, 3)."""
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [engine.predict(images[start : start + batch_size]) for start in tqdm(starts, "evaluate", unit="batch")]
    )


HEADLINES: dict[str, Statistic] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": mean_log_loss,
    "expected_calibration_error": expected_calibration_error,
}


def evaluate(
    answers: Answers, class_names: tuple[str, ...], unsure_below: float, params: Evaluate, seed: int
) -> dict[str, Any]:
    """Every number of reports/evaluation.json."""
    classes = np.arange(len(class_names))
    table = precision_recall_fscore_support(answers.labels, answers.predicted, labels=classes, zero_division=0)
    sure = answers.confidence >= unsure_below
    return {
        "images": len(answers.labels),
        **{
            name: interval(answers.labels, answers.probabilities, statistic, params, seed)
            for name, statistic in HEADLINES.items()
        },
        "unsure_share": float(np.mean(~sure)),
        "accuracy_when_sure": accuracy(answers.labels[sure], answers.probabilities[sure]) if sure.any() else None,
        "classes": {
            name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "images": int(support)}
            for name, precision, recall, f1, support in zip(class_names, *table, strict=True)
        },
    }


def draw_confusion_matrix(answers: Answers, class_names: tuple[str, ...]) -> Figure:
    """Rows: the truth; columns: the answer; each cell its count, shaded by its share of the row."""
    counts = confusion_matrix(answers.labels, answers.predicted, labels=np.arange(len(class_names)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.6 * len(class_names)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column, row, f"{count}", ha="center", va="center", color="white" if shares[row, column] > 0.5 else "black"
        )
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="the model says", ylabel="label", title=f"{len(answers.labels)} test images")
    return figure


SHEET_COLUMNS, SHEET_ROWS = 6, 2  # of a contact sheet, for mistakes and for right answers each


def draw_contact_sheet(answers: Answers, images: NDArray[np.uint8], class_names: tuple[str, ...]) -> Figure:
    """The most confident mistakes above, some right answers below: what a person would look at first."""
    right = answers.predicted == answers.labels
    count = SHEET_COLUMNS * SHEET_ROWS
    by_confidence = np.argsort(-answers.confidence, kind="stable")
    mistakes = by_confidence[~right[by_confidence]][:count]
    hits = by_confidence[right[by_confidence]]
    hits = hits[np.linspace(0, len(hits) - 1, min(count, len(hits)), dtype=int)] if len(hits) else hits
    figure = Figure(figsize=(1.7 * SHEET_COLUMNS, 2.05 * 2 * SHEET_ROWS), layout="constrained")
    grid = figure.subplots(2 * SHEET_ROWS, SHEET_COLUMNS)
    for axes in grid.flat:
        axes.set_axis_off()
    for cells, rows, colour in ((grid[:SHEET_ROWS], mistakes, "tab:red"), (grid[SHEET_ROWS:], hits, "tab:green")):
        for axes, row in zip(cells.flat, rows, strict=False):
            axes.imshow(images[row])
            said, truth = class_names[answers.predicted[row]], class_names[answers.labels[row]]
            of = "" if said == truth else f"\nis {truth}"
            axes.set_title(f"{said} {answers.confidence[row]:.0%}{of}", color=colour, fontsize=8)
    figure.suptitle("The most confident mistakes (red), and right answers (green)", fontsize=10)
    return figure


def main() -> None:
    """The stage."""
    params = load_params()
    engine, test = load_engine(MODEL, params.compute), read_split(PREPARED, "test")
    answers = Answers(test.labels, ask(engine, test.images, params.batch.batch_size))
    contract = engine.contract
    metrics = evaluate(answers, contract.class_names, contract.unsure_below, params.evaluate, params.seed)
    with replacing(FIGURES) as beside:
        beside.mkdir()
        draw_confusion_matrix(answers, contract.class_names).savefig(beside / "confusion_matrix.png")
        draw_contact_sheet(answers, test.images, contract.class_names).savefig(beside / "predictions.png")
    names = np.asarray(contract.class_names)
    table = pd.DataFrame(
        {
            "path": test.table["path"],
            "label": names[answers.labels],
            "predicted": names[answers.predicted],
            "confidence": answers.confidence,
        }
    )
    with replacing(TEST_PREDICTIONS) as beside:
        table.to_csv(beside, index=False)
    write_json(EVALUATION, metrics)
    for name in HEADLINES:
        log.info("%s %s", name, as_text(metrics[name]))


if __name__ == "__main__":
    sys.exit(run(main))
