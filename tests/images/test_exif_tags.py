"""Values of tags straight from EXIF bytes are those that Pillow gives; the others are never decoded."""

import io
import math
import struct
import sys
from typing import Any

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from pipeline.images.exif_tags import MOST_TAGS, Directory, read_exif
from pipeline.images.taken_exif import taken_of
from tests.fixtures.taken import IMAGE

INNER = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
MAIN = {271: "X", 272: "X 1", 274: 6, 282: IFDRational(72), 306: "2024:05:01 12:30:15", 50341: b"PrintIM"}
DETAILS = {33434: IFDRational(1, 250), 34855: 400, 36864: b"0231", 36867: "2024:05:01 12:30:15", 36881: "+02:00",
           37121: b"\1\2\3\0", 37380: IFDRational(-1, 3), 37500: b"maker" * 999, 40961: 1, 40962: 70_000, 42033: "77",
           42034: (IFDRational(24), IFDRational(70), IFDRational(28, 10), IFDRational(0, 0))}  # fmt: skip
PLACE = {0: b"\2\3\0\0", 1: "N", 2: (IFDRational(51), IFDRational(45), IFDRational(72, 10)), 5: b"\1",
         6: IFDRational(615, 10), 29: "2024:05:01"}  # fmt: skip


def exif(order: str) -> bytes:
    """EXIF data of tags of every type."""
    found = Image.Exif()
    found.endian = order
    found.update(MAIN)
    for tag, values in zip(INNER, (DETAILS, PLACE), strict=True):
        found.get_ifd(tag).update(values)
    return found.tobytes()


def plain(value: Any) -> Any:
    """A value in which all that is not a number is equal."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    number = float(value) if isinstance(value, int | float | IFDRational) else value
    return "NaN" if isinstance(number, float) and math.isnan(number) else number


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0Exif\0\0"])
def test_every_value_is_pillows(order: str, prefix: bytes) -> None:
    data = exif(order)
    pillows = Image.Exif()
    pillows.load(data)

    first = read_exif(prefix + data.removeprefix(b"Exif\0\0"))

    for ours, theirs in [(first, pillows), *((first.inner(tag), pillows.get_ifd(tag)) for tag in INNER)]:
        assert set(ours.tags) == {*theirs} - {0x8769, 0x8825} | set(ours.tags).intersection(INNER)
        assert {tag: plain(ours.get(tag)) for tag in theirs} == {tag: plain(value) for tag, value in theirs.items()}


def test_damage_is_a_missing_value() -> None:
    def directory(*entries: tuple[int, int, int, int], count: int | None = None) -> Directory:
        table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return read_exif(struct.pack("<2sHIH", b"II", 42, 8, len(entries) if count is None else count) + table)

    there = directory((1, 3, 1, 7), (1, 3, 1, 8), (2, 2, 900, 3), (3, 99, 1, 5), (4, 3, 0, 0), (5, 5, 1, 1 << 31))
    assert [there.get(tag) for tag in range(1, 7)] == [7, None, None, None, None, None]
    assert directory((1, 3, 1, 7), count=40).tags == (1,)
    assert len(directory(*[(1, 3, 1, 7)] * (MOST_TAGS + 9)).tags) == MOST_TAGS
    assert directory((1, 4, 1, 1 << 31)).inner(1).tags == directory((1, 2, 4, 65)).inner(1).tags == ()
    assert read_exif(b"").tags == read_exif(b"II*\0\xff\xff\xff\xff").tags == read_exif(b"nonsense").tags == ()


def test_what_nobody_asks_for_is_not_decoded() -> None:
    buffer = io.BytesIO()
    IMAGE.save(buffer, "JPEG", exif=exif("<"))
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    with Image.open(buffer) as image:
        sys.setprofile(count)
        try:
            taken = taken_of(image)
        finally:
            sys.setprofile(None)

    assert taken.camera == "X 1 77"
    assert calls < 700  # calls and returns, of C functions too; by Pillow 2,543
