"""Coverage of each class by the candidates, with its exact interval, and the size of the sets."""

from dataclasses import replace

import pytest

from pipeline.evaluation.set_scores import set_scores
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
