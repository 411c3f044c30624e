"""Denoising and CLAHE: what they do, that they leave grey and borders alone, and that they always do the same."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.decode import decode, without_enhancement
from pipeline.images.enhance import enhance
from pipeline.params.data import Images
from tests.fixtures.images import noise
from tests.fixtures.nasty_formats import encoded

PHOTO = Image.fromarray(noise())
RULES = Images(width=48, height=36, fit="stretch", max_megapixels=1)
EVERY_WAY = [
    {"denoise": "median"},
    {"denoise": "non_local_means"},
    {"clahe": 2.0},
    {"denoise": "median", "clahe": 2.0},
    {"denoise": "non_local_means", "clahe": 4.0},
]


def rules(**changes: Any) -> Images:
    return Images.model_validate(RULES.model_dump() | changes)


def with_grain(sigma: float = 10) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A smooth picture, and the same with noise."""
    clean = noise(96, 72)
    grain = np.random.default_rng(1).normal(0, sigma, clean.shape)
    return clean, (clean + grain).clip(0, 255).astype(np.uint8)


def error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.sqrt(np.mean((first.astype(float) - second) ** 2)))


def test_nothing_asked_is_nothing_done() -> None:
    pixels = noise()
    assert enhance(pixels, RULES) is pixels


@pytest.mark.parametrize("how", ["median", "non_local_means"])
def test_denoising_takes_noise_out(how: str) -> None:
    clean, grainy = with_grain()
    assert error(enhance(grainy, rules(denoise=how)), clean) < 0.6 * error(grainy, clean)


def test_a_median_by_hand() -> None:
    pixels = np.full((5, 5, 3), 100, np.uint8)
    pixels[2, 2] = 255
    assert (enhance(pixels, rules(denoise="median")) == 100).all()


def test_clahe_widens_the_contrast_and_more_so_with_a_higher_limit() -> None:
    flat = (noise(256, 192) // 8 + 100).astype(np.uint8)
    spread = [float(enhance(flat, rules(clahe=limit)).std()) for limit in (1.0, 3.0, 9.0)]
    assert float(flat.std()) < spread[0] < spread[1] < spread[2]


def test_noise_is_taken_out_before_the_contrast_is_evened() -> None:
    _, grainy = with_grain()
    both = enhance(grainy, rules(denoise="median", clahe=2.0))
    one_by_one = enhance(enhance(grainy, rules(denoise="median")), rules(clahe=2.0))
    np.testing.assert_array_equal(both, one_by_one)


@pytest.mark.parametrize("how", EVERY_WAY, ids=str)
def test_grey_stays_grey(how: dict[str, Any]) -> None:
    _, grainy = with_grain()
    pixels = enhance(np.repeat(grainy[:, :, :1], 3, axis=2), rules(**how))
    assert (pixels == pixels[:, :, :1]).all()


@pytest.mark.parametrize("how", EVERY_WAY, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (36, 48)], ids=str)
def test_every_size_keeps_its_shape(how: dict[str, Any], shape: tuple[int, int]) -> None:
    pixels = noise(48, 36)[: shape[0], : shape[1]]
    before = pixels.copy()
    after = enhance(pixels, rules(**how))
    assert (after.shape, after.dtype) == (pixels.shape, np.uint8)
    np.testing.assert_array_equal(pixels, before, "the argument is left as it is")


@pytest.mark.parametrize("how", EVERY_WAY, ids=str)
def test_many_threads_give_what_one_gives(how: dict[str, Any]) -> None:
    pictures = [noise(64, 48, seed) for seed in range(24)]
    alone = [enhance(pixels, rules(**how)) for pixels in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pixels: enhance(pixels, rules(**how)), pictures))
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))


@pytest.mark.parametrize("how", EVERY_WAY, ids=str)
def test_the_borders_of_a_padded_picture_stay_black(how: dict[str, Any]) -> None:
    bright = PHOTO.point(lambda value: 150 + value // 4)
    pixels = decode(encoded(bright, "PNG"), rules(fit="pad", width=80, height=30, **how)).pixels
    assert pixels[:, :20].max() == pixels[:, 60:].max() == 0
    assert pixels[:, 20:60].min() > 60


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_a_picture_is_enhanced_at_the_size_the_model_sees(fit: str) -> None:
    data = encoded(PHOTO, "PNG")
    plain = decode(data, rules(fit=fit)).pixels
    wanted = rules(fit=fit, denoise="median", clahe=2.0)
    np.testing.assert_array_equal(decode(data, wanted).pixels, enhance(plain, wanted))


def test_the_narrowest_strip_shrinks_to_nothing_and_is_all_border() -> None:
    data = encoded(PHOTO.resize((1000, 1)), "PNG")
    assert decode(data, rules(fit="pad", denoise="median", clahe=2.0)).pixels.max() == 0


def test_rules_without_enhancement_show_the_file_itself() -> None:
    full = rules(fit="pad", denoise="median", clahe=2.0, window=[40, 400], bands=[3, 2, 1], stretch=[1, 99])
    expected = rules(width=64, height=64, window=[40, 400], bands=[3, 2, 1], stretch=[1, 99])
    assert without_enhancement(full, 64) == expected
