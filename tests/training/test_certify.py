"""The certified threshold keeps its promise as often as it says, and says so where it cannot promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.model.certificate import Certificate
from pipeline.training.certify import certify, lower_bound, p_value, strict_error, surest

LEVEL = 0.9


def certified(
    confidence: object, correct: object, scenes: object = None, target: float = 0.9
) -> tuple[float, Certificate]:
    known, right = np.asarray(confidence, np.float32), np.asarray(correct, np.bool_)
    return certify(known, right, np.arange(len(known)) if scenes is None else np.asarray(scenes), target, LEVEL)


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0.001, 0.5))
def test_the_bound_is_clopper_and_pearsons(images: int, share: float, error: float) -> None:
    right = round(share * images)
    exact = binomtest(right, images, alternative="greater").proportion_ci(1 - error, method="exact")
    assert lower_bound(right, images, error) == pytest.approx(exact.low, abs=1e-9)


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0.01, 0.99))
def test_the_p_value_is_the_binomial_tests(images: int, share: float, target: float) -> None:
    right = round(share * images)
    exact = binomtest(right, images, target, alternative="greater").pvalue
    assert p_value(right, images, target) == pytest.approx(exact, abs=1e-9)


ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.25, 0.5, 0.625, 0.75, 0.875, 1.0]), st.booleans(), st.integers(0, 30)),
    min_size=1, max_size=60,
)  # fmt: skip


@given(ANSWERS, st.sampled_from([0.0, 0.5, 0.7, 0.9, 1.0]))
def test_what_a_certificate_says_is_true_of_the_images(answers: list[tuple[float, bool, int]], target: float) -> None:
    confidence, correct, scenes = (np.array(column) for column in zip(*answers, strict=True))
    threshold, found = certified(confidence, correct, scenes, target)
    above = confidence >= threshold
    assert threshold in confidence, "never lower than the lowest confidence seen"
    assert (found.images, found.precision) == (above.sum(), pytest.approx(correct[above].mean()))
    assert found.lower_bound <= found.precision
    assert found.certified == (found.lower_bound >= target - 1e-12 and correct.any())
    assert not (found.certified and found.more_images)
    order = np.random.default_rng(1).permutation(len(answers))
    assert certified(confidence[order], correct[order], scenes[order], target) == (threshold, found), (
        "the order does not matter"
    )


@given(ANSWERS, st.integers(2, 5))
def test_copies_of_an_image_in_its_scene_certify_nothing_more(
    answers: list[tuple[float, bool, int]], times: int
) -> None:
    confidence, correct, _ = (np.array(column) for column in zip(*answers, strict=True))
    alone = surest(confidence, correct, np.arange(len(answers)))
    copied = surest(np.repeat(confidence, times), np.repeat(correct, times), np.repeat(np.arange(len(answers)), times))
    assert copied.scenes == pytest.approx(alone.scenes)
    assert copied.precision == pytest.approx(alone.precision)


@pytest.mark.parametrize("images", [40, 150, 393])
def test_a_wrong_threshold_is_certified_at_most_as_often_as_allowed(images: int) -> None:
    """The worst case: whatever the confidence, nearly as many answers are right as are asked for."""
    rng = np.random.default_rng(6)
    tries = 1000
    wrong = sum(certified(rng.random(images), rng.random(images) < 0.8999)[1].certified for _ in range(tries))
    assert 0.02 * tries < wrong < (1 - LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / tries)) * tries


def test_a_threshold_misses_its_target_at_most_as_often_as_allowed() -> None:
    """The confidence is the true chance of being right, and precision falls below 0.9 at a confidence of 0.8."""
    rng = np.random.default_rng(7)
    tries, missed, certain = 1000, 0, 0
    for _ in range(tries):
        confidence = 0.6 + 0.4 * rng.random(800)
        threshold, found = certified(confidence, rng.random(800) < confidence)
        missed += found.certified and threshold < 0.8
        certain += found.certified
    assert missed <= (1 - LEVEL) * tries
    assert certain > 0.5 * tries, "it does not keep its promise by promising nothing"


def test_the_error_of_one_set_is_the_whole_and_of_many_less() -> None:
    assert strict_error((100,), 0.9, 0.1, 0.1) == pytest.approx(0.1, rel=1e-3)
    many = strict_error(tuple(range(20, 401, 20)), 0.9, 0.1, 0.08)
    assert 0.1 / 20 < many < 0.08, "more than Bonferroni's, as the sets share images"


@pytest.mark.parametrize("images", [1, 6, 12])
def test_few_images_are_not_certified_and_it_is_said_how_many_would_be(images: int) -> None:
    confidence = np.linspace(0.6, 0.9, images)
    threshold, found = certified(confidence, np.ones(images))
    assert threshold == pytest.approx(confidence[0])
    assert (found.certified, found.precision, found.images) == (False, 1, images)
    assert found.lower_bound < 0.85
    assert found.more_images is not None
    enough = images + found.more_images + 5  # the error that a set may have depends a little on how many there are
    assert certified(np.linspace(0.6, 0.9, enough), np.ones(enough))[1].certified
    assert not certified(np.linspace(0.6, 0.9, enough - 10), np.ones(enough - 10))[1].certified


@pytest.mark.parametrize("images", [1, 6, 12, 300])
def test_where_all_answers_are_wrong_more_images_are_no_help(images: int) -> None:
    confidence = np.linspace(0.6, 0.9, images)
    threshold, found = certified(confidence, np.zeros(images))
    assert (found.certified, found.precision, found.lower_bound, found.more_images) == (False, 0, 0, None)
    assert threshold >= np.quantile(confidence, 0.94), "as few answers as can be are ok"


def test_where_all_answers_are_right_the_threshold_is_the_lowest_confidence_seen_and_not_0() -> None:
    threshold, found = certified(np.linspace(0.51, 1, 200), np.ones(200))
    assert threshold == pytest.approx(0.51)
    assert found.certified
    assert found.more_images is None


def test_a_class_that_is_always_right_is_answered_and_the_other_is_not() -> None:
    confidence = np.concatenate([np.linspace(0.9, 1, 200), np.linspace(0.5, 0.89, 200)])
    correct = np.concatenate([np.ones(200), np.arange(200) % 2])
    threshold, found = certified(confidence, correct)
    assert found.certified
    assert 0.8 < threshold <= 0.9, "some coins may be tossed as long as nine of ten answers are right"
    assert found.precision >= 0.9


def test_near_the_target_many_more_images_are_needed_and_below_it_none_suffice() -> None:
    def needed(right: int) -> int | None:
        return certified(np.full(100, 0.75), np.arange(100) < right)[1].more_images

    assert needed(90) is None
    assert needed(80) is None
    assert (needed(91) or 0) > 1000
    assert 20 < (needed(94) or 0) < (needed(92) or 0)


def test_equal_confidences_are_accepted_or_rejected_together() -> None:
    confidence = np.repeat([0.95, 0.7], 100)
    threshold, found = certified(confidence, np.concatenate([np.ones(100), np.arange(100) < 70]))
    assert (threshold, found.images) == (pytest.approx(0.95), 100)
