"""The evaluation's diagrams: curves, bars and the confusion matrix. Measures nothing, shows no image."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve, roc_auc_score, roc_curve

from pipeline.evaluation.confidence import coverage_curve, reliability
from pipeline.evaluation.metrics import accuracy, expected_calibration_error
from pipeline.evaluation.robustness import CLEAN
from pipeline.model.answers import Answers, Judged

CURVES_SHOWN = 10  # classes with a named curve: those with the smallest area, which deserve a look
SLICES_SHOWN = 24  # the worst
CELL_TEXT_UP_TO = 25  # classes; a larger matrix cannot be read
BLUE, ORANGE, RED, GREY = "#2f6db3", "#d9822b", "#b3261e", "#9aa5b1"


def draw_confusion_matrix(answers: Answers, class_names: tuple[str, ...]) -> Figure:
    """Draw the confusion matrix. Rows: truth; columns: prediction; each cell: count, and share of the row as shade."""
    counts = confusion_matrix(answers.labels, answers.predicted, labels=np.arange(len(class_names)))
    title = f"{len(answers.labels)} test images"
    if len(class_names) > CELL_TEXT_UP_TO:
        counts, shown = _worst_of(counts)
        title += f"; the {len(shown)} of {len(class_names)} classes with most mistakes"
        class_names = (*(class_names[number] for number in shown), f"{len(class_names) - len(shown)} others")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.75 * min(len(class_names), 20)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column, row, f"{count}\n{share:.0%}" if count else "0", ha="center", va="center",
            color="white" if share > 0.5 else "black", fontsize=9 if len(class_names) < 10 else 6,
        )  # fmt: skip
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="prediction", ylabel="label", title=title)
    return figure


def _worst_of(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The matrix of the classes with most mistakes, all others in a last row and column; and these classes' numbers."""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    shown = np.sort(np.argsort(-mistakes, kind="stable")[: CELL_TEXT_UP_TO - 1])
    place = np.full(len(counts), len(shown))
    place[shown] = np.arange(len(shown))
    few = np.zeros((len(shown) + 1, len(shown) + 1), np.int64)
    np.add.at(few, (place[:, None], place[None, :]), counts)
    return few, shown


