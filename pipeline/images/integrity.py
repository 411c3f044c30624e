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
START_OF_SCAN = 0xDA
FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # the first three: Huffman, the others: arithmetic
START_OF_TILE, END_OF_CODESTREAM = b"\xff\x90", b"\xff\xd9"  # JPEG2000
PNG_SIGNATURE, PNG_CHUNK, PNG_END = 8, 12, b"IEND"  # bytes before the first chunk; bytes of an empty chunk
PNG_START = b"\x89PNG\r\n\x1a\n"
APNG = frozenset({b"acTL", b"fcTL", b"fdAT"})
PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT"})
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel, by colour type
# The passes of an interlaced PNG: the first column and row, and the steps to the next.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PIECE = 1 << 14  # compressed bytes inflated at a time; deflate expands them a thousandfold at most


def refuse_damaged(data: bytes, kind: str) -> None:
    """Raise UnreadableImage when pixels are missing or changed; of a JPEG, `jpeg_end` tells. kind: Pillow's name."""
    match kind:
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


KEPT_TEXTS = (
    b"XML:com.adobe.xmp\0",
    b"Raw profile type exif\0",
    b"Raw profile type APP1\0",
)  # may hold the orientation
LARGEST_NOTE = 1 << 20  # bytes of a text, also when inflated; Pillow refuses a file with a longer one
NOTES = frozenset({b"iCCP", b"tEXt", b"zTXt", b"iTXt"})


def without_notes(data: bytes) -> bytes:
    """A PNG without colour profile, texts and damaged extras: they never decide about pixels. Other bytes as they are.

    A text that may hold the orientation stays if it is not too long.
    """
    if not data.startswith(PNG_START):
        return data
    left, last = [], 0
    for name, start, end in _chunks(data):
        is_extra = name[:1].islower() and name != b"tRNS" and name not in APNG
        if name in NOTES and not _may_turn(data[start:end]):
            drop = True
        elif is_extra and end + 4 <= len(data):
            drop = zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big")
        else:
            drop = False
        if drop:
            left.append(data[last : start - 8])
            last = end + 4
    return b"".join([*left, data[last:]]) if last else data


def _may_turn(content: bytes) -> bool:
    """Whether a text of a PNG may hold its orientation, and is short enough to be read."""
    if not content.startswith(KEPT_TEXTS) or len(content) > LARGEST_NOTE:
        return False
    inflater = zlib.decompressobj()
    at = content.find(b"\0") + 2
    if content.startswith(KEPT_TEXTS[0]):  # iTXt: flag, method, language, translated keyword
        if content[at - 1 : at] != b"\1":
            return True
        at = content.find(b"\0", content.find(b"\0", at + 1) + 1) + 1
    try:
        inflater.decompress(content[at:], LARGEST_NOTE)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail


def whole_jpeg(data: bytes) -> bytes:
    """The bytes of a JPEG that lacks its end marker, up to where its last scan ends or is cut off.

    Raises UnreadableImage when a scan is missing: a sequential JPEG has one for each component, and the scans of a
    progressive one refine its coefficients to the last bit.
    """
    components, wanted, in_scan, at = set(), set(), False, 2
    while found := MARKER.search(data, at):
        at, marker = found.start(), data[found.start() + 1]
        length = 0 if marker in (START, TEMPORARY) else int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + length]
        if len(content) != max(0, length - 2):
            raise UnreadableImage(CUT_OFF)
        if marker in FRAMES and len(content) > 5:
            components = {content[6 + 3 * number] for number in range(content[5]) if 6 + 3 * number < len(content)}
            wanted = {(one, place) for one in components for place in range(64)}
        if in_scan := marker == START_OF_SCAN:
            count = content[0]
            first, last, bits = content[1 + 2 * count : 4 + 2 * count]
            ids = {content[1 + 2 * number] for number in range(count)}
            if bits & 15 == 0:  # the last bit of these coefficients
                wanted -= {(one, place) for one in ids for place in range(first, last + 1)}
        at += 2 + length
    if wanted or not components or not in_scan:
        raise UnreadableImage(CUT_OFF)
    body = data.rstrip(b"\0")  # zeros at the end of a file were never written
    if body.endswith(b"\xff"):  # half of a marker; or a byte 255 of the pixels, whose zero belongs to it
        is_pixel = len(body) < len(data) and not body.endswith(b"\xff\xff")
        body = body + b"\0" if is_pixel else body.rstrip(b"\xff")
    return body
