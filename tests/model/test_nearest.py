"""The nearest known images are found, and what is found for one depends on no other."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.model.nearest import Nearest, outlier_scores, unit


def some(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def test_they_are_those_of_a_plain_search_with_their_cosine_distances() -> None:
    known, asked = some(300, 48), some(20, 48, seed=1)
    rows, distances = Nearest(known, 5)(asked)
    every = 1 - unit(asked).astype(np.float64) @ unit(known).astype(np.float64).T
    expected = np.argsort(every, axis=1)[:, :5]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(distances, np.take_along_axis(every, expected, axis=1), atol=1e-6)


def test_a_score_is_the_mean_distance_and_the_length_of_an_embedding_does_not_count() -> None:
    known = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    nearest = Nearest(known, 2)
    found = outlier_scores(nearest, np.array([[7, 0], [0.001, 0.001], [0, 0]], np.float32))
    np.testing.assert_allclose(found, [(0 + 1) / 2, 1 - np.sqrt(0.5), 1], atol=1e-6)


def test_a_known_image_is_at_distance_nothing_also_when_it_is_kept_in_half_precision() -> None:
    known = some(50, 1280)
    _, distances = Nearest(unit(known).astype(np.float16), 1)(known)
    assert distances.min() >= 0
    assert distances.max() < 1e-5


def test_fewer_known_ones_than_asked_for_are_all_found() -> None:
    rows, distances = Nearest(some(3, 8), 10)(some(4, 8, seed=2))
    assert rows.shape == distances.shape == (4, 3)


@pytest.mark.parametrize(("known", "width", "size"), [(44, 1280, 32), (1837, 1280, 32), (60, 64, 4), (701, 130, 7)])
def test_a_score_does_not_depend_on_the_batch_it_is_computed_in(known: int, width: int, size: int) -> None:
    nearest, one = Nearest(unit(some(known, width)).astype(np.float16), 10), some(1, width, seed=9)
    found = set()
    for place in range(size):
        batch = some(size, width, seed=100 + place)
        batch[place] = one
        found.add(float(outlier_scores(nearest, batch)[place]))
    assert len(found) == 1
