"""Measures mean what they say, and nearly the same pictures have nearly the same hash."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from pipeline.images.measures import SIDE, measure, measure_light
from tests.fixtures.images import noise


def plain(value: int) -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def halves() -> NDArray[np.uint8]:
    picture = plain(0)
    picture[:, SIDE // 2 :] = 255
    return picture


def photo(seed: int) -> Image.Image:
    """Shapes of all sizes, as in a photograph: the hash looks at the large ones."""
    rng = np.random.default_rng(seed)
    coarse = [Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)) for side in (4, 16, 64)]
    layers = [np.asarray(layer.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) for layer in coarse]
    return Image.fromarray((0.6 * layers[0] + 0.3 * layers[1] + 0.1 * layers[2]).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("pixels", "brightness", "contrast", "entropy"),
    [
        pytest.param(plain(0), 0, 0, 0, id="black"),
        pytest.param(plain(200), 200, 0, 0, id="grey"),
        pytest.param(halves(), 127.5, 127.5, 1, id="half black, half white"),
    ],
)
def test_measures_of_simple_pictures(
    pixels: NDArray[np.uint8], brightness: float, contrast: float, entropy: float
) -> None:
    found = measure(pixels)
    assert found.brightness == pytest.approx(brightness)
    assert found.contrast == pytest.approx(contrast)
    assert found.entropy == pytest.approx(entropy)


def test_sharpness_falls_with_every_blur() -> None:
    blurs = [photo(1).filter(ImageFilter.GaussianBlur(radius)) for radius in (0, 1, 2, 4, 8)]
    sharpness = [measure(np.asarray(picture)).sharpness for picture in blurs]
    assert sharpness == sorted(sharpness, reverse=True)
    assert measure(plain(90)).sharpness == 0


def bits_apart(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def as_jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=50)
    return Image.open(buffer)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(as_jpeg, id="saved as JPEG"),
        pytest.param(lambda picture: picture.resize((100, 100)).resize((SIDE, SIDE)), id="made smaller"),
        pytest.param(lambda picture: ImageEnhance.Contrast(picture).enhance(0.8), id="less contrast"),
        pytest.param(lambda picture: picture.filter(ImageFilter.GaussianBlur(1)), id="slightly blurred"),
        pytest.param(lambda picture: picture.convert("L").convert("RGB"), id="grey"),
    ],
)
def test_a_changed_copy_is_near_and_another_picture_is_far(change: Callable[[Image.Image], Image.Image]) -> None:
    for seed in range(5):
        original = measure(np.asarray(photo(seed))).phash
        assert len(original) == 64
        assert bits_apart(original, measure(np.asarray(change(photo(seed)))).phash) <= 24
        assert bits_apart(original, measure(np.asarray(photo(seed + 100))).phash) > 64


def test_measures_are_the_same_twice() -> None:
    pixels = np.asarray(Image.fromarray(noise()).resize((SIDE, SIDE)))
    assert measure(pixels) == measure(pixels.copy())


def test_the_light_of_a_picture_is_the_same_as_its_full_measures_and_as_numpys() -> None:
    pixels = np.asarray(photo(3))
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)
    whole, light = measure(pixels), measure_light(pixels)
    assert (light.brightness, light.contrast, light.sharpness) == (whole.brightness, whole.contrast, whole.sharpness)
    assert light.brightness == pytest.approx(grey.mean())
    assert light.contrast == pytest.approx(grey.std())
    padded = np.pad(grey, 1, mode="reflect")
    edges = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    assert light.sharpness == pytest.approx(edges.var())
