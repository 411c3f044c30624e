"""Events of the test split beside their images: where the mean helps, and what is sure."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.event_scores import event_scores
from pipeline.evaluation.findings import event_rows
from pipeline.evaluation.results import Evaluation
from pipeline.model.certificate import EventRule
from tests.fixtures.certificates import CERTIFIED, UNCERTAIN
from tests.fixtures.evaluations import an_evaluation, judge

# Three events: a with one wrong image of three, b right twice, and a of two images that are both wrong; then two alone.
LABELS = [0, 0, 0, 1, 1, 0, 0, 1, 0]
SAID = [0.9, 0.8, 0.4, 0.1, 0.3, 0.45, 0.4, 0.9, 0.9]  # of class a
BURSTS = np.array([2, 2, 2, 5, 5, 7, 7, 8, -1])
JUDGED = judge(LABELS, [[p, 1 - p] for p in SAID], groups=BURSTS)
RULE = EventRule(burst_seconds=30, unsure_below=0.6, certificate=CERTIFIED)


def test_every_number_of_a_small_case_worked_by_hand() -> None:
    found = event_scores(JUDGED, BURSTS, 30, RULE, 0.95)
    assert found is not None
    assert (found.events, found.images, found.burst_seconds) == (3, 7, 30)
    assert found.accuracy.value == pytest.approx(2 / 3)
    assert found.balanced_accuracy.value == pytest.approx(3 / 4)
    assert found.accuracy_of_images.value == pytest.approx(4 / 7)
    assert found.balanced_accuracy_of_images.value == pytest.approx((2 / 5 + 1) / 2)
    for one in (found.accuracy, found.balanced_accuracy, found.accuracy_of_images):
        assert one.ends is not None
        assert one.ends[0] < one.value < one.ends[1]
    assert found.accuracy_when_sure is not None
    assert found.accuracy_when_sure.value == 1, "0.7 and 0.8 are sure, 0.575 is not"


def test_only_certified_events_are_sure_and_an_event_of_outliers_is_not() -> None:
    uncertain = RULE.model_copy(update={"certificate": UNCERTAIN})
    for rule in (None, uncertain):
        found = event_scores(JUDGED, BURSTS, 30, rule, 0.95)
        assert found is not None
        assert found.accuracy_when_sure is None
    outliers = np.zeros(9, np.bool_)
    outliers[[0, 3, 4]] = True
    found = event_scores(replace(JUDGED, outliers=outliers), BURSTS, 30, RULE, 0.95)
    assert found is not None
    assert found.accuracy_when_sure is not None
    assert found.accuracy_when_sure.high == 1
    assert found.accuracy_when_sure.low == pytest.approx(0.025, abs=0.001), "one event is left"


def test_without_events_of_several_images_nothing_is_said() -> None:
    assert event_scores(JUDGED, np.arange(9), 30, RULE, 0.95) is None
    plain = an_evaluation()
    assert "events" not in plain.model_dump()
    assert event_rows(plain) == []


def test_they_come_back_from_the_file_and_stand_beside_the_images_in_words() -> None:
    evaluation = an_evaluation().model_copy(update={"events": event_scores(JUDGED, BURSTS, 30, RULE, 0.95)})
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation
    rows = event_rows(evaluation)
    assert [(one.title, one.value) for one in rows] == [
        ("Accuracy of events", "66.7 %"), ("Their images' accuracy", "57.1 %"),
        ("Balanced accuracy of events", "75.0 %"), ("Their images' balanced accuracy", "70.0 %"),
    ]  # fmt: skip
    assert rows[0].meaning.endswith("3 events of several images: one camera, gaps under 30 s.")
