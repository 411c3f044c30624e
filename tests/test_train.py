"""What is fitted: batches, temperature, threshold, augmentation; on small numbers, without images."""

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augment import augmentation
from pipeline.engine import probabilities
from pipeline.params_model import Augment
from pipeline.train import batches, draw_curves, fit_temperature, unsure_threshold
from tests.conftest import noise


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


def images() -> np.ndarray:
    return np.stack([noise(32, 32, seed) for seed in range(4)]).astype(np.float32)


def test_augmentation_changes_images_in_training_only_and_stays_in_range() -> None:
    every = Augment(
        horizontal_flip=True, vertical_flip=True, rotation=0.1, zoom=0.2, brightness=0.3, contrast=0.3
    )  # fmt: skip
    layers = augmentation(every, seed=1)
    np.testing.assert_array_equal(layers(images(), training=False), images())
    changed = np.asarray(layers(images(), training=True))
    assert not np.array_equal(changed, images())
    assert changed.min() >= 0
    assert changed.max() <= 255
    keras.utils.set_random_seed(0)
    again = np.asarray(augmentation(every, seed=1)(images(), training=True))
    np.testing.assert_array_equal(again, changed)


def test_no_augmentation_is_the_identity() -> None:
    none = Augment(horizontal_flip=False, vertical_flip=False, rotation=0.0, zoom=0.0, brightness=0.0, contrast=0.0)
    np.testing.assert_array_equal(augmentation(none, seed=1)(images(), training=True), images())


def test_curves_are_drawn_for_any_number_of_phases() -> None:
    metrics = {f"{split}_{metric}": [0.5, 0.4, 0.3] for split in ("train", "val") for metric in ("loss", "accuracy")}
    figure = draw_curves(pd.DataFrame(metrics | {"phase": ["head", "head", "fine_tune"]}))
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["head", "fine_tune"]
