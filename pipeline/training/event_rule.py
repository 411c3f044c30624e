"""The certified threshold of events. A certificate of single images says nothing of means, so it has its own."""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.bursts import bursts_of
from pipeline.data.prepared import Split
from pipeline.data.split_units import unit_numbers
from pipeline.model.answers import Answers
from pipeline.model.certificate import EventRule
from pipeline.model.event_answers import event_answers
from pipeline.model.ranked import DIGITS
from pipeline.params.file import Params
from pipeline.training.certify import certify


def event_rule(probabilities: NDArray[np.float32], val: Split, params: Params) -> EventRule | None:
    """The rule fitted to the validation events with several images; None without any, or where nobody asked.

    probabilities: (n, classes) of the validation images, calibrated. Few events certify nothing, and the rule says so.
    """
    level, gap = params.train.target_confidence, params.preprocess.burst_seconds
    answers = Answers(val.labels, probabilities)
    events = event_answers(answers, unit_numbers(val.table), bursts_of(val.table, gap))
    if level is None or events is None:
        return None
    confidence, target = events.confidence.astype(np.float32), params.train.target_precision
    threshold, certificate = certify(confidence, events.answers.correct, events.groups, target, level)
    return EventRule(burst_seconds=gap, unsure_below=round(threshold, DIGITS), certificate=certificate)
