"""A search for wrong labels ends in about a minute, however many classes there are, and still judges every label."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.checks import label_issues
from pipeline.checks.audit_effort import LEAST_IMAGES, MOST, STEPS, TOTAL, Effort, effort_for, sample
from pipeline.params.data import Audit


def test_a_small_set_is_searched_in_full() -> None:
    assert effort_for(2624, 1280, 2, 5) == Effort(5, STEPS, 2624)
    assert effort_for(10_000, 1280, 10, 10) == Effort(10, STEPS, 10_000)


@pytest.mark.parametrize(
    ("images", "features", "classes"),
    [(9000, 1280, 300), (50_000, 1280, 1000), (20_000, 1280, 100), (3000, 2048, 1500)],
)
def test_a_large_set_costs_no_more_than_a_minute(images: int, features: int, classes: int) -> None:
    found = effort_for(images, features, classes, 5)
    cost = float(min(found.images, images)) * features * classes
    assert not found.is_full
    assert found.folds == 3
    assert cost <= max(MOST, LEAST_IMAGES * classes * features * classes)
    assert cost * found.folds * found.steps <= max(TOTAL, 3 * 30 * cost)
    assert effort_for(images, features, classes, 2).folds == 2


def test_a_sample_has_every_class_and_is_the_same_each_time() -> None:
    labels = np.repeat(np.arange(50), [100] * 49 + [3])
    rows = np.arange(0, len(labels))
    few = sample(rows, labels, 1000, seed=1)
    assert len(few) <= 1000 + 50
    assert np.array_equal(few, sample(rows, labels, 1000, seed=1))
    assert np.array_equal(few, np.unique(few))
    counts = np.bincount(labels[few], minlength=50)
    assert counts.min() == 3
    assert set(counts[:49]) == {20}
    assert np.array_equal(sample(rows, labels, 10_000, seed=1), rows)


def test_swapped_labels_of_many_classes_are_found_by_the_bounded_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.checks.audit_effort.FULL", 0)
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(60), 15)
    features = (rng.normal(size=(60, 64))[truth] * 3 + rng.normal(size=(900, 64))).astype(np.float32)
    given = truth.copy()
    given[::100] = (given[::100] + 1) % 60
    answers = label_issues.out_of_fold(features, given, np.arange(900), 5, 7)
    assert np.allclose(answers.sum(axis=1), 1)
    assert (answers.argmax(axis=1) == truth).mean() > 0.95
    assert (answers.argmax(axis=1)[::100] == truth[::100]).all()


def test_no_folds_leave_the_search_out_and_one_is_refused() -> None:
    assert Audit(folds=0).folds == 0
    for folds in (1, -1, 21):
        with pytest.raises(ValidationError):
            Audit(folds=folds)
