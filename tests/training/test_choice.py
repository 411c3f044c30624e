"""Which of two networks is better, by the logits for the same few images."""

import numpy as np
import pytest

from pipeline.evaluation.metrics import accuracy, balanced_accuracy, mean_log_loss
from pipeline.model.engine import probabilities
from pipeline.params.model import Monitor
from pipeline.training.calibration import fit_temperature
from pipeline.training.choice import Difference, difference, scores

Logits = np.ndarray


def answers(seed: int, count: int, right: float) -> tuple[Logits, np.ndarray]:
    """Logits for labels of three classes, one of them rare; larger `right`: better ones."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=[0.5, 0.4, 0.1])
    return (rng.normal(0, 1, (count, 3)) + right * np.eye(3)[labels]).astype(np.float32), labels


def test_the_mean_of_the_scores_is_the_metric() -> None:
    logits, labels = answers(0, 60, 1.0)
    plain, fitted = probabilities(logits, 1.0), probabilities(logits, fit_temperature(logits, labels))
    assert scores(logits, labels, "val_accuracy").mean() == pytest.approx(accuracy(labels, plain))
    assert scores(logits, labels, "val_balanced_accuracy").mean() == pytest.approx(balanced_accuracy(labels, plain))
    assert scores(logits, labels, "val_loss").mean() == pytest.approx(-mean_log_loss(labels, fitted))


def test_to_be_only_too_confident_is_not_worse() -> None:
    logits, labels = answers(1, 40, 1.0)
    found = difference(6 * logits, logits, labels, np.arange(40), "val_loss")
    assert found.mean == pytest.approx(0, abs=1e-3)
    assert not found.is_clearly_worse


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_balanced_accuracy"])
def test_a_clear_loss_is_told_from_noise(monitor: Monitor) -> None:
    good, labels = answers(2, 300, 2.5)
    bad, _ = answers(2, 300, 0.5)
    scenes = np.arange(300)
    assert difference(bad, good, labels, scenes, monitor).is_clearly_worse
    better = difference(good, bad, labels, scenes, monitor)
    assert (better.is_clearly_better, better.is_clearly_worse) == (True, False)
    assert not difference(good, good, labels, scenes, monitor).is_clearly_worse, "a tie goes to the fine-tuned one"


def test_images_of_one_scene_count_as_one() -> None:
    """Each image four times: the mean stays, and its error is that of a quarter as many images."""
    one, labels = answers(3, 50, 1.0)
    other = one[::-1].copy()
    alone = difference(one, other, labels, np.arange(50), "val_accuracy")
    again = [np.repeat(part, 4, axis=0) for part in (one, other, labels, np.arange(50))]
    assert difference(*again, "val_accuracy") == alone
    spread = (scores(one, labels, "val_accuracy") - scores(other, labels, "val_accuracy")).std(ddof=1)
    assert alone.error == pytest.approx(spread / np.sqrt(50))


def test_one_scene_tells_nothing() -> None:
    logits, labels = answers(4, 5, 1.0)
    found = difference(logits, -logits, labels, np.zeros(5, np.int64), "val_loss")
    assert found.error == np.inf
    assert not found.is_clearly_worse
    assert not found.is_clearly_better
    assert Difference(-0.2, 0.1).is_clearly_worse
