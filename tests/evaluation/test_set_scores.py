"""Coverage of each class by the candidates, with its exact interval, and the size of the sets."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.evaluation.set_scores import design_effect, exact_interval, set_scores
from tests.fixtures.evaluations import judge

# Three a: found, found among two candidates, excluded. One b, the only candidate though below its threshold. No c.
JUDGED = replace(
    judge([0, 0, 0, 1], [[0.9, 0.1, 0], [0.5, 0.4, 0.1], [0.2, 0.8, 0], [0.35, 0.38, 0.27]]),
    candidates_above=(0.4, 0.4, 0.5),
)


def test_every_number_of_a_small_case_worked_by_hand() -> None:
    found = set_scores(JUDGED, 0.95)
    assert found is not None
    assert (found.mean_size, found.single_share) == (5 / 4, 3 / 4)
    a, b, c = found.classes.values()
    assert a.set_coverage is not None
    assert b.set_coverage is not None
    assert (a.images, a.set_coverage.value, a.mean_size) == (3, pytest.approx(2 / 3), pytest.approx(4 / 3))
    assert (b.images, b.set_coverage.value, b.mean_size) == (1, 1.0, 1.0)
    assert (c.images, c.set_coverage, c.mean_size) == (0, None, None)
    assert b.set_coverage.low == pytest.approx(0.025)
    assert not any(one.always for one in found.classes.values())


def test_a_class_that_is_always_a_candidate_is_named_and_an_earlier_model_has_no_scores() -> None:
    found = set_scores(replace(JUDGED, candidates_above=(0.4, 0.0, 0.5)), 0.95)
    assert found is not None
    assert [name for name, one in found.classes.items() if one.always] == ["b"]
    assert set_scores(replace(JUDGED, candidates_above=None), 0.95) is None


@pytest.mark.parametrize(("hits", "images"), [(0, 5), (5, 5), (3, 7), (361, 393), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_of_independent_images_is_scipys_exact_one(hits: int, images: int, level: float) -> None:
    found = exact_interval(np.arange(images) < hits, np.arange(images), level)
    assert found is not None
    expected = binomtest(hits, images).proportion_ci(level, method="exact")
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_images_of_one_scene_count_as_fewer() -> None:
    rng = np.random.default_rng(2)
    true = rng.random(60) < 0.8
    five_times, scenes = np.repeat(true, 5), np.repeat(np.arange(60), 5)
    assert design_effect(five_times, scenes) == pytest.approx(5, rel=0.02)
    alone, together = exact_interval(true, np.arange(60), 0.95), exact_interval(five_times, scenes, 0.95)
    assert alone is not None
    assert together is not None
    assert (together.low, together.high) == (pytest.approx(alone.low, abs=0.002), pytest.approx(alone.high, abs=0.002))
    assert design_effect(true, np.arange(60)) == pytest.approx(1)
    assert design_effect(np.ones(20, bool), np.repeat(np.arange(4), 5)) == 5, "all true: a scene counts as one image"
