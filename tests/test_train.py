"""What is fitted: batches, temperature, threshold; on small numbers, without images."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import probabilities
from pipeline.train import batches, draw_curves, fit_temperature, unsure_threshold


def test_batches_keep_rows_and_labels_together_and_see_each_once_an_epoch() -> None:
    arrays, labels = np.arange(10, dtype=np.uint8)[:, None], np.arange(10)
    epochs = []
    shuffled = batches(arrays, labels, 4, shuffle_seed=3)
    for _ in range(2):
        rows, of = (np.concatenate(parts) for parts in zip(*shuffled.as_numpy_iterator(), strict=True))
        assert rows.dtype == np.float32
        assert (rows[:, 0] == of).all()
        assert sorted(of) == list(range(10))
        epochs.append(of.tolist())
    assert epochs[0] != epochs[1]
    in_order = np.concatenate([of for _, of in batches(arrays, labels, 4).as_numpy_iterator()])
    assert in_order.tolist() == list(range(10))


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 3, (20_000, 3)).astype(np.float32)
    cumulated = probabilities(logits, true).cumsum(axis=1)
    labels = (rng.random((len(logits), 1)) > cumulated).sum(axis=1).clip(0, 2)
    assert fit_temperature(logits, labels) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize(
    ("confidence", "correct", "target", "expected"),
    [
        ([0.9, 0.8, 0.7], [True, True, True], 0.9, 0.0),
        ([0.9, 0.8, 0.7, 0.6], [True, True, False, False], 0.9, 0.8),
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, True], 0.75, 0.0),
        ([0.9, 0.9, 0.5], [True, False, True], 1.0, 0.5),
        ([0.9, 0.8], [False, True], 1.0, 0.8),
    ],
    ids=[
        "all right",
        "the sure ones",
        "the last lifts it",
        "equal ones stand together",
        "out of reach: the best there is",
    ],
)
def test_unsure_threshold(confidence: list[float], correct: list[bool], target: float, expected: float) -> None:
    found = unsure_threshold(np.array(confidence, np.float32), np.array(correct), target)
    assert found == pytest.approx(expected)


@given(
    st.lists(st.tuples(st.sampled_from([0.25, 0.5, 0.625, 0.75, 1.0]), st.booleans()), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_answers_at_or_above_the_threshold_reach_the_target_whenever_any_do(
    answers: list[tuple[float, bool]], target: float
) -> None:
    confidence, correct = np.array([a for a, _ in answers], np.float32), np.array([b for _, b in answers])
    threshold = unsure_threshold(confidence, correct, target)
    reachable = max(correct[confidence >= level].mean() for level in confidence)
    reached = correct[confidence >= threshold].mean()
    assert reached >= target or reached == reachable < target


def test_curves_are_drawn_for_any_number_of_phases() -> None:
    metrics = {f"{split}_{metric}": [0.5, 0.4, 0.3] for split in ("train", "val") for metric in ("loss", "accuracy")}
    figure = draw_curves(pd.DataFrame(metrics | {"phase": ["head", "head", "fine_tune"]}))
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["head", "fine_tune"]
