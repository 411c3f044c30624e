"""The table of metrics, which reports/evaluation.json, report, model card, MLflow and gate use.

Each metric is one entry. Its name is its key in reports/evaluation.json, `test_<name>` in MLflow, and `min_<name>` or
`max_<name>` among the limits of `register.gate`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import metrics, shares
from pipeline.evaluation.confidence import calibration_error_ends
from pipeline.evaluation.intervals import intervals
from pipeline.evaluation.metrics import Labels, Metric, Probabilities
from pipeline.evaluation.results import Interval
from pipeline.evaluation.shares import Trials, share_ends
from pipeline.model.answers import Answers
from pipeline.params.model import Intervals

TOP_K = (2, 3, 5)
CALIBRATION = "expected_calibration_error"
RANKED_WORK = 250_000_000  # images times classes times resamples: 13 s for each ranking; beyond, fewer resamples
FEWEST_RESAMPLES = 200

About = Literal["answers", "classes", "ranking", "confidence"]  # in the order of the report
Form = Callable[[float], str]


def in_percent(value: float) -> str:
    """A share as a percentage with one decimal, such as 87.4 %."""
    return f"{100 * value:.1f} %"


def as_number(value: float) -> str:
    """The value with three decimals."""
    return f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class HeadlineMetric:
    """A metric over all test images, reported with its interval."""

    name: str
    metric: Metric
    about: About  # its place in the report; resampling a ranking is slow
    title: str
    form: Form
    meaning: str  # may contain {guess_share}, {guess_loss} and {guess_brier}: the results of guessing
    more_classes_than: int = 1  # the metric is trivial with fewer
    trials: Callable[[Labels, Probabilities], Trials] | None = None  # for an exact interval; None: not a share


METRICS: tuple[HeadlineMetric, ...] = (  # in the order of reports/evaluation.json
    HeadlineMetric(
        "accuracy", metrics.accuracy, "answers", "Accuracy", in_percent,
        "The share of images that get the right class.", trials=shares.of_images,
    ),
    HeadlineMetric(
        "balanced_accuracy", metrics.balanced_accuracy, "answers", "Balanced accuracy", in_percent,
        "The same with equal weight for every class, so that a rare class counts as much as a frequent one. "
        "Guessing gives {guess_share}.", trials=shares.of_labels,
    ),
    HeadlineMetric(
        "log_loss", metrics.mean_log_loss, "confidence", "Log loss", as_number,
        "How little probability it gives the right class: 0 is sure and right; guessing costs {guess_loss}.",
    ),
    HeadlineMetric(
        "macro_precision", metrics.macro_precision, "classes", "Precision, mean of the classes", in_percent,
        "When it predicts a class: how often the image is of that class.", trials=shares.of_answers,
    ),
    HeadlineMetric(
        "macro_f1", metrics.macro_f1, "classes", "F1, mean of the classes", as_number,
        "Low when it misses images of a class or puts others into it; 1 is perfect.", trials=shares.of_either,
    ),
    HeadlineMetric(
        "brier_score", metrics.brier_score, "confidence", "Brier score", as_number,
        "The squared distance of its probabilities from the truth, summed over the classes: 0 is sure and right, 2 "
        "sure and wrong; guessing costs {guess_brier}.",
    ),
    HeadlineMetric(
        CALIBRATION, metrics.expected_calibration_error, "confidence", "Expected calibration error",
        as_number,
        "How far, on average, its confidence is from the share of right predictions. 0.03 means 3 points. "
        "With few images it is never quite 0, even for a well calibrated model.",
    ),
    *(
        HeadlineMetric(
            f"top_{k}_accuracy", metrics.top_k_accuracy.given(k=k), "answers", f"Top-{k} accuracy", in_percent,
            f"The right class is among the {k} most probable ones.", more_classes_than=k,
            trials=functools.partial(shares.of_images, k=k),
        )
        for k in TOP_K
    ),
    HeadlineMetric(
        "roc_auc", metrics.roc_auc, "ranking", "ROC-AUC, mean of the classes", as_number,
        "Given one image of a class and one of another: how often the first gets the higher probability of the class. "
        "0.5 is guessing, 1 perfect.",
    ),
    HeadlineMetric(
        "average_precision", metrics.average_precision, "ranking", "Average precision, mean of the classes", as_number,
        "Images sorted by the probability of a class: the mean precision down the list until the whole class is found. "
        "1 is perfect; guessing gives the class's share of all images.",
    ),
)  # fmt: skip


def headlines(answers: Answers, params: Intervals, seed: int, groups: NDArray[np.int64]) -> dict[str, Interval | None]:
    """Each metric of the table over all images; None if the test images do not define it."""
    images, classes = answers.probabilities.shape
    fewer = max(FEWEST_RESAMPLES, RANKED_WORK // (images * classes))
    ranked = params.model_copy(update={"resamples": min(params.resamples, fewer)})
    asked = [one for one in METRICS if classes > one.more_classes_than]
    known: dict[str, Interval | None] = {}
    level, of_test = params.interval_level, (answers.labels, answers.probabilities)
    for one in asked:
        if one.trials:
            known[one.name] = _around(one.metric(*of_test), share_ends(one.trials(*of_test), groups, level))
        elif one.name == CALIBRATION:
            ends = calibration_error_ends(answers, groups, params.resamples, level, seed)
            known[one.name] = _around(one.metric(*of_test), ends)
    for is_ranking, how in ((False, params), (True, ranked)):
        left = [one for one in asked if one.name not in known and (one.about == "ranking") == is_ranking]
        chosen = {one.name: one.metric for one in left}
        known |= intervals(*of_test, chosen, how, seed, groups)
    return {one.name: known[one.name] for one in asked}


def _around(value: float, ends: tuple[float, float] | None) -> Interval:
    """The value with its interval, which holds it; None: too few images for one."""
    return Interval(value=value, low=min(ends[0], value), high=max(ends[1], value)) if ends else Interval(value=value)
