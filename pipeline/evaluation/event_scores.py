"""How good the answers for events are, beside those for their images one by one. Knows arrays only."""

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import shares
from pipeline.evaluation.metrics import accuracy, balanced_accuracy
from pipeline.evaluation.results import EventScores, Interval
from pipeline.evaluation.shares import Groups, Trials, share_ends, share_interval
from pipeline.model.answers import Answers, Judged
from pipeline.model.certificate import EventRule, Promise
from pipeline.model.event_answers import event_answers


def event_scores(
    judged: Judged, bursts: NDArray[np.int64], burst_seconds: float, rule: EventRule | Promise | None, level: float
) -> EventScores | None:
    """The scores of the test events with several images; None where there are none.

    bursts: (n,), the number of each image's burst, -1: none; rule: the model's.
    """
    if (events := event_answers(judged.answers, judged.groups, bursts)) is None:
        return None
    images, of_images = judged.answers.of(events.images), judged.groups[events.images]
    sure = None
    if rule is not None and rule.certificate.certified:
        odd = np.zeros(len(judged.groups), np.bool_) if judged.outliers is None else judged.outliers
        outliers = np.bincount(events.of, odd[events.images]) * 2 >= np.bincount(events.of)  # as in a night
        rows = (events.confidence >= rule.unsure_below) & ~outliers
        sure = share_interval(events.answers.correct[rows], events.groups[rows], level)
    return EventScores(
        events=len(events.answers.labels),
        images=len(images.labels),
        burst_seconds=burst_seconds,
        accuracy=_share(events.answers, events.groups, level),
        balanced_accuracy=_balanced(events.answers, events.groups, level),
        accuracy_of_images=_share(images, of_images, level),
        balanced_accuracy_of_images=_balanced(images, of_images, level),
        accuracy_when_sure=sure,
    )


def _share(answers: Answers, groups: Groups, level: float) -> Interval:
    return _interval(
        accuracy(answers.labels, answers.probabilities),
        shares.of_images(answers.labels, answers.probabilities), groups, level,
    )  # fmt: skip


def _balanced(answers: Answers, groups: Groups, level: float) -> Interval:
    return _interval(
        balanced_accuracy(answers.labels, answers.probabilities),
        shares.of_labels(answers.labels, answers.probabilities), groups, level,
    )  # fmt: skip


def _interval(value: float, trials: Trials, groups: Groups, level: float) -> Interval:
    low, high = share_ends(trials, groups, level)
    return Interval(value=value, low=min(low, value), high=max(high, value))
