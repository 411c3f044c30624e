"""Files that promise far more than they are: small ones that would take gigabytes of whoever believes them."""

import struct
import zlib

from PIL import Image

from tests.conftest import noise
from tests.nasty_formats import encoded, png, png_chunk, tiff

SIDE = 60_000  # pixels; 3.6 gigapixels, more than 10 GB
GIGABYTE = 1 << 30
TOO_MANY = r"pixels is more than images\.max_megapixels"
DAMAGED = "damaged image: "
SMALL = Image.fromarray(noise(48, 40, 900))


def _zeros(count: int) -> bytes:
    """`count` zeros, deflated about a thousandfold; never all in memory at once."""
    deflater = zlib.compressobj(9)
    pieces = [deflater.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    return b"".join([*pieces, deflater.flush()])


def _patched(data: bytes, after: bytes, skip: int, new: bytes) -> bytes:
    """`data` with `new` written over what stands `skip` bytes behind the first `after`."""
    at = data.index(after) + len(after) + skip
    return data[:at] + new + data[at + len(new) :]


def bombs() -> dict[str, tuple[bytes, str]]:
    """By name: the file, and a regular expression for the reason of its row."""
    zeros = _zeros(GIGABYTE)
    canvas = struct.pack("<I", 16_383)[:3] * 2
    jpeg, jp2 = encoded(SMALL, "JPEG"), encoded(SMALL, "JPEG2000")
    animated = encoded(SMALL, "WEBP", save_all=True, append_images=[SMALL.rotate(180)])
    plain = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1}
    return {
        "header.png": (png(SIDE, SIDE, zlib.compress(bytes(1000))), f"{SIDE} x {SIDE} {TOO_MANY}"),
        "valid.png": (encoded(Image.new("1", (20_000, 10_000)), "PNG"), f"20000 x 10000 {TOO_MANY}"),
        "text.png": (_with_chunk(b"zTXt", b"Comment\0\0" + zeros), DAMAGED + "Decompressed data too large"),
        "international.png": (_with_chunk(b"iTXt", b"a\0\1\0\0\0" + zeros), DAMAGED + "Decompressed data too large"),
        "profile.png": (_with_chunk(b"iCCP", b"icc\0\0" + zeros), DAMAGED + "Decompressed data too large"),
        "texts.png": (
            _with_chunk(*[part for _ in range(200) for part in (b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))]),
            DAMAGED + "Too much memory",
        ),
        "screen.gif": (
            b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0\0;",
            f"65535 x 65535 {TOO_MANY}",
        ),
        "frame.gif": (b"GIF89a\x0a\0\x0a\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0\0;", f"65535 x 65535 {TOO_MANY}"),
        "canvas.webp": (_patched(animated, b"VP8X", 8, canvas), f"16384 x 16384 {TOO_MANY}"),
        "header.tif": (tiff({**plain, 256: SIDE, 257: SIDE, 278: SIDE}, zeros), f"{SIDE} x {SIDE} {TOO_MANY}"),
        "tile.tif": (tiff({**plain, 322: 30_000, 323: 30_000}, zeros), DAMAGED + "its tiles are larger"),
        "bands.tif": (tiff({**plain, 258: 16, 256: 9000, 257: 9000, 277: 200, 278: 9000}, zeros), "9000 x 9000 pixels"),
        "header.bmp": (
            b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
            f"{SIDE} x {SIDE} {TOO_MANY}",
        ),
        "header.jp2": (_patched(jp2, b"ihdr", 0, struct.pack(">II", SIDE, SIDE)), f"{SIDE} x {SIDE} {TOO_MANY}"),
        "codestream.jp2": (
            _patched(jp2, b"\xff\x4f\xff\x51", 4, struct.pack(">6I", SIDE, SIDE, 0, 0, SIDE, SIDE)),
            DAMAGED,
        ),
        "header.jpg": (_patched(jpeg, b"\xff\xc0", 3, struct.pack(">HH", 65_500, 65_500)), f"65500 x 65500 {TOO_MANY}"),
        "grey.jpg": (_patched(jpeg, b"\xff\xc0", 3, struct.pack(">HH", 9_000, 9_000)), DAMAGED + "it is cut off"),
        "header.ppm": (f"P6 {SIDE} {SIDE} 255\n".encode() + bytes(100), f"{SIDE} x {SIDE} {TOO_MANY}"),
        "header.avif": (_patched(encoded(SMALL, "AVIF"), b"ispe", 4, struct.pack(">II", SIDE, SIDE)), DAMAGED),
    }


def _with_chunk(*names_and_contents: bytes) -> bytes:
    """A small picture's PNG with these chunks before its pixels."""
    data = encoded(SMALL, "PNG")
    pairs = zip(names_and_contents[::2], names_and_contents[1::2], strict=True)
    return data[:33] + b"".join(png_chunk(name, content) for name, content in pairs) + data[33:]
