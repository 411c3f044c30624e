"""Where a scene is cut: the one function for training and nights. Opens no file and sees no pixel.

Tiles stand in rows from the top left, a step of `size * (1 - overlap)` apart. The last one of a row or column is
shifted inside, so it overlaps its neighbour more; no tile is padded, as a model has never seen such borders. A picture
that is smaller than a tile in one direction is cut in the other only.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.images.orientation import QUARTER_TURNS
from pipeline.params.data import Tiles


class Window(NamedTuple):
    """A part of a picture, in pixels from its top left corner."""

    x: int
    y: int
    width: int
    height: int


def windows(width: int, height: int, tiles: Tiles) -> Iterator[Window]:
    """The tiles of a picture of width x height pixels, row by row."""
    columns = starts(width, tiles)
    for y in starts(height, tiles):
        for x in columns:
            yield Window(x, y, min(tiles.size, width), min(tiles.size, height))


def count(width: int, height: int, tiles: Tiles) -> int:
    """How many tiles a picture of width x height pixels has."""
    return len(starts(width, tiles)) * len(starts(height, tiles))


def starts(length: int, tiles: Tiles) -> list[int]:
    """Where the tiles along a side of `length` pixels begin."""
    last = max(0, length - tiles.size)
    step = max(1, round(tiles.size * (1 - tiles.overlap)))
    return [*range(0, last, step), last]


def as_stored(window: Window, size: tuple[int, int], orientation: int) -> Window:
    """Where a window of the upright picture lies in the stored one.

    size: width and height of the stored picture; orientation: EXIF's number, 1 to 8.
    """
    x, y, width, height = window
    if orientation in QUARTER_TURNS:  # stored columns are upright rows
        x, y, width, height = y, x, height, width
    if orientation in (2, 3, 7, 8):
        x = size[0] - x - width
    if orientation in (3, 4, 6, 7):
        y = size[1] - y - height
    return Window(x, y, width, height)
