"""Each metric comes with an interval that means what it says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.evaluation.intervals import PSEUDO, intervals, pseudo_images, resamples
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


RANGES = {"log_loss": 27.7, "brier_score": 2.0}  # from 0 to here; the others to 1


@pytest.mark.parametrize("name", METRICS)
@given(count=st.integers(1, 30), classes=st.integers(2, 4), scenes=st.integers(1, 30), seed=st.integers(0, 9999))
def test_an_interval_holds_the_value_and_stays_in_the_metrics_range(
    name: str, count: int, classes: int, scenes: int, seed: int
) -> None:
    labels, probabilities = table(count, classes, seed)
    groups = np.random.default_rng(seed).integers(0, scenes, count)
    params = PARAMS.model_copy(update={"resamples": 100})
    metric = intervals(labels, probabilities, {"": METRICS[name]}, params, seed, groups)[""]
    if metric is None:
        assert np.isnan(METRICS[name](labels, probabilities))
        return
    assert metric.ends
    low, high = metric.ends
    assert -1e-9 <= low <= metric.value <= high <= RANGES.get(name, 1) + 1e-9
    assert metric.value == METRICS[name](labels, probabilities)
    if name in ("log_loss", "brier_score", "roc_auc", "average_precision"):  # the others have their own intervals
        assert high - low > 0.01


@pytest.mark.parametrize("hits", [12, 9, 6, 0])
def test_of_a_share_the_resamples_give_the_exact_interval(hits: int) -> None:
    labels, sure = np.zeros(12, np.int64), np.tile(np.array([0.9, 0.1], np.float32), (12, 1))
    sure[hits:] = sure[hits:, ::-1]
    params = PARAMS.model_copy(update={"resamples": 20_000})
    metric = intervals(labels, sure, {"": METRICS["accuracy"]}, params, seed=1)[""]
    assert metric
    exact = binomtest(hits, 12).proportion_ci(0.95, method="exact")
    assert metric.ends == pytest.approx((exact.low, exact.high), abs=0.01)


def test_pseudo_images_are_as_sure_as_real_ones_of_a_wrong_class_or_the_right_one() -> None:
    labels, probabilities = table(20, 4, seed=1)
    label, wrong, right = pseudo_images(labels, probabilities, seed=1)
    assert (right.argmax(axis=1) == label).all()
    assert (wrong.argmax(axis=1) != label).all()
    assert (wrong[np.arange(PSEUDO), label] == np.sort(wrong, axis=1)[:, -2]).all(), "the label comes second"
    known = {tuple(np.sort(row)) for row in probabilities}
    assert {tuple(np.sort(row)) for row in (*wrong, *right)} <= known


def test_a_perfect_ranking_of_a_few_images_may_be_luck() -> None:
    labels = np.arange(12) % 2
    sure = np.where(labels[:, None] == [0, 1], 0.99, 0.01).astype(np.float32)
    for name in ("roc_auc", "average_precision"):
        metric = intervals(labels, sure, {"": METRICS[name]}, PARAMS, seed=1)[""]
        assert metric
        assert metric.ends
        assert metric.ends[0] < 0.85
        assert metric.ends[1] == pytest.approx(1)


@pytest.mark.parametrize("name", METRICS)
def test_an_interval_belongs_to_its_seed(name: str) -> None:
    assert found(name, 100) == found(name, 100)
    assert found(name, 100, seed=8) != found(name, 100)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "expected_calibration_error"])
def test_more_images_and_a_lower_level_make_an_interval_narrower(name: str) -> None:
    def width(**about: Any) -> float:
        metric = found(name, **about)
        assert metric.ends
        return metric.ends[1] - metric.ends[0]

    assert width(count=50) > 2 * width(count=800)
    assert width(count=50, interval_level=0.99) > width(count=50, interval_level=0.6)


def test_a_group_has_one_weight_and_one_pseudo_image_that_of_a_group() -> None:
    groups = np.array([5, 5, 9, 5, 9, 7])
    parts = list(resamples(groups, 2000, seed=3))
    weights, pseudo = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert (weights[:, [0, 0]] == weights[:, [1, 3]]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert ((pseudo > 0).sum(axis=1) == 1).all()
    assert weights.mean() == pytest.approx(1, abs=0.05)
    assert pseudo.sum(axis=1).mean() == pytest.approx((9 + 4 + 1) / 6, rel=0.1)


def test_copies_of_an_image_are_no_further_evidence() -> None:
    labels, probabilities = table(100, 3, seed=1)
    copied, groups = (np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0)), np.repeat(np.arange(100), 4)
    once = intervals(labels, probabilities, METRICS, PARAMS, seed=1)
    grouped = intervals(*copied, METRICS, PARAMS, seed=1, groups=groups)
    naive = intervals(*copied, METRICS, PARAMS, seed=1)["log_loss"]
    assert list(grouped) == list(once)
    for name, metric in once.items():
        assert metric
        assert (of_groups := grouped[name])
        assert of_groups.model_dump() == pytest.approx(metric.model_dump(), abs=0.03), name
    assert naive
    assert naive.ends
    assert once["log_loss"]
    assert once["log_loss"].ends
    assert naive.ends[1] - naive.ends[0] < 0.6 * (once["log_loss"].ends[1] - once["log_loss"].ends[0])


def test_many_images_are_resampled_some_at_a_time_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found("roc_auc", 60)
    monkeypatch.setattr("pipeline.evaluation.intervals.WEIGHTS_AT_ONCE", 60 * 7)
    assert found("roc_auc", 60).model_dump() == pytest.approx(whole.model_dump())