def draw_reliability(judged: Judged) -> Figure:
    """Draw accuracy against confidence, with and without the temperature; below, how often each confidence occurs."""
    figure = Figure(figsize=(5.2, 6.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="confidence is accuracy")
    kinds = (("before temperature", judged.uncalibrated, ORANGE), ("as used", judged.answers, BLUE))
    edges = np.linspace(0, 1, len(reliability(judged.answers).images) + 1)
    for words, answers, colour in kinds:
        found = reliability(answers)
        filled = found.images > 0
        error = expected_calibration_error(answers.labels, answers.probabilities)
        size = 15 + 150 * found.images[filled] / len(answers.labels)
        above.plot(found.confidence[filled], found.accuracy[filled], color=colour, linewidth=1.2)
        above.scatter(
            found.confidence[filled], found.accuracy[filled], s=size, color=colour, alpha=0.7,
            label=f"{words}: expected calibration error {error:.3f}",
        )  # fmt: skip
        below.hist(answers.confidence, edges, color=colour, alpha=0.5)
    below.axvline(judged.unsure_below, color=RED, linewidth=1, linestyle=":")
    start = 1 / len(judged.class_names)  # no confidence is smaller
    above.set(ylabel="share that is right", xlim=(max(0, start - 0.05), 1.02), ylim=(-0.02, 1.05))
    above.legend(fontsize=8, loc="lower right")
    below.set(xlabel="confidence (dotted: unsure below)", ylabel="images")
    return figure


def draw_coverage(judged: Judged) -> Figure:
    """Draw the accuracy of the predictions kept against their share for every threshold; the contract's is marked."""
    curve = coverage_curve(judged.answers)
    figure = Figure(figsize=(5.8, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.coverage, curve.accuracy, color=BLUE)
    sure = ~judged.unsure
    if sure.any():
        given = judged.answers.of(sure)
        right = accuracy(given.labels, given.probabilities)
        axes.plot(sure.mean(), right, "o", color=RED, markersize=9)
        axes.annotate(
            f"threshold {judged.unsure_below:.2f}, no outliers:\n{sure.mean():.0%} kept, {right:.1%} right",
            (0.04, 0.06), xycoords="axes fraction", color=RED,
        )  # fmt: skip
    axes.set(xlabel="share of images that are not unsure", ylabel="of these, share that is right", xlim=(0, 1.02))
    axes.set_ylim(max(0, min(curve.accuracy) - 0.1), 1.01)
    _in_percent(axes.xaxis, axes.yaxis)
    return figure


def draw_rank_curves(answers: Answers, class_names: tuple[str, ...]) -> Figure:
    """Draw ROC and precision-recall curves, each class against the rest; of many, only the worst are named."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    roc, precision_recall = figure.subplots(1, 2)
    _draw_curves(roc, answers, class_names, "ROC-AUC")
    _draw_curves(precision_recall, answers, class_names, "average precision")
    roc.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    roc.set(xlabel="false alarms: share of the other classes", ylabel="found: share of the class (recall)")
    precision_recall.set(xlabel="found: share of the class (recall)", ylabel="precision: share that is right")
    return figure


def _draw_curves(axes: Axes, answers: Answers, class_names: tuple[str, ...], which: str) -> None:
    curves = []
    for number, name in enumerate(class_names):
        positive, scores = answers.labels == number, answers.probabilities[:, number]
        if positive.all() or not positive.any():
            continue
        if which == "ROC-AUC":
            x, y, _ = roc_curve(positive, scores)
            area = float(roc_auc_score(positive, scores))
        else:
            y, x, _ = precision_recall_curve(positive, scores)
            area = float(average_precision_score(positive, scores))
        curves.append((area, number, name, x, y))
    curves.sort(key=lambda curve: curve[:2])
    for _, _, _, x, y in curves[CURVES_SHOWN:]:
        axes.plot(x, y, color=GREY, linewidth=0.5, alpha=0.5)
    for area, number, name, x, y in curves[:CURVES_SHOWN]:
        style = {"drawstyle": "steps-pre"} if which == "average precision" else {}
        axes.plot(x, y, color=f"C{number % 10}", linewidth=1.3, label=f"{name}: {area:.3f}", **style)  # type: ignore[arg-type]
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), title=which)
    if curves:
        axes.legend(fontsize=8, loc="lower right" if which == "ROC-AUC" else "lower left")


def draw_slices(slices: pd.DataFrame, overall: float) -> Figure:
    """Draw the accuracy of the worst slices with its interval; red: significantly worse; dashed line: all images."""
    shown = slices.head(SLICES_SHOWN).iloc[::-1].reset_index(drop=True)
    figure = Figure(figsize=(8, 1.1 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(overall, color=GREY, linestyle="--", linewidth=1)
    for place, row in enumerate(shown.to_dict("records")):
        colour = RED if row["worse"] else BLUE
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
        axes.plot(row["accuracy"], place, "o", color=colour, markersize=5)
    names = [f"{row['column']}: {row['value']} ({row['images']})" for row in shown.to_dict("records")]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set(xlabel="accuracy (dashed: all images)", xlim=(None, 1.01), ylim=(-0.6, len(shown) - 0.4))
    _in_percent(axes.xaxis)
    return figure


def draw_robustness(table: pd.DataFrame) -> Figure:
    """Draw balanced accuracy and unsure share against the strength of each corruption; 0: the original images."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    clean = table[table["corruption"] == CLEAN].iloc[0]
    worse = table[table["corruption"] != CLEAN]
    for axes, metric in zip(figure.subplots(1, 2), ("balanced_accuracy", "unsure_share"), strict=True):
        for name, rows in worse.groupby("corruption", sort=False):
            axes.plot([0, *rows["strength"]], [clean[metric], *rows[metric]], marker="o", markersize=4, label=str(name))
        axes.set_xticks([0, *worse["strength"].unique()], ["none", *map(str, worse["strength"].unique())])
        axes.set(xlabel="strength", title=metric.replace("_", " "), ylim=(-0.02, 1.02))
        _in_percent(axes.yaxis)
    figure.axes[0].legend(fontsize=8, loc="lower left")
    return figure


def _in_percent(*sides: object) -> None:
    for side in sides:
        side.set_major_formatter(PercentFormatter(1, decimals=0))  # type: ignore[attr-defined]


def draw_diagrams(judged: Judged, slices: pd.DataFrame, robustness: pd.DataFrame | None) -> dict[str, Figure]:
    """Every diagram that has data, by file name."""
    found = {
        "confusion_matrix": draw_confusion_matrix(judged.answers, judged.class_names),
        "reliability": draw_reliability(judged),
        "coverage": draw_coverage(judged),
        "rank_curves": draw_rank_curves(judged.answers, judged.class_names),
    }
    if len(slices):
        found["slices"] = draw_slices(slices, float(judged.answers.correct.mean()))
    if robustness is not None:
        found["robustness"] = draw_robustness(robustness)
    return found
