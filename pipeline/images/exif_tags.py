"""EXIF bytes -> the values of the few tags that are asked for. Decodes no other tag, opens no image, raises nothing.

Pillow decodes all tags of a directory when one of them is asked for: on a small picture of a large camera that takes a
third of the time of its pixels. EXIF 2.32 (CIPA DC-008), TIFF 6.0 section 2.
"""

import math
import struct
from dataclasses import dataclass

PREFIX = b"Exif\0\0"  # before the TIFF header; some write it twice
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # the TIFF header's begin -> the order of bytes, as struct writes it
ENTRY, VALUE, FIT = 12, 8, 4  # bytes: of a tag's entry, before its value or the place of that, and of either
TEXT, BYTES, RATIONALS = 2, (1, 7), {5: "I", 10: "i"}  # types
NUMBERS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
SIZES = {1: 1, 2: 1, 5: 8, 7: 1, 10: 8} | {kind: struct.calcsize(f"={code}") for kind, code in NUMBERS.items()}
MOST_BYTES = 1 << 20  # of one value; longer ones are pictures
MOST_TAGS = 1000  # of a directory; cameras write 80
Value = str | bytes | int | float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """Tags, and where their entries are."""

    data: bytes  # from the TIFF header on
    order: str
    tags: tuple[int, ...]
    at: int  # of the first entry

    def get(self, tag: int) -> Value | None:
        """A tag's text, bytes, number or numbers, as Pillow gives them (n/0: NaN); None: missing, or damaged.

        Of two entries of one tag the first counts.
        """
        if tag not in self.tags:
            return None
        entry = self.at + ENTRY * self.tags.index(tag)
        _, kind, count, place = struct.unpack_from(f"{self.order}HHII", self.data, entry)
        size = count * SIZES.get(kind, 0)
        at = entry + VALUE if size <= FIT else place
        raw = self.data[at : at + size] if size <= MOST_BYTES else b""
        if not 0 < size == len(raw):
            return None
        if kind == TEXT:
            return raw.removesuffix(b"\0").decode("latin-1")
        if kind in BYTES:
            return raw
        if code := RATIONALS.get(kind):
            parts = struct.unpack(f"{self.order}{2 * count}{code}", raw)
            values = tuple(
                above / below if below else math.nan for above, below in zip(parts[::2], parts[1::2], strict=True)
            )
        else:
            values = struct.unpack(f"{self.order}{count}{NUMBERS[kind]}", raw)
        return values if count > 1 else values[0]

    def inner(self, tag: int) -> "Directory":
        """The directory that a tag points to; an empty one where it points to none."""
        at = self.get(tag)
        return _directory(self.data, self.order, at) if isinstance(at, int) else EMPTY


EMPTY = Directory(b"", "<", (), 0)


def read_exif(data: bytes) -> Directory:
    """The first directory of EXIF data, with or without their prefix; an empty one where their header is damaged."""
    for _ in range(2):
        data = data.removeprefix(PREFIX)
    order = ORDERS.get(data[:4])
    return _directory(data, order, *struct.unpack_from(f"{order}I", data, 4)) if order and len(data) >= 8 else EMPTY


def _directory(data: bytes, order: str, at: int) -> Directory:
    """The entries that are whole."""
    if not 0 < at <= len(data) - 2:
        return EMPTY
    (count,) = struct.unpack_from(f"{order}H", data, at)
    whole = min(count, MOST_TAGS, (len(data) - at - 2) // ENTRY)
    return Directory(data, order, struct.unpack_from(f"{order}{'H10x' * whole}", data, at + 2), at + 2)
