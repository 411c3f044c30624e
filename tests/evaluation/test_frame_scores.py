"""Files of several frames on the test split: by their mean, and frame by frame."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.frame_scores import frame_scores
from pipeline.evaluation.results import Evaluation
from pipeline.evaluation.shares import share_interval
from pipeline.model.certificate import FramesRule, Promise
from tests.fixtures.certificates import CERTIFIED, UNCERTAIN
from tests.fixtures.evaluations import an_evaluation, judge

# Three files: a with one wrong frame of three, b right twice, and a of two frames that are both wrong.
LABELS = [0, 0, 0, 1, 1, 0, 0]
SAID = [0.9, 0.8, 0.4, 0.1, 0.3, 0.45, 0.4]  # of class a
FILES = np.array([2, 2, 2, 5, 5, 7, 7])
JUDGED = judge(LABELS, [[p, 1 - p] for p in SAID], groups=FILES)
RULE = FramesRule(
    frame=Promise(unsure_below=0.7, certificate=CERTIFIED), file=Promise(unsure_below=0.6, certificate=UNCERTAIN)
)


def test_every_number_of_a_small_case_worked_by_hand() -> None:
    found = frame_scores(JUDGED, FILES, RULE, 0.95)
    assert found is not None
    assert (found.files, found.frames) == (3, 7)
    assert (found.accuracy.value, found.accuracy_of_frames.value) == pytest.approx((2 / 3, 4 / 7))
    assert found.accuracy_when_sure is None, "nothing certifies a file"
    assert found.accuracy_of_frames_when_sure is not None
    assert found.accuracy_of_frames_when_sure.value == 1, "0.9, 0.8, 0.9 and 0.7 are sure"
    with_frames = an_evaluation().model_copy(update={"frames": found})
    assert Evaluation.model_validate_json(with_frames.model_dump_json()).frames == found


def test_a_file_is_an_outlier_by_its_middle_frame_and_a_frame_by_itself() -> None:
    rule = RULE.model_copy(update={"file": RULE.frame})
    odd = np.array([False, False, False, True, False, False, False])
    found = frame_scores(replace(JUDGED, outliers=odd), FILES, rule, 0.95, np.array([True] * 3 + [False] * 4))
    assert found is not None
    assert found.accuracy_when_sure == share_interval(np.array([True]), np.array([5]), 0.95)
    assert found.accuracy_of_frames_when_sure == share_interval(np.ones(3, np.bool_), FILES[[0, 1, 4]], 0.95)


def test_without_such_files_nothing_is_said() -> None:
    assert frame_scores(JUDGED, np.arange(7), None, 0.95) is None
    assert "frames" not in an_evaluation().model_dump()
