"""How good a trial's answers are on the validation images. Knows arrays only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.prepared import Split
from pipeline.data.split_units import unit_numbers
from pipeline.evaluation.metrics import balanced_accuracy, mean_log_loss
from pipeline.evaluation.shares import share_interval
from pipeline.model.engine import probabilities
from pipeline.params.model import Monitor
from pipeline.training.calibration import fit_temperature


@dataclass(frozen=True, slots=True)
class Judged:
    """What was measured, by name."""

    metrics: dict[str, float]

    def score(self, metric: Monitor) -> float:
        """The one that decides."""
        return self.metrics["log_loss" if metric == "val_loss" else metric.removeprefix("val_")]


def judge(logits: NDArray[np.float32], val: Split, level: float) -> Judged:
    """Accuracy with its interval, balanced accuracy, and the log loss after a fitted temperature, as in use.

    logits: (n, classes), of the images of `val`. The temperature makes heads that were fitted in other ways comparable.
    """
    answers = probabilities(logits, fit_temperature(logits, val.labels))
    right = share_interval(answers.argmax(axis=1) == val.labels, unit_numbers(val.table), level)
    if right is None or right.low is None or right.high is None:
        raise AssertionError("every split has images")
    return Judged(
        {
            "accuracy": right.value,
            "accuracy_low": right.low,
            "accuracy_high": right.high,
            "balanced_accuracy": balanced_accuracy(val.labels, answers),
            "log_loss": mean_log_loss(val.labels, answers),
        }
    )
