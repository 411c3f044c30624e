"""Nasty files, and what the row of each must say. Asks nothing of the code that is tested."""

import base64
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image

from tests.bombs import bombs
from tests.conftest import noise
from tests.dicom_files import dicom
from tests.nasty_formats import (
    encoded,
    exif_segment,
    ifd,
    interlaced,
    png,
    png_chunk,
    scanlines,
    tiff,
    with_orientation,
)
from tests.nasty_places import HEIGHT, WIDTH, Case, Judged, Refused, named, picture, unlisted

UNKNOWN = "not an image in a known format"
DAMAGED = "damaged (DICOM )?image: |this DICOM file holds no pixel data"


def grain(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A picture that no format can make small: wherever the file is cut, pixels are missing."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def every_case() -> list[Case]:
    """All files that are made of bytes."""
    groups = (truncated(), misnamed(), modes(), turned(), frames(), damaged(), shapes(), named(), unlisted())
    dangerous = [Case(f"bombs/{name}".encode(), data, Refused(why)) for name, (data, why) in bombs().items()]
    return [*(case for group in groups for case in group), *dangerous]


def heic(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95)
    return buffer.getvalue()


# Name: the encoder, bytes before the format can be told, bytes of the header, and bytes after the last pixel which may
# be missing.
CUT: dict[str, tuple[str, dict[str, Any], int, int, int]] = {
    "baseline.jpg": ("JPEG", {"quality": 90}, 3, 623, 0),
    "progressive.jpg": ("JPEG", {"quality": 90, "progressive": True}, 3, 623, 0),
    "plain.png": ("PNG", {}, 8, 33, 12),
    "plain.gif": ("GIF", {}, 6, 781, 2),
    "lossy.webp": ("WEBP", {"quality": 90}, 16, 30, 0),
    "lossless.webp": ("WEBP", {"lossless": True}, 16, 25, 0),
    "raw.tif": ("TIFF", {}, 4, 140, 0),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}, 4, 8, 0),
    "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}, 4, 8, 0),
    "plain.bmp": ("BMP", {}, 2, 54, 0),
    "plain.jp2": ("JPEG2000", {}, 12, 85, 0),
    "plain.avif": ("AVIF", {}, 12, 300, 0),
    "plain.ppm": ("PPM", {}, 2, 15, 0),
}


