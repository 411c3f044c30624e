"""Bytes that are missing or changed, where a decoder would not say so."""

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import decode
from pipeline.images.frame import UnreadableImage
from pipeline.images.integrity import jpeg_end, png_lacks_pixels, refuse_damaged
from pipeline.params.data import Images
from tests.fixtures.images import noise
from tests.fixtures.nasty_formats import encoded, interlaced, png, scanlines

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)
PHOTO = Image.fromarray(noise(160, 120))
CUT = "damaged image: it is cut off"


def with_thumbnail() -> bytes:
    """A JPEG with a smaller one in its EXIF, as cameras write it: two end markers."""
    small = encoded(PHOTO.resize((16, 12)), "JPEG")
    data = encoded(PHOTO, "JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 8) + b"Exif\0\0" + small + data[2:]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_the_end_of_a_jpeg_is_found(options: dict[str, Any]) -> None:
    data = encoded(PHOTO, "JPEG", quality=95, **options)
    assert jpeg_end(data) == len(data) - 2
    assert jpeg_end(data + data) == len(data) - 2, "the first picture's"
    assert jpeg_end(data[:-2] + b"\xff\xff\xff\xd9") == len(data), "255 may be repeated before it"


def test_a_thumbnails_end_is_not_the_pictures() -> None:
    data = with_thumbnail()
    assert jpeg_end(data) == len(data) - 2
    assert jpeg_end(data[: len(data) // 2]) is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8\xff", b"\xff\xd8\xff\xff\xff", b"\xff\xd8\xff\xe0\0"])
def test_what_has_no_end_has_none(data: bytes) -> None:
    assert jpeg_end(data) is None


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "end", [bytes(5000), b"\xff\xd9", b"\xff\xd9" + bytes(5000)], ids=["zeros", "end", "end, zeros"]
)
def test_a_jpeg_that_lacks_pixels_is_refused_whatever_follows(share: float, end: bytes) -> None:
    for data in (encoded(PHOTO, "JPEG", quality=95), encoded(PHOTO.convert("L"), "JPEG"), with_thumbnail()):
        decode(data, RULES)
        start = data.rfind(b"\xff\xda") + 20
        with pytest.raises(UnreadableImage, match=CUT):
            decode(data[: start + int((len(data) - start) * share)] + end, RULES)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_whole_jpeg_that_ends_in_the_grey_of_missing_pixels_is_read(mode: str, progressive: bool) -> None:
    grey = np.full((60, 160, 3), 128, np.uint8)
    for image in (Image.fromarray(grey), Image.fromarray(np.vstack([noise(160, 60), grey]))):
        decode(encoded(image.convert(mode), "JPEG", progressive=progressive), RULES)


def test_every_changed_byte_of_a_pngs_pixels_is_noticed() -> None:
    data = encoded(PHOTO.quantize(64), "PNG")
    ancillary = data.index(b"IDAT") - 4
    for at in [*range(16, ancillary), *range(ancillary + 8, len(data) - 12, 97)]:
        with pytest.raises(UnreadableImage):
            decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], RULES)


def test_zeros_that_are_deflated_pixels_are_no_pixels_of_a_png() -> None:
    """Deflate has codes of zeros only: what was never written can be read as a part of the picture."""
    data = encoded(PHOTO, "PNG")
    for share in (0.3, 0.5, 0.7):
        half = int(len(data) * share)
        with pytest.raises(UnreadableImage, match="checksum"):
            refuse_damaged(data[:half] + bytes(len(data) - half - 12) + data[-12:], "PNG")


def test_chunks_that_are_no_pixels_may_be_damaged_behind_them() -> None:
    data = encoded(PHOTO, "PNG")
    note = struct.pack(">I", 5) + b"tEXta\0bcd" + struct.pack(">I", zlib.crc32(b"another"))
    refuse_damaged(data[:-12] + note + data[-12:], "PNG")
    refuse_damaged(data[:-12], "PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (160, 120)


BLACK_END = np.vstack([noise(37, 20), np.zeros((21, 37, 3), np.uint8)])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_png_with_fewer_pixels_than_it_says_is_refused(share: float) -> None:
    """Its deflated stream is whole and its checksum right; a decoder leaves the other rows black."""
    rows = zlib.decompress(scanlines(noise(37, 41)))
    data = png(37, 41, zlib.compress(rows[: int(len(rows) * share)]))
    with pytest.raises(UnreadableImage, match="cut off|truncated"):
        decode(data, RULES)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_whole_png_that_ends_in_black_is_read(mode: str) -> None:
    black = Image.fromarray(BLACK_END)
    deep = Image.fromarray(BLACK_END[:, :, 0].astype(np.uint16) * 257)
    image = deep if mode == "I;16" else black.quantize(8) if mode == "P" else black.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(0)
    data = encoded(image, "PNG")
    assert not png_lacks_pixels(data)
    decode(data, RULES)


def test_a_whole_interlaced_png_that_ends_in_black_is_read() -> None:
    for size in [(1, 1), (3, 2), (5, 9), (37, 41)]:
        data = interlaced(BLACK_END[-size[1] :, : size[0]])
        assert not png_lacks_pixels(data)
        assert (decode(data, RULES).width, decode(data, RULES).height) == size


def test_counting_pixels_keeps_none_of_them() -> None:
    zeros = zlib.compressobj(9)
    body = b"".join([*(zeros.compress(bytes(1 << 20)) for _ in range(256)), zeros.flush()])
    tracemalloc.start()
    assert png_lacks_pixels(png(10_000, 10_000, body))
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
