"""The certified thresholds of frames, and of files by the mean of their frames (images.frame: all).

A certificate of images says nothing of these: of a file, a training sees the middle frame alone.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.prepared import Split, SplitFrames
from pipeline.data.split_units import unit_numbers
from pipeline.model.answers import Answers
from pipeline.model.certificate import FramesRule, Promise
from pipeline.model.event_answers import event_answers
from pipeline.model.ranked import DIGITS
from pipeline.params.model import Train
from pipeline.training.certify import certify


def frames_rule(probabilities: NDArray[np.float32], frames: SplitFrames, val: Split, train: Train) -> FramesRule | None:
    """The rule fitted to the validation files of several frames; None where nobody asked for a promise.

    probabilities: (m, classes), calibrated, of the readable frames. A frame is right where it shows its file's label.
    """
    rows = frames.rows[frames.readable]
    groups = unit_numbers(val.table)[rows]
    answers = Answers(val.labels[rows], probabilities)
    files = event_answers(answers, groups, rows)
    if train.target_confidence is None or files is None:
        return None
    return FramesRule(
        frame=_promise(answers.confidence.round(DIGITS), answers, groups, train, train.target_confidence),
        file=_promise(files.confidence.astype(np.float32), files.answers, files.groups, train, train.target_confidence),
    )


def _promise(
    confidence: NDArray[np.float32], answers: Answers, groups: NDArray[np.int64], train: Train, level: float
) -> Promise:
    threshold, certificate = certify(confidence, answers.correct, groups, train.target_precision, level)
    return Promise(unsure_below=round(threshold, DIGITS), certificate=certificate)
