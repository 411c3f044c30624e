"""What a training is made of: class weights, its key, the warning of a gap; whole trainings are in test_training.py."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.log import log
from pipeline.data.prepared import Dataset, Split
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.train import Data, best_row, class_weights, training_key, warn_of_gap


def data(labels: tuple[int, ...] = (0, 0, 0, 1), content: str = "a") -> Data:
    """Four grey images."""
    rules = Images(width=8, height=8, fit="stretch", max_megapixels=1)
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(4)], "label": ["xy"[label] for label in labels]})
    split = Split(table, np.full((4, 8, 8, 3), 127, np.uint8), np.array(labels))
    return Data(Dataset(class_names=("x", "y"), images=rules, sha256=content), split, split)


def test_rare_classes_count_more_where_they_are_to() -> None:
    labels = np.array([0, 0, 0, 1])
    assert class_weights(labels, 2, "balanced") == pytest.approx([4 / (2 * 3), 4 / (2 * 1)])
    assert class_weights(labels, 2, "none").tolist() == [1, 1]


def test_the_key_changes_with_all_that_the_result_follows_from_and_with_nothing_else(defaults: Params) -> None:
    def changed(section: str, **values: object) -> Params:
        return defaults.model_copy(update={section: getattr(defaults, section).model_copy(update=values)})

    key = training_key(defaults, data())
    assert training_key(defaults, data()) == key
    assert training_key(changed("compute", workers=3), data()) == key
    assert training_key(changed("batch", shard_size=3), data()) == key
    assert training_key(changed("register_", model_name="other"), data()) == key
    others = [
        training_key(defaults.model_copy(update={"seed": 8}), data()),
        training_key(changed("train", label_smoothing=0.2), data()),
        training_key(changed("augment", rotation=0.2), data()),
        training_key(changed("compute", precision="mixed_bfloat16"), data()),
        training_key(changed("compute", distribution="mirrored"), data()),
        training_key(defaults, data(content="b")),
        training_key(defaults, data(labels=(0, 0, 1, 1))),
    ]
    assert len({key, *others}) == len(others) + 1


@pytest.mark.parametrize(("gap", "warned"), [(0.11, True), (0.1, False), (-0.3, False)])
def test_a_network_that_learnt_by_heart_is_warned_about(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, gap: float, warned: bool
) -> None:
    monkeypatch.setattr(log, "propagate", True)
    warn_of_gap(gap, max_gap=0.1)
    assert ("Overfitting" in caplog.text and "`augment`" in caplog.text) == warned


def test_the_row_of_the_best_epoch_is_found_by_what_is_monitored() -> None:
    table = pd.DataFrame({"phase": "head", "val_loss": [0.3, 0.2, 0.4], "val_accuracy": [0.7, 0.8, 0.9]})
    assert best_row(table, "val_loss") == {"val_loss": 0.2, "val_accuracy": 0.8}
    assert best_row(table, "val_accuracy") == {"val_loss": 0.4, "val_accuracy": 0.9}
