"""However many threads decode, only so many pixels are decoded at a time, and nothing waits for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from pipeline.images.decode import UnreadableImage, decode
from pipeline.images.in_flight import IN_FLIGHT, Pixels
from pipeline.params.data import Images
from tests.fixtures.images import noise
from tests.fixtures.nasty_formats import encoded

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)


@pytest.mark.parametrize(("size", "most"), [(10, 4), (25, 1), (60, 1), (1, 16)])
def test_no_more_pixels_are_decoded_at_a_time_than_allowed(size: int, most: int) -> None:
    pixels, busy, seen = Pixels(40), [], []

    def one(_number: int) -> None:
        pixels.claim(size)
        busy.append(1)
        seen.append(len(busy))
        time.sleep(0.005)
        busy.pop()
        pixels.release()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(40)))
    assert max(seen) <= most
    assert pixels.used == 0


def test_a_second_claim_of_the_same_picture_never_waits_for_itself() -> None:
    pixels = Pixels(40, patience=60)
    pixels.claim(40)
    pixels.claim(40)
    assert pixels.used == 40
    pixels.release()
    assert pixels.used == 0


def test_a_decoder_that_hangs_does_not_stop_the_others() -> None:
    pixels = Pixels(40, patience=0.05)
    stuck = threading.Thread(target=lambda: pixels.claim(40))
    stuck.start()
    stuck.join()
    pixels.claim(40)
    assert pixels.used == 80


def test_every_picture_gives_its_pixels_back_also_a_damaged_one() -> None:
    whole = encoded(Image.fromarray(noise(160, 120)), "PNG")
    decode(whole, RULES)
    for data in (whole[:-400], encoded(Image.new("L", (2000, 2000)), "PNG"), b"no picture"):
        with pytest.raises(UnreadableImage):
            decode(data, RULES)
    assert IN_FLIGHT.used == 0
