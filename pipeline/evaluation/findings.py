"""What an evaluation found, and its headline numbers in words for people. Measures nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.saliency import Evidence


@dataclass(frozen=True, slots=True)
class Results:
    """All that the report and the model card tell of."""

    metrics: dict[str, Any]  # as in reports/evaluation.json
    slices: pd.DataFrame  # as slices.measure_slices gives them
    robustness: pd.DataFrame | None  # as robustness.measure_robustness gives it; None: not asked for
    evidence: Evidence | None

    @property
    def worse_slices(self) -> list[dict[str, Any]]:
        """Those that chance does not explain."""
        return [{str(name): value for name, value in row.items()} for row in self._worse.to_dict("records")]

    @property
    def _worse(self) -> pd.DataFrame:
        return self.slices[self.slices["worse"].astype(bool)]


@dataclass(frozen=True, slots=True)
class Headline:
    """A metric for a person."""

    title: str
    value: str
    interval: str  # its two ends
    meaning: str


def _in_percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _as_number(value: float) -> str:
    return f"{value:.3f}"


Format = Callable[[float], str]
MEANINGS: dict[str, tuple[str, Format, str]] = {
    "accuracy": ("Accuracy", _in_percent, "The share of images that get the right class."),
    "balanced_accuracy": (
        "Balanced accuracy", _in_percent,
        "The same with every class counted alike, so that a rare class weighs as much as a frequent one. "
        "Guessing gives {guess_share}.",
    ),
    "top_2_accuracy": ("Top-2 accuracy", _in_percent, "The right class is among the 2 that it holds most likely."),
    "top_3_accuracy": ("Top-3 accuracy", _in_percent, "The right class is among the 3 that it holds most likely."),
    "top_5_accuracy": ("Top-5 accuracy", _in_percent, "The right class is among the 5 that it holds most likely."),
    "macro_precision": (
        "Precision, mean of the classes", _in_percent, "When it names a class: how often it is that class.",
    ),
    "macro_f1": (
        "F1, mean of the classes", _as_number,
        "Low when it misses images of a class or names the class wrongly; 1 is perfect.",
    ),
    "roc_auc": (
        "ROC-AUC, mean of the classes", _as_number,
        "Of an image of a class and one of another: how often the first is held likelier to be of the class. "
        "0.5 is guessing, 1 perfect.",
    ),
    "average_precision": (
        "Average precision, mean of the classes", _as_number,
        "How pure a list of a class's likeliest images is on the way down until all are found; 1 is perfect, and "
        "guessing gives the class's share of all images.",
    ),
    "log_loss": (
        "Log loss", _as_number,
        "How surprised it is by the truth: 0 is sure and right; holding all classes equally likely costs {guess_loss}.",
    ),
    "brier_score": (
        "Brier score", _as_number,
        "The squared distance of its probabilities from the truth, summed over the classes: 0 is sure and right, 2 "
        "sure and wrong; holding all classes equally likely costs {guess_brier}.",
    ),
    "expected_calibration_error": (
        "Expected calibration error", _as_number,
        "How far, on average, the confidence it states is from the share of right answers. 0.03 means 3 points. "
        "With few images it is never quite 0, however honest the model.",
    ),
}  # fmt: skip


def headline_rows(metrics: dict[str, Any]) -> list[Headline]:
    """The headline metrics that are defined, in the order of MEANINGS, with what each means."""
    classes = len(metrics["classes"])
    guesses = {
        "guess_share": _in_percent(1 / classes),
        "guess_loss": _as_number(float(np.log(classes))),
        "guess_brier": _as_number(1 - 1 / classes),
    }
    rows = []
    for name, (title, form, meaning) in MEANINGS.items():
        if metric := metrics.get(name):
            between = f"{form(metric['low'])} to {form(metric['high'])}"
            rows.append(Headline(title, form(metric["value"]), between, meaning.format(**guesses)))
    return rows


def in_words(metrics: dict[str, Any], level: float) -> list[str]:
    """The evaluation in a few sentences for somebody who knows no metric."""
    accuracy, images = metrics["accuracy"], metrics["images"]
    largest = max(one["images"] for one in metrics["classes"].values())
    unsure, when_sure = metrics["unsure_share"], metrics["accuracy_when_sure"]
    value, low, high = (f"{100 * accuracy[end]:.0f}" for end in ("value", "low", "high"))
    words = [
        f"Of 100 new images like these, the model can be expected to name about {value} right; with {level:.0%} "
        f"confidence between {low} and {high}, as far as {images:,} test images can tell. "
        f"Always naming the most frequent class would get {100 * largest / images:.0f} right."
    ]
    if when_sure is None:
        words.append("It is unsure of every image: none reaches the confidence at which it gives an answer.")
    elif unsure == 0:
        words.append("It is sure of every image.")
    else:
        words.append(f"It says “unsure” of {100 * unsure:.0f} of 100; of the others {100 * when_sure:.1f} % are right.")
    if accuracy["low"] == accuracy["high"]:
        words.append(
            "All resamples agree on the accuracy, because there are too few images or no mistakes: the interval says "
            "less than it seems to."
        )
    return words
