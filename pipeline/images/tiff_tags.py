"""The tags of a TIFF's first page, read from an opened file before any library trusts them. Decodes no pixels.

A hostile file declares tags of gigabytes, or pixels outside itself: what is read here is limited first.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.images.formats import TIFF_STARTS
from pipeline.images.frame import UnreadableImage

WIDTH, LENGTH, SAMPLES_PER_PIXEL, NODATA, DNG_VERSION = 256, 257, 277, 42113, 50706
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES, SUB_IFDS = 273, 279, 324, 325, 330
PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS = 33550, 33922, 34264, 34735
MOST_TAG_BYTES = 16_000_000  # of one tag: the offsets of two million tiles
MOST_BYTES = 4 * MOST_TAG_BYTES  # of all
MOST_TAGS = 4096
CODES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q",
         18: "Q"}  # fmt: skip
TYPE_BYTES = {5: 8, 10: 8} | {kind: struct.calcsize(f"={code}") for kind, code in CODES.items()}
LAYOUT = frozenset({*range(254, 260), 262, *range(273, 280), 284, 317, *range(320, 326), 338, 339, 347, 530})


@dataclass(frozen=True, slots=True)
class TiffTags:
    """Where the values of a page's tags are."""

    opened: BinaryIO
    at: int  # the page's place in the file
    following: int  # that of the next page; 0: this is the last
    order: str  # of the bytes, as struct writes it
    places: Mapping[int, tuple[int, int, int]]  # tag -> type, count, offset in the file

    def numbers(self, tag: int, most: int = 100_000) -> tuple[float, ...]:
        """A tag's numbers, at most `most`; empty where the file lacks the tag, or says its values in another type."""
        kind, count, at = self.places.get(tag, (0, 0, 0))
        if kind not in CODES or CODES[kind] == "c" or not 0 < count <= most:
            return ()
        self.opened.seek(at)
        form = f"{self.order}{count}{CODES[kind]}"
        data = self.opened.read(struct.calcsize(form))
        return struct.unpack(form, data) if len(data) == struct.calcsize(form) else ()

    def first(self, tag: int, otherwise: int = 0) -> int:
        """A tag's first number."""
        return int(next(iter(self.numbers(tag)), otherwise))


def is_tiff(opened: BinaryIO) -> bool:
    """Whether an opened file begins as a TIFF or BigTIFF."""
    opened.seek(0)
    return opened.read(4) in TIFF_STARTS


def read_tags(opened: BinaryIO, at: int = 0) -> TiffTags:
    """The tags of an opened TIFF's first page, or of the page `at` a place of the file.

    Raises UnreadableImage for a file that is cut off or made to do harm.
    """
    size = opened.seek(0, 2)
    opened.seek(0)
    start = opened.read(16)
    try:
        order = "<" if start[:2] == b"II" else ">"
        is_big = struct.unpack_from(f"{order}H", start, 2) == (43,)
        (first,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", start, 8 if is_big else 4)
        at = at or first
        head, entry, place = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
        opened.seek(at)
        (count,) = struct.unpack(f"{order}{head}", opened.read(struct.calcsize(f"={head}")))
        if count > MOST_TAGS:
            raise UnreadableImage(f"damaged image: its first page claims {count} tags")
        each = struct.calcsize(f"={entry}")
        table = opened.read(count * each)
        (following,) = struct.unpack(f"{order}{place}", opened.read(struct.calcsize(f"={place}")))
        begin = at + struct.calcsize(f"={head}")
        places, total = {}, 0
        for number in range(count):
            tag, kind, values, cell = struct.unpack_from(f"{order}{entry}", table, number * each)
            length = values * TYPE_BYTES.get(kind, 1)
            inline = begin + (number + 1) * each - len(cell)
            where = inline if length <= len(cell) else struct.unpack(f"{order}{place}", cell)[0]
            total += length
            if length > MOST_TAG_BYTES or total > MOST_BYTES:
                raise UnreadableImage(f"damaged image: its tag {tag} claims {length} bytes")
            if where + length > size and tag in LAYOUT:
                raise UnreadableImage("damaged image: it is cut off")
            if where + length <= size:
                places[tag] = (kind, values, where)
    except (struct.error, OverflowError):
        raise UnreadableImage("damaged image: it is cut off") from None
    return TiffTags(opened, at, following, order, places)
