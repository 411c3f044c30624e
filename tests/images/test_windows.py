"""Where a scene is cut: everything is in a tile, nothing is padded, and turned pictures are cut as they are seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.orientation import turned_upright, upright_size
from pipeline.images.windows import Window, as_stored, count, starts, windows
from pipeline.params.data import Tiles
from tests.fixtures.images import noise

QUARTER = Tiles(size=64, overlap=0.25)


@pytest.mark.parametrize(
    ("length", "begins"),
    [
        pytest.param(40, [0], id="smaller than a tile"),
        pytest.param(64, [0], id="one tile"),
        pytest.param(65, [0, 1], id="a pixel more: shifted inside"),
        pytest.param(112, [0, 48], id="two tiles that meet"),
        pytest.param(113, [0, 48, 49], id="the last one is shifted"),
        pytest.param(200, [0, 48, 96, 136], id="several"),
    ],
)
def test_tiles_begin_a_step_apart_and_the_last_is_shifted_inside(length: int, begins: list[int]) -> None:
    assert starts(length, QUARTER) == begins


def test_without_overlap_tiles_stand_side_by_side() -> None:
    found = [*windows(128, 64, Tiles(size=64, overlap=0.0))]
    assert found == [Window(0, 0, 64, 64), Window(64, 0, 64, 64)]


@given(
    width=st.integers(1, 400), height=st.integers(1, 400), size=st.integers(32, 128),
    overlap=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
)  # fmt: skip
def test_every_pixel_is_in_a_tile_of_one_size_and_no_tile_reaches_out(
    width: int, height: int, size: int, overlap: float
) -> None:
    tiles = Tiles(size=size, overlap=overlap)
    found = [*windows(width, height, tiles)]
    seen = np.zeros((height, width), bool)
    for x, y, wide, high in found:
        assert (wide, high) == (min(size, width), min(size, height))
        assert 0 <= x <= width - wide
        assert 0 <= y <= height - high
        seen[y : y + high, x : x + wide] = True
    assert seen.all()
    assert len({*found}) == len(found) == count(width, height, tiles)
    assert found == sorted(found, key=lambda one: (one.y, one.x))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_window_of_a_turned_picture_is_found_where_it_is_stored(orientation: int) -> None:
    stored = Image.fromarray(noise(90, 60, orientation))
    upright = np.asarray(turned_upright(stored, orientation))
    assert upright.shape[1::-1] == upright_size(*stored.size, orientation)
    for window in windows(*upright_size(*stored.size, orientation), Tiles(size=32, overlap=0.25)):
        x, y, width, height = as_stored(window, stored.size, orientation)
        found = turned_upright(stored.crop((x, y, x + width, y + height)), orientation)
        expected = upright[window.y : window.y + window.height, window.x : window.x + window.width]
        np.testing.assert_array_equal(np.asarray(found), expected)
