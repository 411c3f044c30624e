"""The parts of a training; whole trainings are in test_training.py."""

import numpy as np
import pandas as pd
import pytest

from pipeline.training.recipe import best_row, class_weights, methods_for


def test_rare_classes_count_more_where_they_are_to() -> None:
    labels = np.array([0, 0, 0, 1])
    assert class_weights(labels, 2, "balanced") == pytest.approx([4 / (2 * 3), 4 / (2 * 1)])
    assert class_weights(labels, 2, "none").tolist() == [1, 1]


def test_the_row_of_the_best_epoch_is_found_by_what_is_monitored() -> None:
    table = pd.DataFrame({"phase": "head", "val_loss": [0.3, 0.2, 0.4], "val_accuracy": [0.7, 0.8, 0.9]})
    assert best_row(table, "val_loss") == {"val_loss": 0.2, "val_accuracy": 0.8}
    assert best_row(table, "val_accuracy") == {"val_loss": 0.4, "val_accuracy": 0.9}


def test_only_few_images_are_tried_with_every_method() -> None:
    assert methods_for("auto", 19.5) == ("linear", "ridge", "nearest_mean")
    assert methods_for("auto", 20) == ("linear",)
    assert methods_for("ridge", 500) == ("ridge",)