def truncated() -> Iterator[Case]:
    """Formats cut at many places, and cut in the middle with zeros up to the length, as after a power cut.

    What has no checksum and no end is not among the latter: in WebP, AVIF and BMP such zeros are pixels like any.
    """
    whole = {name: encoded(grain(100), kind, **options) for name, (kind, options, *_) in CUT.items()}
    whole["plain.heic"] = heic(grain(100))
    for name, data in whole.items():
        *_, known_from, header, ending = CUT.get(name, (12, 300, 0))
        path = f"cut/{name}".encode()
        yield Case(path, data, Judged())
        size = len(data)
        for length in sorted({0, 1, 2, 10, header, size // 4, size // 2, size * 3 // 4, size - ending - 1, size - 1}):
            expected: Judged | Refused = Judged(like=path)
            if length < size - ending:
                expected = Refused(
                    "the file is empty" if not length else UNKNOWN if length < known_from else f"{DAMAGED}|{UNKNOWN}"
                )
            stem, extension = name.split(".")
            yield Case(f"cut/{stem}-{length:06d}.{extension}".encode(), data[:length], expected)
    for name in ("baseline.jpg", "progressive.jpg", "plain.png", "plain.gif", "lzw.tif", "plain.jp2"):
        data, half = whole[name], len(whole[name]) // 2
        yield Case(f"cut/zeros-{name}".encode(), data[:half] + bytes(len(data) - half), Refused(DAMAGED))
    data = whole["baseline.jpg"]
    yield Case(b"cut/early-end.jpg", data[: len(data) // 2] + b"\xff\xd9", Refused("damaged image: it is cut off"))
    yield Case(b"cut/more-zeros.jpg", data[: len(data) // 2] + bytes(100_000), Refused("damaged image: it is cut off"))


def misnamed() -> Iterator[Case]:
    """Content and name that do not agree: content decides what is read, name or content whether it is listed."""
    kinds = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "jp2": "JPEG2000"}
    data = {extension: encoded(picture(200 + n), kind) for n, (extension, kind) in enumerate(kinds.items())}
    data["avif"], data["heic"] = encoded(picture(210), "AVIF"), heic(picture(211))
    data["dcm"] = dicom(noise(WIDTH, HEIGHT, 212)[:, :, 0])
    for extension, content in data.items():
        yield Case(f"names/{extension}-without-a-name".encode(), content, Judged())
        yield Case(
            f"names/{extension} as.jpg".encode(), content, Judged(like=f"names/{extension}-without-a-name".encode())
        )
        yield Case(
            f"names/{extension}.bak".encode(), content, Judged(like=f"names/{extension}-without-a-name".encode())
        )
    yield Case(b"names/UPPER.JPG", encoded(picture(220), "JPEG"), Judged())
    yield Case(b"names/Mixed.TiFf", encoded(picture(221), "TIFF"), Judged())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("photo.jpg", data["jpg"])
    icon, document = encoded(picture(222).resize((32, 32)), "ICO"), encoded(picture(223), "PDF")
    for name, content in {
        "text.png": b"I am a text\n", "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "document.jpg": document,
        "gzip.png": gzip.compress(data["png"]), "zip.png": packed.getvalue(), "icon.png": icon,
        "zeros.jpg": bytes(10_000), "noise.jpg": np.random.default_rng(5).bytes(10_000), "line.jpg": b"\n",
        "script.eps.jpg": encoded(picture(224), "EPS"), "film.avif": b"\0\0\0\x18ftypmp42" + bytes(100),
    }.items():  # fmt: skip
        yield Case(f"names/{name}".encode(), content, Refused(UNKNOWN))
    yield Case(b"names/empty.tiff", b"", Refused("the file is empty"))
    junk = bytes(128) + b"DICM" + np.random.default_rng(6).bytes(5000)
    yield Case(b"names/junk.dcm", junk, Refused(DAMAGED))
    yield Case(b"names/junk", junk, Refused(DAMAGED))
    for name, content in {"a.svg": b"<svg/>", "a.pdf": document, "a.ico": icon, "a.zip": packed.getvalue()}.items():
        yield Case(f"names/{name}".encode(), content, None)


ARITHMETIC = (  # a grey JPEG of 16 x 16 with arithmetic coding, by jpegtran
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQ"
    "YEpRUk//yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8AzrN+AiazpIhCCXBXABJ6+Ub0ebdIIHchK6VFxyZuQ9biDxWCuyNgP/WPYUj/2Q=="
)


def modes() -> Iterator[Case]:
    """Colours, depths and codings."""
    rgb, grey = picture(300), picture(300).convert("L")
    deep = np.asarray(grey).astype(np.uint16) * 257
    clear = Image.merge("RGBA", [*rgb.split(), picture(301).convert("L")])
    over_white = Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), clear).convert("RGB")
    few = rgb.quantize(16)
    hole = few.convert("RGBA")
    hole.putalpha(Image.fromarray(np.where(np.asarray(few) == 3, 0, 255).astype(np.uint8)))
    holed = Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), hole).convert("RGB")
    dots = rgb.convert("1")
    ramp = Image.fromarray(np.asarray(grey).astype(np.float32) / 255 * 3 - 1)  # -1 to 2
    full = np.asarray(grey).astype(int) - int(np.asarray(grey).min())
    ramped = Image.fromarray(np.rint(full / full.max() * 255).astype(np.uint8))
    cmyk = np.asarray(rgb.convert("CMYK"))
    ycck = imagecodecs.jpeg8_encode(255 - cmyk, colorspace="CMYK", outcolorspace="YCCK", level=95)
    jpeg, pages = encoded(rgb, "JPEG", quality=90), io.BytesIO()
    tifffile.imwrite(pages, np.asarray(rgb), bigtiff=True, photometric="rgb")
    for group, files in {
        "rgb.png": {
            "rgba.png": encoded(rgb.convert("RGBA"), "PNG"), "interlaced.png": interlaced(np.asarray(rgb)),
            "rgb.bmp": encoded(rgb, "BMP"), "rgb.ppm": encoded(rgb, "PPM"), "big.tif": pages.getvalue(),
            "rgb.webp": encoded(rgb, "WEBP", lossless=True), "rgb.jp2": encoded(rgb, "JPEG2000"),
            "packbits.tif": encoded(rgb, "TIFF", compression="packbits"),
        },
        "grey.png": {
            "la.png": encoded(grey.convert("LA"), "PNG"), "16-bit.png": encoded(Image.fromarray(deep), "PNG"),
            "16-bit.tif": encoded(Image.fromarray(deep), "TIFF"), "grey.pgm": encoded(grey, "PPM"),
            "big-endian.tif": encoded(Image.frombytes("I;16B", grey.size, deep.astype(">u2").tobytes()), "TIFF"),
            "32-bit.tif": encoded(Image.fromarray(deep.astype(np.int32)), "TIFF"),
            "lossless.jpg": imagecodecs.ljpeg_encode(np.asarray(grey)), "grey.bmp": encoded(grey, "BMP"),
        },
        "over-white.png": {"alpha.png": encoded(clear, "PNG"), "alpha.webp": encoded(clear, "WEBP", lossless=True)},
        "palette.png": {"palette.gif": encoded(few, "GIF"), "palette.bmp": encoded(few, "BMP")},
        "holed.png": {
            "transparent.png": encoded(few, "PNG", transparency=3),
            "transparent.gif": encoded(few, "GIF", transparency=3),
        },
        "dots.png": {"1-bit.png": encoded(dots, "PNG"), "fax.tif": encoded(dots, "TIFF", compression="group4")},
        "ramp.png": {"float.tif": encoded(ramp, "TIFF")},
        "baseline.jpg": {
            "progressive.jpg": encoded(rgb, "JPEG", quality=90, progressive=True),
            "restart.jpg": encoded(rgb, "JPEG", quality=90, restart_marker_rows=1),
            "trailing.jpg": jpeg + np.random.default_rng(7).bytes(3000),
            "exif.jpg": jpeg[:2] + exif_segment(ifd((274, SHORT, 1, 1))) + jpeg[2:],
        },
    }.items():  # fmt: skip
        first = {
            "rgb.png": rgb, "grey.png": grey, "over-white.png": over_white, "palette.png": few.convert("RGB"),
            "holed.png": holed, "dots.png": dots.convert("L"), "ramp.png": ramped,
        }  # fmt: skip
        yield Case(f"modes/{group}".encode(), encoded(first[group], "PNG") if group in first else jpeg, Judged())
        for name, data in files.items():
            yield Case(f"modes/{name}".encode(), data, Judged(like=f"modes/{group}".encode()))
    yield Case(b"modes/cmyk.jpg", encoded(rgb.convert("CMYK"), "JPEG", quality=95), Judged())
    yield Case(b"modes/ycck.jpg", ycck, Judged())
    yield Case(b"modes/arithmetic.jpg", base64.b64decode(ARITHMETIC), Judged(16, 16))
    twelve = imagecodecs.jpeg8_encode(deep >> 4, bitspersample=12)
    yield Case(b"modes/12-bit.jpg", twelve, Refused("damaged image: its header is broken, or of a rare kind"))
    yield Case(
        b"modes/nan.tif", encoded(Image.fromarray(np.full((40, 48), np.nan, np.float32)), "TIFF"), Refused("no pixel")
    )


SHORT, ASCII, LONG, RATIONAL = 3, 2, 4, 5  # types of EXIF's tags


def turned() -> Iterator[Case]:
    """The same picture eight times, each stored another way; without loss, so that the answers are the same."""
    blocks = np.random.default_rng(400).integers(0, 256, (3, 4, 3), np.uint8)
    flat = Image.fromarray(blocks.repeat(16, axis=0).repeat(16, axis=1))  # whole JPEG blocks: turning loses nothing
    options: dict[str, dict[str, Any]] = {"png": {}, "tif": {}, "webp": {"lossless": True}, "jpg": {"subsampling": 0}}
    kinds = {"png": "PNG", "tif": "TIFF", "webp": "WEBP", "jpg": "JPEG"}
    for number in range(1, 9):
        for extension, kind in kinds.items():
            image, size = (flat, (64, 48)) if extension == "jpg" else (picture(401), (WIDTH, HEIGHT))
            path = f"turned/{number}.{extension}".encode()
            like = b"turned/1." + (b"jpg" if extension == "jpg" else b"png")
            data = with_orientation(image, number, kind, **options[extension])
            yield Case(path, data, Judged(*size, like=b"" if path == like else like))


def frames() -> Iterator[Case]:
    """Of many pictures in a file the first is judged."""
    first, others = picture(500).quantize(32), [picture(501).quantize(32), picture(502).quantize(32)]
    rgb = [image.convert("RGB") for image in (first, *others)]
    yield Case(b"frames/still.png", encoded(rgb[0], "PNG"), Judged())
    many: dict[str, Any] = {"save_all": True, "append_images": rgb[1:]}
    for name, data in {
        "film.gif": encoded(first, "GIF", save_all=True, append_images=others, duration=100, loop=0),
        "film.webp": encoded(rgb[0], "WEBP", lossless=True, **many),
        "film.png": encoded(rgb[0], "PNG", **many),
        "hidden-default.png": encoded(rgb[0], "PNG", default_image=True, **many),
        "pages.tif": encoded(rgb[0], "TIFF", **many),
        "circle.tif": tiff(
            {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 2, 277: 3, 278: HEIGHT}, rgb[0].tobytes(), next_page=8
        ),
    }.items():
        yield Case(f"frames/{name}".encode(), data, Judged(like=b"frames/still.png"))
    yield Case(b"frames/still.jpg", encoded(rgb[0], "JPEG", quality=90), Judged())
    mpo = encoded(rgb[0], "MPO", quality=90, **many)
    yield Case(b"frames/two.mpo", mpo, Judged(like=b"frames/still.jpg"))
    yield Case(b"frames/film.avif", encoded(rgb[0], "AVIF", **many), Judged())


def damaged() -> Iterator[Case]:
    """Wrong bytes in the middle: what is around the pixels may be nonsense, the pixels may not."""
    pixels = noise(WIDTH, HEIGHT, 600)
    lines, jpeg = scanlines(pixels), encoded(picture(601), "JPEG", quality=90)
    flipped = lines[: len(lines) // 2] + bytes([lines[len(lines) // 2] ^ 8]) + lines[len(lines) // 2 + 1 :]
    whole, file = b"damaged/whole.png", png(WIDTH, HEIGHT, lines)
    yield Case(whole, file, Judged())
    yield Case(b"damaged/whole.jpg", jpeg, Judged())
    for name, chunk in {
        "icc.png": png_chunk(b"iCCP", b"icc\0\0nonsense"), "exif.png": png_chunk(b"eXIf", b"nonsense"),
        "odd-exif.png": png_chunk(b"eXIf", ifd((274, SHORT, 1, 99), (0x9999, RATIONAL, 100_000, 0xFFFF))),
        "unknown.png": png_chunk(b"aaAa", bytes(100)),
    }.items():  # fmt: skip
        yield Case(f"damaged/{name}".encode(), png(WIDTH, HEIGHT, lines, chunk), Judged(like=whole))
    yield Case(b"damaged/behind.png", file + bytes(1000), Judged(like=whole))
    profile = b"\xff\xe2" + struct.pack(">H", 2 + 14 + 9) + b"ICC_PROFILE\0\x01\x01nonsense!"
    upside_down = encoded(picture(601).transpose(Image.Transpose.ROTATE_180), "PNG")
    for name, segment in {
        "icc.jpg": profile, "exif.jpg": exif_segment(b"nonsense, and no TIFF header"),
        "circle.jpg": exif_segment(ifd((274, SHORT, 1, 1), (0x8769, LONG, 1, 8), following=8)),
        "types.jpg": exif_segment(ifd((274, SHORT, 1, 1), (0x0132, RATIONAL, 1, 8), (0x829A, ASCII, 4, 0xFFFFFFFF))),
        "long.jpg": exif_segment(ifd((274, SHORT, 1, 1), (0x0132, ASCII, 0xFFFFFFF0, 8))),
    }.items():  # fmt: skip
        yield Case(f"damaged/{name}".encode(), jpeg[:2] + segment + jpeg[2:], Judged(like=b"damaged/whole.jpg"))
    odd = ifd(
        (274, SHORT, 1, 3), (0x0132, RATIONAL, 1, 8), (0x829A, ASCII, 4, 0xFFFFFFFF)
    )  # nobody can write this anew
    yield Case(b"damaged/turned.png", upside_down[:33] + png_chunk(b"eXIf", odd) + upside_down[33:], Judged())
    for name, data in {
        "checksum.png": png(WIDTH, HEIGHT, lines, crc=1), "flipped.png": png(WIDTH, HEIGHT, flipped),
        "pixels.png": png(WIDTH, HEIGHT, b"not deflated"), "few.png": png(WIDTH, HEIGHT, zlib.compress(bytes(99))),
        "half.png": png(WIDTH, HEIGHT, zlib.compress(zlib.decompress(lines)[:3000])),
        "text.png": png(WIDTH, HEIGHT, lines, png_chunk(b"tEXt", b"a\0b", crc=1)),
        "header.png": file[:20] + b"\xff" + file[21:], "none.png": png(0, 0, lines), "narrow.png": png(0, 9, lines),
        "filter.png": png(WIDTH, HEIGHT, zlib.compress(b"\x09" * 9000)), "bits.png": png(WIDTH, HEIGHT, lines, bits=7),
        "none.gif": b"GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\x08\0\0;",
        "none.bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
        "none.tif": tiff({256: 0, 257: 0, 258: 8, 259: 1, 262: 1, 277: 1}, b""), "none.ppm": b"P6 0 0 255\n",
        "words.ppm": b"P6 \x1b[31m=1 \xff 255\n", "page.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "away.tif": b"II*\0\xff\xff\xff\x7f", "table.jpg": jpeg.replace(b"\xff\xc4\0\x1f\0", b"\xff\xc4\0\x1f\x7f"),
        "cut-segment.jpg": jpeg[:2] + b"\xff\xe1\xff\xff" + jpeg[2:],
    }.items():  # fmt: skip
        yield Case(f"damaged/{name}".encode(), data, Refused(DAMAGED))


def shapes() -> Iterator[Case]:
    """Pictures as small, narrow and long as can be."""
    for width, height in ((1, 1), (1, 10_000), (20_000, 1), (2, 3), (3000, 7)):
        name = f"shapes/{width}x{height}"
        yield Case(f"{name}.png".encode(), encoded(grain(width, width, height), "PNG"), Judged(width, height))
        yield Case(f"{name}.jpg".encode(), encoded(grain(width, width, height), "JPEG"), Judged(width, height))
    grey = Image.new("RGB", (64, 64), (128, 128, 128))  # what a decoder paints where a JPEG's pixels are missing
    yield Case(b"shapes/grey.jpg", encoded(grey, "JPEG"), Judged(64, 64))
    yield Case(b"shapes/grey.bmp", encoded(grey, "BMP"), Judged(64, 64, like=b"shapes/grey.jpg"))
    below = Image.fromarray(np.vstack([noise(64, 32, 700), np.full((32, 64, 3), 128, np.uint8)]))
    yield Case(b"shapes/grey-below.jpg", encoded(below, "JPEG", progressive=True), Judged(64, 64))
