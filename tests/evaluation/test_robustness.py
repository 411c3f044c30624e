"""The answers on corrupted images: asked rightly, in order, with the same noise each time."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.evaluation import robustness
from pipeline.evaluation.corruptions import CORRUPTIONS, STRENGTHS
from pipeline.evaluation.robustness import chosen, measure_robustness
from pipeline.model.answers import Answers
from pipeline.model.contract import Contract
from pipeline.model.engine import Engine
from pipeline.params.data import Images

RULES = Images(width=12, height=10, fit="stretch", max_megapixels=1)
CONTRACT = Contract(
    class_names=("dark", "bright"), images=RULES, backbone="cnn", temperature=1.0, unsure_below=0.7,
    dataset_sha256="", weights_sha256="", code_commit="",
)  # fmt: skip


def by_brightness(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network: bright is what is above the middle of the range."""
    distance = (batch.mean(axis=(1, 2, 3)) / 255 - 0.5) * 10
    return np.stack([-distance, distance], axis=1).astype(np.float32)


ENGINE = Engine(CONTRACT, by_brightness)


def ask(count: int = 12, batch_size: int = 5, workers: int = 2) -> pd.DataFrame:
    labels = np.arange(count) % 2
    images = np.stack([np.full((10, 12, 3), 60 if label == 0 else 180, np.uint8) for label in labels])
    answers = Answers(labels, ENGINE.predict(images))
    return measure_robustness(ENGINE, images, answers, seed=3, batch_size=batch_size, workers=workers)


def test_one_row_for_the_clean_images_and_one_for_each_corruption_and_strength() -> None:
    found = ask()
    assert list(found["corruption"])[:2] == ["none", "blur"]
    assert len(found) == 1 + len(CORRUPTIONS) * len(STRENGTHS)
    assert (found["images"] == 12).all()


def test_a_network_that_looks_at_brightness_falls_by_light_alone() -> None:
    found = ask().set_index(["corruption", "strength"])
    assert found.loc[("none", 0), "accuracy"] == 1
    assert (found.loc[["blur", "JPEG", "less contrast"], "accuracy"] == 1).all()
    assert found.loc[("darker", 3), "accuracy"] == 0.5  # the bright ones are dark now
    assert found.loc[("brighter", 3), "accuracy"] == 0.5
    assert found.loc[("brighter", 3), "balanced_accuracy"] == 0.5
    assert found.loc[("none", 0), "unsure_share"] == 0
    assert found.loc[("brighter", 2), "unsure_share"] > 0  # the dark ones come near the middle


def test_batches_and_threads_change_nothing() -> None:
    assert ask(batch_size=1, workers=1).equals(ask(batch_size=64, workers=4))


def test_each_image_has_noise_of_its_own() -> None:
    seen: list[NDArray[np.uint8]] = []

    def looking(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(batch)
        return by_brightness(batch)

    images = np.full((2, 10, 12, 3), 100, np.uint8)
    answers = Answers(np.zeros(2, np.int64), ENGINE.predict(images))
    measure_robustness(Engine(CONTRACT, looking), images, answers, seed=3, batch_size=2, workers=1)
    differ = [bool((first != second).any()) for first, second in seen]
    assert differ == [name == "noise" for name in CORRUPTIONS for _ in STRENGTHS]


def test_of_many_images_some_are_drawn_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(5, seed=1).tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr(robustness, "MOST_IMAGES", 6)
    rows = chosen(50, seed=1)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 6
    assert rows.tolist() == chosen(50, seed=1).tolist() != chosen(50, seed=2).tolist()
    assert (ask(20)["images"] == 6).all()
