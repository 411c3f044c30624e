"""Shares and their means over the classes have intervals that hold, with few images and without a mistake too."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from pipeline.evaluation.metrics import (
    Labels,
    Metric,
    Probabilities,
    accuracy,
    balanced_accuracy,
    macro_f1,
    macro_precision,
    top_k_accuracy,
)
from pipeline.evaluation.shares import (
    Trials,
    design_effect,
    exact_ends,
    of_all,
    of_answers,
    of_either,
    of_images,
    of_labels,
    share_ends,
)
from tests.fixtures.evaluations import table

PAIRS = [
    pytest.param(accuracy, of_images, id="accuracy"),
    pytest.param(balanced_accuracy, of_labels, id="balanced accuracy"),
    pytest.param(macro_precision, of_answers, id="precision"),
    pytest.param(macro_f1, of_either, id="F1"),
    pytest.param(
        top_k_accuracy.given(k=2), lambda labels, answers: of_images(labels, answers, k=2), id="top-2 accuracy"
    ),
]


def ends(hits: int, images: int, scene: int = 1, level: float = 0.95) -> tuple[float, float]:
    return share_ends(of_all(np.arange(images) < hits), np.arange(images) // scene, level)


def answers(predicted: ArrayLike, classes: int = 3) -> Probabilities:
    """Each image's class for sure."""
    return np.eye(classes, dtype=np.float32)[np.asarray(predicted)]


@pytest.mark.parametrize(("hits", "images", "low", "high"), [(12, 12, 0.7354, 1), (3, 6, 0.1181, 0.8819)])
def test_a_few_images_are_no_certainty(hits: int, images: int, low: float, high: float) -> None:
    assert ends(hits, images) == pytest.approx((low, high), abs=1e-4)


@given(images=st.integers(1, 3000), part=st.floats(0, 1), level=st.sampled_from([0.6, 0.95, 0.999]))
def test_the_interval_of_a_share_is_scipys_exact_one(images: int, part: float, level: float) -> None:
    hits = round(part * images)
    exact = binomtest(hits, images).proportion_ci(level, method="exact")
    assert ends(hits, images, level=level) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("images", "scene"), [(12, 3), (10, 5), (6, 6)])
def test_without_a_mistake_a_scene_is_one_image(images: int, scene: int) -> None:
    assert ends(images, images, scene) == pytest.approx(ends(images // scene, images // scene))
    assert design_effect(np.ones(images, bool), np.arange(images) // scene) == pytest.approx(scene)


@pytest.mark.parametrize(
    ("hit", "effect"),
    [
        pytest.param(np.repeat(np.arange(200) % 4 > 0, 5), 5, id="scenes are all right or all wrong"),
        pytest.param(np.tile([True, True, False, True, True], 200), 1, id="every scene has one mistake: never below 1"),
    ],
)
def test_the_design_effect(hit: NDArray[np.bool_], effect: float) -> None:
    assert design_effect(hit, np.arange(1000) // 5) == pytest.approx(effect)


def test_the_design_effect_of_what_is_known_by_construction() -> None:
    rng = np.random.default_rng(0)
    shared, own = np.repeat(rng.random(4000) < 0.8, 5), rng.random(20_000) < 0.8
    hit = np.where(np.repeat(rng.random(4000) < 0.3, 5), shared, own)  # the correlation within a scene is 0.3
    assert design_effect(hit, np.repeat(np.arange(4000), 5)) == pytest.approx(1 + 0.3 * 4, rel=0.1)


def test_a_rare_class_keeps_its_doubt() -> None:
    labels = np.repeat([0, 1], [390, 3])
    low, high = share_ends(of_labels(labels, answers(labels)), np.arange(393), 0.95)
    to_ends = [1 - float(exact_ends(np.array(n), np.array(n), 0.95)[0]) for n in (390, 3)]
    assert low <= 1 - np.hypot(*to_ends) / 2  # MOVER by hand; three images alone leave a recall of 0.29 possible
    assert high == 1


def test_a_class_that_no_image_was_given_may_have_any_precision() -> None:
    low, high = share_ends(of_answers(np.array([0, 0, 1]), answers([0, 0, 0])), np.arange(3), 0.95)
    assert low < 0.2
    assert high > 0.8


def test_the_f1_of_one_class_follows_from_the_jaccard_index() -> None:
    low, high = ends(7, 10)
    found = share_ends(of_either(np.zeros(10, np.int64), answers([0] * 7 + [1] * 3)), np.arange(10), 0.95)
    assert found == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)), abs=0.02)
    assert found[0] <= 2 * low / (1 + low)


@pytest.mark.parametrize(("metric", "trials"), PAIRS)
@given(count=st.integers(1, 40), classes=st.integers(2, 5), scenes=st.integers(1, 40), seed=st.integers(0, 9999))
def test_the_interval_holds_the_value_and_stays_within_0_and_1(
    metric: Metric, trials: Callable[[Labels, Probabilities], Trials], count: int, classes: int, scenes: int, seed: int
) -> None:
    labels, probabilities = table(count, classes, seed)
    groups = np.random.default_rng(seed).integers(0, scenes, count)
    low, high = share_ends(trials(labels, probabilities), groups, 0.95)
    assert 0 <= low <= metric(labels, probabilities) + 1e-9
    assert metric(labels, probabilities) - 1e-9 <= high <= 1


@pytest.mark.parametrize(("metric", "trials"), PAIRS)
def test_copies_of_an_image_are_no_further_evidence(
    metric: Metric, trials: Callable[[Labels, Probabilities], Trials]
) -> None:
    labels, probabilities = table(200, 3, seed=1)
    once = share_ends(trials(labels, probabilities), np.arange(200), 0.95)
    copied = np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0)
    assert share_ends(trials(*copied), np.repeat(np.arange(200), 4), 0.95) == pytest.approx(once, abs=1e-6)
    naive = share_ends(trials(*copied), np.arange(800), 0.95)
    assert naive[1] - naive[0] < 0.6 * (once[1] - once[0])


@pytest.mark.parametrize(
    ("images", "recalls", "scene"),
    [
        pytest.param((90, 10), (0.97, 0.6), 1, id="one class is rare"),
        pytest.param((5,) * 10, (0.9,) * 10, 1, id="many classes are rare"),
        pytest.param((3, 3), (0.95, 0.7), 1, id="six images"),
        pytest.param((60, 60), (0.95, 0.7), 3, id="scenes"),
    ],
)
def test_of_100_intervals_at_least_93_hold_the_true_value(
    images: tuple[int, ...], recalls: tuple[float, ...], scene: int
) -> None:
    rng, labels, tries, held = np.random.default_rng(0), np.repeat(np.arange(len(images)), images), 400, 0
    groups = np.arange(len(labels)) // scene
    for _ in range(tries):
        chance = rng.random(len(labels))[groups * scene]  # scenes are all right or all wrong
        right = chance < np.array(recalls)[labels]
        predicted = np.where(right, labels, (labels + 1) % len(images))
        low, high = share_ends(of_labels(labels, answers(predicted, len(images))), groups, 0.95)
        held += low <= np.mean(recalls) <= high
    assert held / tries >= 0.93
