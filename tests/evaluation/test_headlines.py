"""The table of metrics: what follows from an entry, and how each metric is resampled."""

from typing import Any

import numpy as np
import pytest

from pipeline.data.split_units import unit_numbers
from pipeline.evaluation import headlines as table
from pipeline.evaluation.headlines import headlines
from pipeline.params.model import Intervals
from tests.fixtures.evaluations import judge, tables


def test_images_of_one_scene_are_not_independent_evidence() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = np.repeat(rng.integers(0, 2, 40), 5), np.repeat(rng.dirichlet([1, 1], 40), 5, axis=0)
    table = tables(["a"] * 200).assign(cluster=np.repeat(np.arange(40), 5).astype(str))
    params = Intervals(interval_level=0.95, resamples=1000)

    def width(groups: Any) -> float:
        metric = headlines(judge(labels, probabilities).answers, params, 1, groups)["accuracy"]
        assert metric
        assert metric.ends
        return metric.ends[1] - metric.ends[0]

    assert width(unit_numbers(table)) > 1.8 * width(np.arange(200))


def test_a_large_test_split_ranks_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judge([0, 0, 0, 1], [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.3, 0.4, 0.3]])
    asked: dict[str, int] = {}

    def counting(*known: Any) -> dict[str, None]:
        asked.update(dict.fromkeys(known[2], known[3].resamples))
        return dict.fromkeys(known[2])

    monkeypatch.setattr(table, "intervals", counting)
    monkeypatch.setattr(table, "RANKED_WORK", 300 * 4 * 3)
    headlines(judged.answers, Intervals(interval_level=0.95, resamples=2000), 1, judged.groups)
    assert (asked["log_loss"], asked["roc_auc"]) == (2000, 300)


def test_twelve_right_of_twelve_leave_doubt_in_every_number() -> None:
    labels = np.arange(12) % 2
    judged = judge(labels, np.where(labels[:, None] == [0, 1], 0.97, 0.03))
    found = headlines(judged.answers, Intervals(interval_level=0.95, resamples=500), 1, judged.groups)
    assert str(found["accuracy"]) == "1.000 [0.735, 1.000]"
    assert str(found["expected_calibration_error"]) == "0.030 [too few images]"
    for name, metric in found.items():
        assert metric
        assert not metric.ends or metric.ends[1] - metric.ends[0] > 0.1, name
