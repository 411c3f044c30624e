"""The numbers of an evaluation."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.headlines import headlines
from pipeline.evaluation.measure import evaluate, per_class
from pipeline.evaluation.slices import measure_slices
from tests.fixtures.evaluations import PARAMS, judge

# Two a right, one a taken for a b (sure of it), one b right but unsure; no c among the images.
JUDGED = judge([0, 0, 0, 1], [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.3, 0.4, 0.3]])


def test_every_number_of_a_small_case_worked_by_hand() -> None:
    slices = measure_slices(pd.DataFrame(index=range(4)), JUDGED, PARAMS)
    numbers = evaluate(JUDGED, slices, None, PARAMS, seed=1)
    found = numbers.model_dump()
    assert found["images"] == 4
    assert found["accuracy"]["value"] == 0.75
    assert found["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["macro_precision"]["value"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["macro_f1"]["value"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found["log_loss"]["value"] == pytest.approx(-np.log([0.9, 0.8, 0.05, 0.4]).mean(), rel=1e-6)
    assert found["top_2_accuracy"]["value"] == 1.0
    assert "top_3_accuracy" not in found, "there are no more than three classes"
    # Of a: 0.9 and 0.8 are above b's 0.3, 0.05 is not. Of b: 0.4 is above 0.1 and 0.1, not above 0.95.
    assert found["roc_auc"]["value"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["unsure_share"] == 0.25
    assert found["accuracy_when_sure"] == pytest.approx({"value": 2 / 3, "low": 0.0943, "high": 0.9916}, abs=1e-4)
    assert found["classes"]["a"] == {
        "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "roc_auc": pytest.approx(2 / 3),
        "average_precision": pytest.approx(1 / 3 + 1 / 3 + 1 / 3 * 3 / 4), "images": 3,
        "precision_low": pytest.approx(0.1581, abs=1e-4), "precision_high": 1.0,  # 2 of 2
        "recall_low": pytest.approx(0.0943, abs=1e-4), "recall_high": pytest.approx(0.9916, abs=1e-4),  # 2 of 3
    }  # fmt: skip
    assert found["classes"]["b"]["precision"] == 0.5
    assert found["classes"]["c"] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "roc_auc": None, "average_precision": None, "images": 0,
        "precision_low": 0.0, "precision_high": 1.0, "recall_low": 0.0, "recall_high": 1.0,
    }  # fmt: skip


def test_when_nothing_is_sure_there_is_no_accuracy_of_the_sure() -> None:
    unsure = judge(JUDGED.answers.labels, JUDGED.answers.probabilities, unsure_below=1.0)
    slices = measure_slices(pd.DataFrame(index=range(4)), unsure, PARAMS)
    assert evaluate(unsure, slices, None, PARAMS, seed=1).accuracy_when_sure is None


def test_an_outlier_is_unsure_at_any_confidence() -> None:
    judged = dataclasses.replace(JUDGED, outliers=np.array([False, False, True, True]))
    slices = measure_slices(pd.DataFrame(index=range(4)), judged, PARAMS)
    found = evaluate(judged, slices, None, PARAMS, seed=1)
    assert found.accuracy_when_sure
    assert (found.unsure_share, found.accuracy_when_sure.value) == (0.5, 1.0), (
        "the third was wrong, with confidence 0.95"
    )


def test_the_mean_of_the_classes_is_the_headline() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 4, 60), rng.dirichlet(np.ones(4), 60)
    judged = judge(labels, probabilities)
    found = headlines(judged.answers, PARAMS, 1, judged.groups)
    classes = per_class(judged.answers, judged.class_names, judged.groups, 0.95).values()
    pairs = {"balanced_accuracy": "recall", "macro_precision": "precision", "macro_f1": "f1"}
    for headline, of_class in {**pairs, "roc_auc": "roc_auc", "average_precision": "average_precision"}.items():
        assert (metric := found[headline])
        assert metric.value == pytest.approx(np.mean([getattr(one, of_class) for one in classes]), abs=1e-6)
