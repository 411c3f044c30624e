"""Image files byte by byte, for what no library writes."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

TURN = Image.Transpose
# How pixels are stored so that the orientation's number makes them upright again.
STORED_AS = {
    2: TURN.FLIP_LEFT_RIGHT, 3: TURN.ROTATE_180, 4: TURN.FLIP_TOP_BOTTOM, 5: TURN.TRANSPOSE,
    6: TURN.ROTATE_90, 7: TURN.TRANSVERSE, 8: TURN.ROTATE_270,
}  # fmt: skip
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
LONG = 4  # a type of TIFF's tags
STRIP_OFFSETS, STRIP_BYTES, TILE_WIDTH, TILE_OFFSETS, TILE_BYTES = 273, 279, 322, 324, 325


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(image: Image.Image, number: int, kind: str, **options: Any) -> bytes:
    """The image stored turned, with the EXIF orientation that makes it upright."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = number
    return encoded(image.transpose(STORED_AS[number]) if number in STORED_AS else image, kind, exif=exif, **options)


def png_chunk(name: bytes, content: bytes, crc: int | None = None) -> bytes:
    """A PNG's chunk, its checksum right unless another is given."""
    checksum = zlib.crc32(name + content) if crc is None else crc
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(
    width: int, height: int, pixels: bytes, *between: bytes, bits: int = 8, colour: int = 2, interlace: int = 0,
    crc: int | None = None,
) -> bytes:  # fmt: skip
    """A PNG of deflated `pixels`, with whole chunks `between` header and pixels; crc: of the pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(between) + png_chunk(b"IDAT", pixels, crc) + png_chunk(b"IEND", b"")


def scanlines(pixels: NDArray[np.uint8]) -> bytes:
    """Deflated rows without a filter. pixels: (height, width, 3)."""
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG that shows itself in seven passes. pixels: (height, width, 3)."""
    passes = [pixels[y::down, x::right] for x, y, right, down in ADAM7]
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    return png(width, height, zlib.compress(rows), interlace=1)


def tiff(tags: dict[int, int], body: bytes, next_page: int = 0) -> bytes:
    """A little-endian TIFF of one page whose only strip or tile is `body`. next_page: where its chain of pages goes."""
    where, length = (TILE_OFFSETS, TILE_BYTES) if TILE_WIDTH in tags else (STRIP_OFFSETS, STRIP_BYTES)
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = sorted({**tags, where: start, length: len(body)}.items())
    table = b"".join(struct.pack("<HHII", number, LONG, 1, value) for number, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", next_page) + body


def exif_segment(content: bytes) -> bytes:
    """JPEG's segment that holds EXIF."""
    return b"\xff\xe1" + struct.pack(">H", len(content) + 8) + b"Exif\0\0" + content


def ifd(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """EXIF: a TIFF header and one directory of (tag, type, count, value)."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + struct.pack("<I", following)
