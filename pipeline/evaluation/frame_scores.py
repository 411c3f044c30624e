"""How good the answers for files of several frames are, by their mean and frame by frame. Knows arrays only."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.event_scores import event_scores
from pipeline.evaluation.results import FrameScores
from pipeline.evaluation.shares import share_interval
from pipeline.model.answers import Judged
from pipeline.model.certificate import FramesRule
from pipeline.model.ranked import DIGITS


def frame_scores(
    judged: Judged, files: NDArray[np.int64], rule: FramesRule | None, level: float,
    odd_files: NDArray[np.bool_] | None = None,
) -> FrameScores | None:  # fmt: skip
    """The scores of the test files of several frames; None where there are none.

    judged: the answers for their frames; files: (m,), the number of each one's file; rule: the model's;
    odd_files: (m,), whether each one's file is an outlier, as its middle frame says; None: every file is usual.
    """
    found = event_scores(replace(judged, outliers=odd_files), files, 0.0, rule.file if rule else None, level)
    if found is None:
        return None
    sure = None
    if rule is not None and rule.frame.certificate.certified:
        odd = np.zeros(len(files), np.bool_) if judged.outliers is None else judged.outliers
        kept = (judged.answers.confidence.astype(np.float64).round(DIGITS) >= rule.frame.unsure_below) & ~odd
        sure = share_interval(judged.answers.correct[kept], judged.groups[kept], level)
    return FrameScores(
        files=found.events,
        frames=found.images,
        accuracy=found.accuracy,
        balanced_accuracy=found.balanced_accuracy,
        accuracy_when_sure=found.accuracy_when_sure,
        accuracy_of_frames=found.accuracy_of_images,
        balanced_accuracy_of_frames=found.balanced_accuracy_of_images,
        accuracy_of_frames_when_sure=sure,
    )
