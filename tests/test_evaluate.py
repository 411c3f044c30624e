"""The numbers of an evaluation, and that its figures show what they should."""

import numpy as np
import pytest

from pipeline.evaluate import Answers, draw_confusion_matrix, draw_contact_sheet, evaluate
from pipeline.params_model import Evaluate
from tests.conftest import noise

PARAMS = Evaluate(interval_level=0.95, resamples=200)
NAMES = ("cat", "dog", "owl")
# Two cats right, one cat taken for a dog (sure of it), one dog right but unsure; no owl among the images.
ANSWERS = Answers(
    labels=np.array([0, 0, 0, 1]),
    probabilities=np.array([[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.3, 0.4, 0.3]], np.float32),
)


def test_every_number_of_a_small_case_worked_by_hand() -> None:
    found = evaluate(ANSWERS, NAMES, unsure_below=0.5, params=PARAMS, seed=1)
    assert found["images"] == 4
    assert found["accuracy"]["value"] == 0.75
    assert found["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["log_loss"]["value"] == pytest.approx(-np.log([0.9, 0.8, 0.05, 0.4]).mean(), rel=1e-6)
    assert found["unsure_share"] == 0.25
    assert found["accuracy_when_sure"] == pytest.approx(2 / 3)
    assert found["classes"]["cat"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "images": 3}
    assert found["classes"]["dog"]["precision"] == 0.5
    assert found["classes"]["owl"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}


def test_when_nothing_is_sure_there_is_no_accuracy_of_the_sure() -> None:
    assert evaluate(ANSWERS, NAMES, unsure_below=1.0, params=PARAMS, seed=1)["accuracy_when_sure"] is None


def test_the_confusion_matrix_shows_counts_with_the_truth_in_rows() -> None:
    texts = [text.get_text() for text in draw_confusion_matrix(ANSWERS, NAMES).axes[0].texts]
    assert texts == ["2", "1", "0", "0", "1", "0", "0", "0", "0"]


def test_the_contact_sheet_shows_mistakes_with_both_labels() -> None:
    images = np.stack([noise(8, 8, seed) for seed in range(4)])
    titles = [axes.get_title() for axes in draw_contact_sheet(ANSWERS, images, NAMES).axes if axes.get_title()]
    assert titles == ["dog 95%\nis cat", "cat 90%", "cat 80%", "dog 40%"]


@pytest.mark.parametrize("right", [True, False])
def test_a_sheet_is_drawn_when_everything_is_right_or_wrong(right: bool) -> None:
    answers = Answers(np.array([0, 1]), np.eye(2, dtype=np.float32)[[0, 1] if right else [1, 0]])
    sheet = draw_contact_sheet(answers, np.stack([noise(8, 8), noise(8, 8)]), ("a", "b"))
    assert sum(bool(axes.get_title()) for axes in sheet.axes) == 2
