"""Strangers made of validation images, and how well outlier scores see them."""

import numpy as np
import pytest

from pipeline.training.strangers import TILES, shuffled, strangers_seen

IMAGES = np.random.default_rng(3).integers(0, 256, (40, 17, 22, 3), np.uint8)


def test_a_stranger_has_an_images_pixels_in_another_order() -> None:
    found = shuffled(IMAGES, np.random.default_rng(1))
    assert found.shape == IMAGES.shape
    assert (found != IMAGES).mean() > 0.5
    tall, wide = 17 // TILES * TILES, 22 // TILES * TILES
    for image, stranger in zip(IMAGES, found, strict=True):
        assert sorted(image[:tall, :wide].ravel()) == sorted(stranger[:tall, :wide].ravel())
    np.testing.assert_array_equal(found[:, tall:], IMAGES[:, tall:])
    np.testing.assert_array_equal(found, shuffled(IMAGES, np.random.default_rng(1)))


def test_scores_that_see_the_order_see_strangers_and_others_do_not() -> None:
    upright = np.sort(IMAGES, axis=1)  # dark above, bright below

    def by_order(images: np.ndarray) -> np.ndarray:
        rows = images.mean(axis=(2, 3))
        return np.asarray(rows[:, :8].mean(axis=1) - rows[:, 8:].mean(axis=1), np.float32)

    assert strangers_seen(by_order, upright, seed=1) == 1
    assert strangers_seen(lambda images: np.float32(images.mean(axis=(1, 2, 3))), upright, seed=1) == pytest.approx(0.5)
    assert strangers_seen(lambda images: -by_order(images), upright, seed=1) == 0
