"""Each metric comes with an interval that means what it says."""

from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.intervals import intervals, resamples
from pipeline.evaluation.results import Interval
from pipeline.params.model import Intervals
from tests.fixtures.evaluations import METRICS, table

PARAMS = Intervals(interval_level=0.95, resamples=400)


def test_what_the_images_do_not_define_has_no_interval() -> None:
    labels, probabilities = np.zeros(4, np.int64), np.full((4, 2), 0.5, np.float32)
    found = intervals(labels, probabilities, METRICS, PARAMS, seed=1)
    assert [name for name, interval in found.items() if interval is None] == ["roc_auc", "average_precision"]


def found(name: str, count: int, seed: int = 7, **changes: Any) -> Interval:
    labels, probabilities = table(count, 3, seed=1)
    metric = intervals(labels, probabilities, {"": METRICS[name]}, PARAMS.model_copy(update=changes), seed)[""]
    assert metric
    return metric


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("count", [20, 300])
def test_an_interval_brackets_the_value(name: str, count: int) -> None:
    labels, probabilities = table(count, 3, seed=1)
    metric = found(name, count)
    if name != "expected_calibration_error":  # a resample is never better calibrated than chance lets it look
        assert metric.low < metric.value < metric.high
    assert metric.value == METRICS[name](labels, probabilities)


@pytest.mark.parametrize("name", METRICS)
def test_an_interval_belongs_to_its_seed(name: str) -> None:
    assert found(name, 100) == found(name, 100)
    assert found(name, 100, seed=8) != found(name, 100)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "expected_calibration_error"])
def test_more_images_and_a_lower_level_make_an_interval_narrower(name: str) -> None:
    def width(**about: Any) -> float:
        metric = found(name, **about)
        return metric.high - metric.low

    assert width(count=50) > 2 * width(count=800)
    assert width(count=50, interval_level=0.99) > width(count=50, interval_level=0.6)


def test_the_interval_of_a_share_is_about_as_wide_as_theory_says() -> None:
    metric = found("accuracy", 400, resamples=2000)
    theory = 2 * 1.96 * np.sqrt(metric.value * (1 - metric.value) / 400)
    assert metric.high - metric.low == pytest.approx(theory, rel=0.1)


def test_whole_groups_are_drawn() -> None:
    groups = np.array([5, 5, 9, 5, 9, 7])
    for weights in resamples(groups, 50, seed=3):
        assert (weights[:, [0, 0]] == weights[:, [1, 3]]).all()
        assert (weights[:, 2] == weights[:, 4]).all()
        assert (weights[:, [0, 2, 5]].sum(axis=1) == 3).all()  # as many groups as there are


def test_copies_of_an_image_are_no_further_evidence() -> None:
    labels, probabilities = table(100, 3, seed=1)
    copied, groups = (np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0)), np.repeat(np.arange(100), 4)
    once = intervals(labels, probabilities, METRICS, PARAMS, seed=1)
    grouped = intervals(*copied, METRICS, PARAMS, seed=1, groups=groups)
    naive = intervals(*copied, METRICS, PARAMS, seed=1)["accuracy"]
    assert list(grouped) == list(once)
    for name, metric in once.items():
        assert metric
        assert (of_groups := grouped[name])
        assert of_groups.model_dump() == pytest.approx(metric.model_dump())
    assert naive
    assert once["accuracy"]
    assert naive.high - naive.low < 0.6 * (once["accuracy"].high - once["accuracy"].low)


def test_many_images_are_resampled_some_at_a_time_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found("roc_auc", 60)
    monkeypatch.setattr("pipeline.evaluation.intervals.WEIGHTS_AT_ONCE", 60 * 7)
    assert found("roc_auc", 60).model_dump() == pytest.approx(whole.model_dump())
