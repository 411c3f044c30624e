"""Corruptions are pictures, the stronger the worse, and the same every time; the model answers them in order."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.evaluation import robustness
from pipeline.evaluation.robustness import CORRUPTIONS, STRENGTHS, chosen, corrupted, measure_robustness
from pipeline.model.contract import Contract
from pipeline.model.engine import Engine
from pipeline.params.data import Images
from tests.fixtures.evaluations import judge
from tests.fixtures.images import noise

RULES = Images(width=12, height=10, fit="stretch", max_megapixels=1)
CONTRACT = Contract(
    class_names=("dark", "bright"), images=RULES, backbone="cnn", temperature=1.0, unsure_below=0.7,
    dataset_sha256="", weights_sha256="", code_commit="",
)  # fmt: skip
PICTURES = [noise(48, 64, seed=1), noise(16, 16, seed=2), np.full((30, 40, 3), 128, np.uint8)]


def by_brightness(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network: bright is what is above the middle of the range."""
    distance = (batch.mean(axis=(1, 2, 3)) / 255 - 0.5) * 10
    return np.stack([-distance, distance], axis=1).astype(np.float32)


ENGINE = Engine(CONTRACT, by_brightness)


def ask(count: int = 12, batch_size: int = 5, workers: int = 2) -> pd.DataFrame:
    labels = np.arange(count) % 2
    images = np.stack([np.full((10, 12, 3), 60 if label == 0 else 180, np.uint8) for label in labels])
    judged = judge(labels, ENGINE.predict(images), CONTRACT.unsure_below)
    return measure_robustness(ENGINE, None, images, judged, seed=3, batch_size=batch_size, workers=workers)


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
    judged = judge([0, 0], ENGINE.predict(images), CONTRACT.unsure_below)
    measure_robustness(Engine(CONTRACT, looking), None, images, judged, seed=3, batch_size=2, workers=1)
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


def detailed(seed: int = 0) -> NDArray[np.uint8]:
    """A picture with edges and colours, neither dark nor bright."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 190, (8, 8, 3)).astype(np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_result_is_a_picture_of_the_same_size_and_the_original_stays(name: str, strength: int) -> None:
    for picture in PICTURES:
        before = picture.copy()
        found = corrupted(picture, name, strength, (7, 1))
        assert (found.dtype, found.shape) == (np.uint8, picture.shape)
        assert (picture == before).all()
        assert (found == corrupted(picture, name, strength, (7, 1))).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_stronger_the_further_from_the_original(name: str) -> None:
    for seed in range(3):
        picture = detailed(seed)
        distance = [
            np.abs(corrupted(picture, name, strength, (seed,)).astype(float) - picture).mean() for strength in STRENGTHS
        ]
        assert 0 < distance[0] < distance[1] < distance[2]


def test_noise_belongs_to_its_seed_and_is_as_strong_as_it_says() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    first, other = corrupted(grey, "noise", 1, (1,)), corrupted(grey, "noise", 1, (2,))
    assert (first != other).any()
    assert first.std() / 255 == pytest.approx(0.08, rel=0.05)


@pytest.mark.parametrize(("name", "sign"), [("brighter", 1), ("darker", -1)])
def test_light_goes_the_way_that_its_name_says(name: str, sign: int) -> None:
    picture = detailed()
    assert sign * (corrupted(picture, name, 1, (0,)).mean() - picture.mean()) > 10


def test_less_contrast_keeps_the_mean_and_the_share_it_says() -> None:
    picture = detailed()
    found = corrupted(picture, "less contrast", 1, (0,))
    assert found.mean() == pytest.approx(picture.mean(), abs=1)
    assert found.std() / picture.std() == pytest.approx(0.4, abs=0.02)


def test_a_blur_is_as_wide_in_proportion() -> None:
    small = detailed()
    large = np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)
    of_small, of_large = (corrupted(picture, "blur", 3, (0,)).astype(float) for picture in (small, large))
    assert np.abs(of_large[2::4, 2::4] - of_small).mean() < 0.25 * np.abs(of_small - small).mean()
