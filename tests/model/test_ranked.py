"""The mean answer of an event from its images' ranked labels."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.answers import Answers
from pipeline.model.event_answers import event_answers
from pipeline.model.ranked import RANKS, MeanAnswer


def mean_of(probabilities: np.ndarray) -> MeanAnswer:
    mean = MeanAnswer(probabilities.shape[1])
    for row in probabilities:
        best = np.argsort(-row, kind="stable")[:RANKS].tolist()
        mean.add([(column, round(float(row[column]), 6)) for column in best])
    return mean


@given(seed=st.integers(0, 1000), images=st.integers(1, 6), classes=st.integers(2, 40))
def test_it_is_the_mean_of_all_up_to_what_a_row_does_not_name(seed: int, images: int, classes: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), images)
    mean, exact = mean_of(probabilities), probabilities.mean(axis=0)
    unnamed = np.sort(probabilities, axis=1)[:, :-RANKS].max(axis=1, initial=0).mean()
    assert np.abs(np.array(mean.means) - exact).max() <= unnamed + 2e-6
    assert sum(mean.means) == pytest.approx(1, abs=4e-5)
    assert mean.answer == (int(np.argmax(mean.means)), max(mean.means))


def test_their_order_changes_nothing_where_floating_point_would() -> None:
    rows = np.array([[0.9, 0.1], [0.800001, 0.199999], [0.7, 0.3], [0.600001, 0.399999]])
    assert {mean_of(rows[list(order)]).answer for order in itertools.permutations(range(4))} == {(0, 0.750001)}


def test_parts_merge_to_the_whole_and_of_equal_classes_the_first_is_the_answer() -> None:
    first, second = mean_of(np.array([[0.1, 0.9]])), mean_of(np.array([[0.9, 0.1]]))
    first.merge(second)
    assert (first.images, first.answer) == (2, (0, 0.5))


def test_an_event_of_labelled_images_has_the_label_of_most_and_single_images_are_none() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4], [0.8, 0.2]], np.float32)
    answers = Answers(np.array([0, 1, 1, 0, 1]), probabilities)
    found = event_answers(answers, np.array([5, 5, 5, 7, 8]), np.array([4, 4, 4, -1, 9]))
    assert found
    assert found.answers.labels.tolist() == [1]
    assert found.answers.probabilities.tolist() == [pytest.approx([1.4 / 3, 1.6 / 3])]
    assert found.confidence.tolist() == [pytest.approx(0.533333, abs=1e-9)]
    assert (found.groups.tolist(), found.images.tolist(), found.of.tolist()) == ([5], [0, 1, 2], [0, 0, 0])
    assert event_answers(answers, np.arange(5), np.array([0, 1, 2, -1, -1])) is None
