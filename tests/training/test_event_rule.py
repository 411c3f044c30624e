"""The threshold of events is certified on validation events, never borrowed from single images."""

import numpy as np
import pandas as pd
import pytest

from pipeline.data.prepared import Split
from pipeline.params.file import Params
from pipeline.training.event_rule import event_rule


def validation(events: int, images: int, wrong: int) -> tuple[np.ndarray, Split]:
    """Events of `images` pictures of one class; of the first `wrong`, whose means are the lowest, all are wrong."""
    rows = [(event, image) for event in range(events) for image in range(images)]
    labels = np.array([event % 2 for event, _ in rows])
    sure = np.array([0.55 if event < wrong else 0.7 + 0.25 * event / events for event, _ in rows])
    said = np.where(np.array([event < wrong for event, _ in rows]), 1 - labels, labels)
    probabilities = np.where(said[:, None] == [0, 1], sure[:, None], 1 - sure[:, None]).astype(np.float32)
    table = pd.DataFrame({
        "path": [f"{label}/{n}.jpg" for n, label in enumerate(labels)],
        "cluster": [f"e{event}" for event, _ in rows],
        "camera": "gate",
        "taken_at": [f"2026-11-{1 + event // 20:02d}T{event % 20:02d}:00:{image:02d}" for event, image in rows],
    })  # fmt: skip
    return probabilities, Split(table, np.zeros((len(rows), 1, 1, 3), np.uint8), labels)


def test_enough_events_are_certified_and_the_wrong_ones_stay_below(defaults: Params) -> None:
    probabilities, val = validation(100, 3, 20)
    rule = event_rule(probabilities, val, defaults)
    assert rule is not None
    assert rule.certificate.certified
    assert rule.certificate.images <= 88, "events, not images"
    assert rule.certificate.precision >= 0.9
    assert rule.unsure_below == round(rule.unsure_below, 6) > 0.54
    assert rule.burst_seconds == defaults.preprocess.burst_seconds
    assert "of the events with several images with status ok are right, on events like" in rule.words


def test_few_events_certify_nothing_however_many_images_they_have(defaults: Params) -> None:
    rule = event_rule(*validation(8, 20, 0), defaults)
    assert rule is not None
    assert not rule.certificate.certified
    assert rule.certificate.more_images
    assert "more labelled events would be needed for validation" in rule.words


@pytest.mark.parametrize("how", ["alone", "without times", "not asked for"])
def test_without_events_there_is_no_rule(how: str, defaults: Params) -> None:
    probabilities, val = validation(30, 1 if how == "alone" else 3, 0)
    if how == "without times":
        val = Split(val.table.assign(taken_at=""), val.images, val.labels)
    train = defaults.train.model_copy(update={"target_confidence": None} if how == "not asked for" else {})
    assert event_rule(probabilities, val, defaults.model_copy(update={"train": train})) is None
