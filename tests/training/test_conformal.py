"""The thresholds of prediction sets: what the definition says, what a library says, and coverage of every class."""

from fractions import Fraction

import crepes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.training.conformal import candidates_above, fewest_images

LEVELS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)


def one_class(scores: list[float], units: list[int] | None = None, error: float = 0.1) -> float:
    """The threshold of a class with these scores of its own images."""
    column = np.array(scores, np.float32).reshape(-1, 1)
    numbers = np.arange(len(scores)) if units is None else np.array(units)
    (above,) = candidates_above(column, np.zeros(len(scores), np.int64), numbers, error)
    return above


@given(
    scores=st.lists(st.sampled_from(LEVELS), max_size=40),
    new=st.sampled_from((*LEVELS, 0.3, 0.9)),
    error=st.sampled_from(("0.05", "0.1", "0.2", "1/3", "0.5")),
)
@example(scores=[1.0] * 9, new=0.75, error="0.1")  # nine images are just enough
@example(scores=[1.0] * 8, new=0.0, error="0.1")
def test_a_label_is_excluded_where_its_p_value_is_at_most_the_error(
    scores: list[float], new: float, error: str
) -> None:
    """The definition (Vovk, Gammerman and Shafer, 2005, chapter 2), in exact fractions."""
    p_value = Fraction(1 + sum(score <= new for score in scores), len(scores) + 1)
    above = one_class(scores, error=float(Fraction(error)))
    assert (new < above) == (p_value <= Fraction(error))


def test_crepes_gives_the_same_sets() -> None:
    rng = np.random.default_rng(4)
    labels, answers = rng.choice(4, 300, p=[0.02, 0.08, 0.3, 0.6]), rng.dirichlet(np.ones(4), 300)
    asked = rng.dirichlet(np.ones(4), 500)
    above = candidates_above(answers.astype(np.float32), labels, np.arange(300), 0.1)
    expected = np.empty((500, 4), bool)
    fitted = crepes.ConformalClassifier()
    fitted.fit(1 - answers.astype(np.float32)[np.arange(300), labels], bins=labels)
    for one in range(4):
        scores, of_class = 1 - asked.astype(np.float32)[:, [one]], np.full(500, one)
        expected[:, one] = fitted.predict_p(scores, bins=of_class, smoothing=False)[:, 0] > 0.1
    assert above[0] == 0, "6 of 300 images are too few"
    assert ((asked.astype(np.float32) >= above) == expected).all()
    assert 0.1 < expected[:, 1:].mean() < 0.95


@pytest.mark.parametrize("error", [0.01, 0.05, 0.1, 0.15, 0.3])
def test_a_class_with_too_few_images_or_none_can_never_be_excluded(error: float) -> None:
    fewest = fewest_images(error)
    assert one_class([0.9] * (fewest - 1), error=error) == 0
    assert one_class([0.9] * fewest, error=error) == pytest.approx(0.9)
    scores = np.full((2 * fewest, 3), 0.5, np.float32)
    labels = np.repeat([0, 2], fewest)
    found = candidates_above(scores, labels, np.arange(len(labels)), error)
    assert found == (0.5, 0.0, 0.5), "no validation image shows the second class"


@given(
    scores=st.lists(st.sampled_from(LEVELS), min_size=1, max_size=30),
    times=st.integers(1, 4),
    error=st.sampled_from((0.1, 0.2, 0.5)),
)
def test_the_same_scene_photographed_again_is_no_further_evidence(
    scores: list[float], times: int, error: float
) -> None:
    units = [number for number in range(len(scores)) for _ in range(times)]
    assert one_class(list(np.repeat(scores, times)), units, error) == one_class(scores, error=error)


def drawn(classes: NDArray[np.int64], units: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
    """Scores (n, 3) of images of these classes in scenes of 1 to 4 images that are alike, and the scenes."""
    images = rng.integers(1, 5, units)
    unit = np.repeat(np.arange(units), images)
    labels = classes[unit]
    logits = rng.normal(0, 0.3, (len(unit), 3)) + rng.normal(0, 1, (units, 3))[unit] + 2 * np.eye(3)[labels]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), labels, unit


def test_every_class_is_covered_the_rare_and_the_hard_one_too() -> None:
    """A property: over draws of scenes, at least 1 - error of each class's new images keep their label, and not all."""
    rng, error, tries = np.random.default_rng(8), 0.2, 600
    shares, covered = [0.1, 0.3, 0.6], np.zeros(3)
    for _ in range(tries):
        scores, labels, unit = drawn(rng.choice(3, 80, p=shares), 80, rng)
        above = candidates_above(scores, labels, unit, error)
        new, truth, _ = drawn(np.repeat(np.arange(3), 40), 120, rng)
        own = new[np.arange(len(new)), truth] >= np.array(above)[truth]
        covered += [own[truth == one].mean() for one in range(3)]
    covered /= tries
    assert (covered > 1 - error - 0.015).all(), covered  # three standard errors
    assert (covered[1:] < 1 - error + 0.06).all(), covered  # 1 / (1 + scenes of the class), and as much again
