"""The key of a training: it changes with all that the result follows from, and with nothing else."""

import numpy as np
import pandas as pd

from pipeline.data.prepared import Dataset, Split
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.training.inputs import Data, training_key


def data(labels: tuple[int, ...] = (0, 0, 0, 1), content: str = "a") -> Data:
    """Four grey images."""
    rules = Images(width=8, height=8, fit="stretch", max_megapixels=1)
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(4)], "label": ["xy"[label] for label in labels]})
    split = Split(table, np.full((4, 8, 8, 3), 127, np.uint8), np.array(labels))
    return Data(Dataset(class_names=("x", "y"), images=rules, sha256=content), split, split)


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
