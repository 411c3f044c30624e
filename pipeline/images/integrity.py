"""Whether an image file is complete and undamaged, as far as its format can tell. Decodes no pixels.

Decoders accept many damaged files: they paint missing pixels grey or black, and ignore checksums.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from pipeline.images.frame import UnreadableImage

CUT_OFF = "damaged image: it is cut off"
# Any JPEG marker except a restart. 255 followed by 0 is a byte of the pixels; 255 may be repeated before a marker.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START, END, TEMPORARY = 0xD8, 0xD9, 0x01  # markers without content
START_OF_TILE, END_OF_CODESTREAM = b"\xff\x90", b"\xff\xd9"  # JPEG2000
PNG_SIGNATURE, PNG_CHUNK, PNG_END = 8, 12, b"IEND"  # bytes before the first chunk; bytes of an empty chunk
PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT"})
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel, by colour type
# The passes of an interlaced PNG: the first column and row, and the steps to the next.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PIECE = 1 << 14  # compressed bytes inflated at a time; deflate expands them a thousandfold at most


def refuse_damaged(data: bytes, kind: str) -> None:
    """Raise UnreadableImage when pixels are missing or changed. kind: Pillow's name of the format."""
    match kind:
        case "JPEG" | "MPO" if jpeg_end(data) is None:  # also a file whose end is zeros: it was never written
            raise UnreadableImage(CUT_OFF)
        case "JPEG2000" if END_OF_CODESTREAM not in data[data.find(START_OF_TILE) :]:  # OpenJPEG paints them black
            raise UnreadableImage(CUT_OFF)
        case "PNG":
            _refuse_changed_chunks(data)


def jpeg_end(data: bytes) -> int | None:
    """The offset of the end marker of a JPEG's first picture, not of its thumbnail; None where there is none."""
    at = 2
    while found := MARKER.search(data, at):
        at, marker = found.start(), data[found.start() + 1]
        if marker == END:
            return at
        # Skip a marker's content. All other bytes are pixels: search them for the next marker.
        at += 2 if marker in (START, TEMPORARY) else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """For each chunk of a PNG before the last one: its name, and where its content starts and ends."""
    at = PNG_SIGNATURE
    while at + PNG_CHUNK <= len(data) and (name := data[at + 4 : at + 8]) != PNG_END:
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        yield name, at + 8, end
        at = end + 4


def _refuse_changed_chunks(data: bytes) -> None:
    """Check the checksums of a PNG's pixels: zeros that replace lost bytes can be valid deflate codes."""
    view = memoryview(data)
    for name, start, end in _chunks(data):
        if name not in PNG_PIXELS:
            continue
        if end + 4 > len(data):
            raise UnreadableImage(CUT_OFF)
        if zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise UnreadableImage("damaged image: its bytes are not those its checksum was made of")


def png_lacks_pixels(data: bytes) -> bool:
    """Whether a PNG's pixels end before its last row, although they inflate without an error. Keeps none of them."""
    width, height, bits, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    passes = ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // right), -(-(height - y) // down)) for x, y, right, down in passes]
    # Each row begins with one byte: the number of its filter.
    left = sum(rows * (1 + -(-columns * bits * PNG_SAMPLES[colour] // 8)) for columns, rows in sizes if columns > 0)
    inflater = zlib.decompressobj()
    for name, start, end in _chunks(data):
        for at in range(start, end if name == b"IDAT" else start, PIECE):
            left -= len(inflater.decompress(data[at : min(at + PIECE, end)]))
            if left <= 0:
                return False
    return True
