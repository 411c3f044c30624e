"""Files of several frames on the test split: by their mean, and frame by frame."""

import numpy as np
import pytest

from pipeline.evaluation.frame_scores import frame_scores
from pipeline.evaluation.results import Evaluation
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
    assert found.accuracy_when_sure is None, "no file is certified"
    assert found.accuracy_of_frames_when_sure is not None
    assert found.accuracy_of_frames_when_sure.value == 1, "0.9, 0.8, 0.9 and 0.7 are sure"
    with_frames = an_evaluation().model_copy(update={"frames": found})
    assert Evaluation.model_validate_json(with_frames.model_dump_json()).frames == found


def test_without_such_files_nothing_is_said() -> None:
    assert frame_scores(JUDGED, np.arange(7), None, 0.95) is None
    assert "frames" not in an_evaluation().model_dump()
