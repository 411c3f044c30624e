"""Corruptions are pictures, the same every time, and the stronger the worse."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from tests.fixtures.images import noise

PICTURES = [noise(48, 64, seed=1), noise(16, 16, seed=2), np.full((30, 40, 3), 128, np.uint8)]


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
