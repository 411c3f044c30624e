"""The table of metrics: reports/evaluation.json, report, model card, MLflow and gate follow it.

A metric is one entry here. Its name is its key in reports/evaluation.json, `test_<name>` in MLflow, and `min_<name>` or
`max_<name>` among the limits of `register.gate`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import metrics
from pipeline.evaluation.intervals import intervals
from pipeline.evaluation.metrics import Metric
from pipeline.evaluation.results import Interval
from pipeline.model.answers import Answers
from pipeline.params.model import Intervals

TOP_K = (2, 3, 5)
RANKED_WORK = 500_000_000  # images times classes times resamples: 13 s for each ranking; beyond, fewer resamples
FEWEST_RESAMPLES = 200

About = Literal["answers", "classes", "ranking", "confidence"]  # in the order in which people read of them
Form = Callable[[float], str]


def in_percent(value: float) -> str:
    """0.8765 as 87.6 %, which is 87.7 %."""
    return f"{100 * value:.1f} %"


def as_number(value: float) -> str:
    """With three decimals."""
    return f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class HeadlineMetric:
    """A metric over all test images, given with its bootstrap interval."""

    name: str
    metric: Metric
    about: About  # a ranking is slow to resample
    title: str
    form: Form
    meaning: str  # may name {guess_share}, {guess_loss} and {guess_brier}: what guessing gives
    more_classes_than: int = 1  # with fewer it says nothing


METRICS: tuple[HeadlineMetric, ...] = (  # in the order of reports/evaluation.json
    HeadlineMetric(
        "accuracy", metrics.accuracy, "answers", "Accuracy", in_percent,
        "The share of images that get the right class.",
    ),
    HeadlineMetric(
        "balanced_accuracy", metrics.balanced_accuracy, "answers", "Balanced accuracy", in_percent,
        "The same with every class counted alike, so that a rare class weighs as much as a frequent one. "
        "Guessing gives {guess_share}.",
    ),
    HeadlineMetric(
        "log_loss", metrics.mean_log_loss, "confidence", "Log loss", as_number,
        "How surprised it is by the truth: 0 is sure and right; holding all classes equally likely costs {guess_loss}.",
    ),
    HeadlineMetric(
        "macro_precision", metrics.macro_precision, "classes", "Precision, mean of the classes", in_percent,
        "When it names a class: how often it is that class.",
    ),
    HeadlineMetric(
        "macro_f1", metrics.macro_f1, "classes", "F1, mean of the classes", as_number,
        "Low when it misses images of a class or names the class wrongly; 1 is perfect.",
    ),
    HeadlineMetric(
        "brier_score", metrics.brier_score, "confidence", "Brier score", as_number,
        "The squared distance of its probabilities from the truth, summed over the classes: 0 is sure and right, 2 "
        "sure and wrong; holding all classes equally likely costs {guess_brier}.",
    ),
    HeadlineMetric(
        "expected_calibration_error", metrics.expected_calibration_error, "confidence", "Expected calibration error",
        as_number,
        "How far, on average, the confidence it states is from the share of right answers. 0.03 means 3 points. "
        "With few images it is never quite 0, however honest the model.",
    ),
    *(
        HeadlineMetric(
            f"top_{k}_accuracy", metrics.top_k_accuracy.given(k=k), "answers", f"Top-{k} accuracy", in_percent,
            f"The right class is among the {k} that it holds most likely.", more_classes_than=k,
        )
        for k in TOP_K
    ),
    HeadlineMetric(
        "roc_auc", metrics.roc_auc, "ranking", "ROC-AUC, mean of the classes", as_number,
        "Of an image of a class and one of another: how often the first is held likelier to be of the class. "
        "0.5 is guessing, 1 perfect.",
    ),
    HeadlineMetric(
        "average_precision", metrics.average_precision, "ranking", "Average precision, mean of the classes", as_number,
        "How pure a list of a class's likeliest images is on the way down until all are found; 1 is perfect, and "
        "guessing gives the class's share of all images.",
    ),
)  # fmt: skip


def headlines(answers: Answers, params: Intervals, seed: int, groups: NDArray[np.int64]) -> dict[str, Interval | None]:
    """Each metric of the table over all images; None where the test images do not define it."""
    images, classes = answers.probabilities.shape
    fewer = max(FEWEST_RESAMPLES, RANKED_WORK // (images * classes))
    ranked = params.model_copy(update={"resamples": min(params.resamples, fewer)})
    asked = [one for one in METRICS if classes > one.more_classes_than]
    found: dict[str, Interval | None] = {}
    for is_ranking, how in ((False, params), (True, ranked)):
        chosen = {one.name: one.metric for one in asked if (one.about == "ranking") == is_ranking}
        found |= intervals(answers.labels, answers.probabilities, chosen, how, seed, groups)
    return {one.name: found[one.name] for one in asked}
