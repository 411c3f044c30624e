"""Two models' answers, image by image: what is chance, and what is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.params.model import Evaluate
from pipeline.registry.comparison import Changed, Comparison, changed, compare

PARAMS = Evaluate.model_construct(interval_level=0.95, resamples=300)
NAMES = ("cat", "dog")


def answers(right: NDArray[np.bool_], labels: NDArray[np.int64], confidence: float = 0.9) -> NDArray[np.float32]:
    """Probabilities of a model of two classes that is right where it is said, always with this confidence."""
    said = np.where(right, labels, 1 - labels)
    return np.where(said[:, None] == np.arange(2), confidence, 1 - confidence).astype(np.float32)


def compared(new: list[int], champion: list[int], labels: list[int], units: list[int] | None = None) -> Comparison:
    truth = np.array(labels)
    alone = np.arange(len(labels)) if units is None else np.array(units)
    models = (answers(np.array(right, bool), truth) for right in (new, champion))
    return compare(truth, *models, alone, NAMES, PARAMS, seed=1)


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 5, 0.0625),  # five images never decide at 0.05
        (0, 6, 0.03125),
        (1, 9, 0.021484375),  # (1 + 10) / 2**10, twice
        (9, 1, 0.021484375),
    ],
)
def test_the_exact_test_counts_the_coin_tosses(gained: int, lost: int, p_value: float) -> None:
    assert Changed(gained, lost).p_value == pytest.approx(p_value)


def test_the_same_answers_to_a_few_images_do_not_show_that_models_are_equal() -> None:
    right = [1, 1, 0, 1, 0, 1, 1, 1]
    found = compared(right, right, [0, 0, 0, 0, 1, 1, 1, 1])
    for difference in (found.accuracy, found.balanced_accuracy, found.calibration):
        assert difference.value == 0
        assert difference.low < -0.2
        assert difference.high > 0.2
    assert found.changed == Changed(0, 0)


def test_what_was_lost_is_counted_in_all_and_in_its_class() -> None:
    found = compared([1, 1, 1, 1, 0, 0, 0, 1], [1, 1, 1, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1])
    assert found.changed == Changed(gained=1, lost=3)
    assert found.accuracy.value == pytest.approx(5 / 8 - 7 / 8)
    cat, dog = found.classes
    assert (cat.label, cat.new, cat.champion, cat.changed) == ("cat", 1.0, 0.75, Changed(1, 0))
    assert (dog.label, dog.new, dog.champion, dog.changed) == ("dog", 0.25, 1.0, Changed(0, 3))
    assert dog.loss == 0.75


def test_balanced_accuracy_weighs_classes_alike() -> None:
    found = compared([1] * 9 + [0], [1] * 10, [0] * 9 + [1])
    assert found.accuracy.value == pytest.approx(-0.1)
    assert found.balanced_accuracy.value == pytest.approx(-0.5)


def test_images_of_one_unit_are_one_piece_of_evidence() -> None:
    labels, champion, new = [0] * 12 + [1] * 12, [1] * 24, [0] * 6 + [1] * 18
    alone = compared(new, champion, labels)
    together = compared(new, champion, labels, units=[7] * 6 + [*range(100, 118)])
    assert alone.changed == Changed(0, 6)
    assert together.changed == Changed(0, 1)
    assert (alone.units, together.units) == (24, 19)
    assert alone.accuracy.value == together.accuracy.value
    assert together.accuracy.high - together.accuracy.low > alone.accuracy.high - alone.accuracy.low


def test_a_unit_is_gained_or_lost_by_its_sum() -> None:
    new, champion = np.array([1, 1, 0, 0, 1], bool), np.array([0, 0, 1, 1, 0], bool)
    assert changed(new, champion, np.array([0, 0, 0, 1, 1])) == Changed(gained=1, lost=0)


def test_the_interval_of_a_difference_is_of_pairs_and_covers_it() -> None:
    rng = np.random.default_rng(3)
    labels, hard = rng.integers(0, 2, 400), rng.random(400) < 0.3
    lost = np.zeros(400, bool)
    lost[np.flatnonzero(~hard)[:20]] = True
    found = compared([*(~hard & ~lost)], [*~hard], [*labels])
    assert found.accuracy.low < -20 / 400 < found.accuracy.high < 0
    # Both models fail on the same hard images. Unpaired, the interval would be 0.13 wide.
    assert found.accuracy.high - found.accuracy.low < 0.06


def test_one_unit_alone_says_nothing() -> None:
    found = compared([0, 0, 0], [1, 1, 1], [0, 0, 1], units=[4, 4, 4])
    assert (found.accuracy.low, found.accuracy.high) == (-1, 1)


def test_a_class_without_images_is_not_compared() -> None:
    assert [one.label for one in compared([1, 1], [1, 0], [1, 1]).classes] == ["dog"]
