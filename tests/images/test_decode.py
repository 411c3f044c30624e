"""Encoded bytes become upright RGB pixels of the asked size, or a reason why not."""

import io
import resource
import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from pipeline.images.decode import Picture, UnreadableImage, decode, upright_pixels
from pipeline.params.data import Images
from tests.fixtures.images import difference, noise
from tests.fixtures.nasty_formats import encoded, with_orientation

Colour = tuple[int, int, int]
RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)
EXACT = Images(width=40, height=30, fit="stretch", max_megapixels=1)  # the size of `noise`: nothing is resized


def plain(mode: str, value: Any) -> Image.Image:
    return Image.new(mode, (50, 40), value)


def deep(values: Any, dtype: type) -> Image.Image:
    """Grey with more than 8 bits, 50 x 40, each row from first to last of `values`."""
    return Image.fromarray(np.tile(np.linspace(*values, 50).astype(dtype), (40, 1)))


def palette(*, transparent: bool) -> bytes:
    image = plain("P", 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    return encoded(image, "PNG", **({"transparency": 1} if transparent else {}))


PHOTO = Image.fromarray(noise())
MODES = [
    ("1", "1", encoded(plain("1", 1), "PNG"), (255, 255, 255)),
    ("L", "L", encoded(plain("L", 100), "PNG"), (100, 100, 100)),
    ("LA opaque", "LA", encoded(plain("LA", (100, 255)), "PNG"), (100, 100, 100)),
    ("LA clear", "LA", encoded(plain("LA", (0, 0)), "PNG"), (255, 255, 255)),
    ("P", "P", palette(transparent=False), (10, 200, 30)),
    ("P clear", "P", palette(transparent=True), (255, 255, 255)),
    ("RGB", "RGB", encoded(plain("RGB", (1, 2, 3)), "PNG"), (1, 2, 3)),
    ("RGB clear", "RGB", encoded(plain("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3)), (255, 255, 255)),
    ("RGBA half", "RGBA", encoded(plain("RGBA", (255, 0, 0, 128)), "PNG"), (255, 127, 127)),
    ("RGBA clear", "RGBA", encoded(plain("RGBA", (9, 9, 9, 0)), "WEBP", exact=True, lossless=True), (255, 255, 255)),
    ("CMYK", "CMYK", encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), (255, 0, 0)),
    ("YCbCr", "RGB", encoded(plain("YCbCr", (76, 85, 255)), "JPEG", quality=100), (255, 0, 0)),
    ("I;16 PNG", "I;16", encoded(deep((32896, 32896), np.uint16), "PNG"), (128, 128, 128)),
    ("16-bit TIFF", "I;16", encoded(deep((32896, 32896), np.uint16), "TIFF"), (128, 128, 128)),
    ("big-endian", "I;16B", encoded(Image.frombytes("I;16B", (50, 40), b"\x80\x80" * 2000), "TIFF"), (128, 128, 128)),
    ("I", "I", encoded(deep((32896, 32896), np.int32), "TIFF"), (0, 0, 0)),
]


@pytest.mark.parametrize(("mode", "data", "colour"), [case[1:] for case in MODES], ids=[case[0] for case in MODES])
def test_every_mode_becomes_rgb_of_the_asked_size(mode: str, data: bytes, colour: Colour) -> None:
    picture = decode(data, RULES)
    assert (picture.mode, picture.width, picture.height) == (mode, 50, 40)
    assert (picture.pixels.shape, picture.pixels.dtype) == ((24, 32, 3), np.uint8)
    assert np.abs(picture.pixels.astype(int) - colour).max() <= 2


@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        ((0, 65535), np.uint16, "PNG"),
        ((0, 65535), np.uint16, "TIFF"),
    ],
    ids=["16-bit PNG", "16-bit TIFF"],
)
def test_deep_grey_is_scaled_and_not_clipped(values: tuple[float, float], dtype: type, kind: str) -> None:
    rules = Images(width=50, height=40, fit="stretch", max_megapixels=1)
    row = decode(encoded(deep(values, dtype), kind), rules).pixels[20, :, 0].astype(int)
    assert np.abs(row - np.linspace(0, 255, 50)).max() <= 1


@pytest.mark.parametrize("stretch", [(2.0, 98.0), (0.0, 100.0)])
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((0, 65535), np.int32), ((-70_000, 1_000_000), np.int32), ((0, 1000), np.float32), ((-1, 1), np.float32),
    ],
    ids=["I", "I beyond 16 bits", "F", "F below 0"],
)  # fmt: skip
def test_what_has_no_full_range_is_stretched_between_two_percentiles(
    values: tuple[float, float], dtype: type, stretch: tuple[float, float]
) -> None:
    rules = Images(width=50, height=40, fit="stretch", max_megapixels=1, stretch=stretch)
    row = decode(encoded(deep(values, dtype), "TIFF"), rules).pixels[20, :, 0].astype(int)
    low, high = (percent / 100 for percent in stretch)
    assert np.abs(row - 255 * ((np.linspace(0, 1, 50) - low) / (high - low)).clip(0, 1)).max() <= 1


def test_a_float_image_with_holes_is_read_and_one_of_holes_only_is_not() -> None:
    values = np.tile(np.linspace(0, 1, 50, dtype=np.float32), (40, 1))
    values[0, 0] = np.nan
    assert decode(encoded(Image.fromarray(values), "TIFF"), RULES).pixels.max() >= 250
    with pytest.raises(UnreadableImage, match="finite"):
        decode(encoded(Image.fromarray(np.full_like(values, np.nan)), "TIFF"), RULES)


UPRIGHT = {
    "RGB PNG": ("PNG", PHOTO, {}),
    "RGBA PNG": ("PNG", PHOTO.convert("RGBA"), {}),
    "LA PNG": ("PNG", PHOTO.convert("LA"), {}),
    "L PNG": ("PNG", PHOTO.convert("L"), {}),
    "I;16 PNG": ("PNG", Image.fromarray(noise()[:, :, 0].astype(np.uint16) * 257), {}),
    "TIFF": ("TIFF", PHOTO, {}),
    "half-clear WebP": ("WEBP", Image.merge("RGBA", [*PHOTO.split(), PHOTO.convert("L")]), {"lossless": True}),
    "JPEG": ("JPEG", PHOTO, {"quality": 95}),
    "AVIF": ("AVIF", PHOTO, {"quality": 95}),
}


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize(("kind", "image", "options"), UPRIGHT.values(), ids=UPRIGHT)
def test_all_orientations_come_out_upright(kind: str, image: Image.Image, options: dict[str, Any], number: int) -> None:
    upright = decode(encoded(image, kind, **options), EXACT)
    turned = decode(with_orientation(image, number, kind, **options), EXACT)
    assert difference(turned.pixels, upright.pixels) <= (3 if kind in ("JPEG", "AVIF") else 0)
    assert (turned.width, turned.height) == (40, 30)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_many_frames_the_first_is_judged(kind: str) -> None:
    others = [plain("RGB", colour) for colour in ((0, 200, 0), (0, 0, 200))]
    data = encoded(plain("RGB", (200, 0, 0)), kind, save_all=True, append_images=others)
    with Image.open(io.BytesIO(data)) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert np.abs(decode(data, RULES).pixels.astype(int) - (200, 0, 0)).max() <= 8


@pytest.mark.parametrize(
    ("kind", "options", "most"),
    [
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 3),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("GIF", {}, 12),
        ("JPEG2000", {}, 0),
        ("AVIF", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
    ],
)
def test_a_format_gives_back_the_pixels(kind: str, options: dict[str, Any], most: float) -> None:
    assert features.check("avif"), "the locked Pillow reads AVIF"
    picture = decode(encoded(PHOTO, kind, **options), EXACT)
    assert picture.format == kind
    assert difference(picture.pixels, noise()) <= most


def fitted(width: int, height: int, fit: Literal["stretch", "pad", "crop"]) -> NDArray[np.uint8]:
    """An image whose outer quarters along its longer side are red and blue, the middle green, as 32 x 24."""
    image = Image.new("RGB", (width, height), (0, 255, 0))
    wide = width >= height
    quarter = (width // 4, height) if wide else (width, height // 4)
    image.paste((255, 0, 0), (0, 0, *quarter))
    image.paste((0, 0, 255), (width - quarter[0] if wide else 0, 0 if wide else height - quarter[1], width, height))
    return decode(encoded(image, "PNG"), Images(width=32, height=24, fit=fit, max_megapixels=1)).pixels


RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("width", "height", "fit", "points"),
    [
        (128, 48, "stretch", {(0, 0): RED, (23, 0): RED, (12, 16): GREEN, (0, 31): BLUE}),
        (
            128,
            48,
            "pad",
            {(0, 0): BLACK, (4, 16): BLACK, (12, 2): RED, (12, 16): GREEN, (12, 29): BLUE, (19, 0): BLACK},
        ),
        (128, 48, "crop", {(0, 2): GREEN, (12, 16): GREEN, (23, 29): GREEN}),
        (48, 128, "stretch", {(0, 0): RED, (0, 31): RED, (12, 16): GREEN, (23, 0): BLUE}),
        (
            48,
            128,
            "pad",
            {(0, 0): BLACK, (2, 10): BLACK, (2, 16): RED, (12, 16): GREEN, (21, 16): BLUE, (12, 21): BLACK},
        ),
        (48, 128, "crop", {(2, 0): GREEN, (12, 16): GREEN, (21, 31): GREEN}),
    ],
    ids=["wide stretch", "wide pad", "wide crop", "tall stretch", "tall pad", "tall crop"],
)
def test_the_rule_decides_what_becomes_of_another_shape(
    width: int, height: int, fit: Literal["stretch", "pad", "crop"], points: dict[tuple[int, int], Colour]
) -> None:
    pixels = fitted(width, height, fit)
    assert {point: tuple(pixels[point].tolist()) for point in points} == points


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(1, 1), (1000, 1), (1, 1000)])
def test_the_oddest_shapes_are_read(fit: Literal["stretch", "pad", "crop"], size: tuple[int, int]) -> None:
    rules = Images(width=32, height=24, fit=fit, max_megapixels=1)
    assert decode(encoded(Image.new("RGB", size), "PNG"), rules).pixels.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"I am a text file named .jpg\n", "known format"),
        (b"\xff\xd8\xff\xe0", "known format|damaged"),
        (encoded(PHOTO, "EPS"), "known format"),
        (encoded(PHOTO, "PDF"), "known format"),
    ],
    ids=["empty", "text", "first bytes only", "EPS", "PDF"],
)
def test_what_is_no_picture_is_refused_with_a_reason_of_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode(data, RULES)
    assert "\n" not in str(caught.value)


GRAIN = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))
CUT = {
    "JPEG": ("JPEG", {}, 2),
    "progressive JPEG": ("JPEG", {"progressive": True}, 2),
    "PNG": ("PNG", {}, 20),
    "TIFF": ("TIFF", {}, 0),
    "LZW TIFF": ("TIFF", {"compression": "tiff_lzw"}, 0),
    "deflated TIFF": ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
    "WebP": ("WEBP", {}, 0),
    "BMP": ("BMP", {}, 0),
    "GIF": ("GIF", {}, 2),
    "AVIF": ("AVIF", {}, 0),
    "JPEG2000 in tiles": ("JPEG2000", {"tile_size": (64, 64)}, 2),
}


@pytest.mark.parametrize(("kind", "options", "ending"), CUT.values(), ids=CUT)
def test_a_picture_whose_pixels_are_cut_is_never_judged(kind: str, options: dict[str, Any], ending: int) -> None:
    """`ending`: bytes after the last pixel, which may be missing."""
    data = encoded(GRAIN, kind, **options)
    # Behind the markers that start JPEG2000's tiles, a decoder may call what is there a picture with black parts.
    tiles = [at + 2 for at in range(len(data)) if data.startswith(b"\xff\x90\0\x0a", at)]
    lengths = {*range(1, len(data) - ending, max(1, len(data) // 60)), len(data) - ending - 1, *tiles}
    judged = []
    for length in sorted(lengths):
        try:
            decode(data[:length], RULES)
        except UnreadableImage:
            continue
        judged.append(length)
    assert judged == []


def png_of_declared_size(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png_of_declared_size(60000, 60000), "60000 x 60000"),
        (b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0\0;", "65535 x 65535"),
        (b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 50000, 50000, 1, 24, 0, 0, 0, 0, 0, 0), "50000 x 50000"),
        (encoded(Image.new("1", (1001, 1000)), "PNG"), "1001 x 1000"),
    ],
    ids=["PNG", "GIF", "BMP", "just above"],
)
def test_more_pixels_than_allowed_are_refused_before_memory_is_taken(data: bytes, size: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableImage, match=rf"{size} pixels is more than images\.max_megapixels \(1\) allows"):
        decode(data, RULES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_exactly_the_allowed_pixels_are_read() -> None:
    assert decode(encoded(Image.new("1", (1000, 1000)), "PNG"), RULES).width == 1000


def test_reduced_decoding_of_a_large_jpeg_is_close_to_the_full_one() -> None:
    grain = np.random.default_rng(1).normal(0, 8, (2000, 3000, 3))
    photo = Image.fromarray((noise(3000, 2000) + grain).clip(0, 255).astype(np.uint8))
    data = encoded(photo, "JPEG", quality=90)
    rules = Images(width=224, height=224, fit="stretch", max_megapixels=10)
    with Image.open(io.BytesIO(data)) as whole:
        full = np.asarray(whole.resize((224, 224), Image.Resampling.BILINEAR))
    picture = decode(data, rules)
    assert difference(picture.pixels, full) < 1
    assert (picture.width, picture.height) == (3000, 2000), "the photo's size, not the reduced one"


@given(
    data=st.binary(max_size=200), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"P6"])
)
def test_arbitrary_bytes_never_raise_anything_else(start: bytes, data: bytes) -> None:
    assert answer(start + data) is not None


SEEDS = [
    encoded(PHOTO, kind, exif=PHOTO.getexif()) if kind in ("JPEG", "PNG", "WEBP") else encoded(PHOTO, kind)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000", "AVIF", "PPM")
]


@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    near_start=st.booleans(),
)
def test_a_damaged_image_never_raises_anything_else(
    seed: bytes, changes: list[tuple[float, int]], near_start: bool
) -> None:
    damaged = bytearray(seed)
    for place, value in changes:
        damaged[int(place * (min(len(seed), 120) if near_start else len(seed)))] = value
    assert answer(bytes(damaged)) is not None


def test_pixels_at_their_own_size_are_upright_and_not_reduced() -> None:
    row = np.linspace(0, 255, 6000).astype(np.uint8)
    shown = np.repeat(np.repeat(row[None], 40, axis=0)[..., None], 3, axis=2)
    pixels = upright_pixels(with_orientation(Image.fromarray(shown), 6, "JPEG", quality=95))  # stored on its side
    assert (pixels.shape, pixels.dtype) == ((40, 6000, 3), np.uint8)
    assert difference(pixels, shown) < 2
    with pytest.raises(UnreadableImage):
        upright_pixels(b"not an image")


def answer(data: bytes) -> Picture | str:
    """The picture, checked, or the reason; anything else that is raised ends the test."""
    try:
        picture = decode(data, RULES)
    except UnreadableImage as error:
        assert "\n" not in str(error)
        return str(error)
    assert picture.pixels.shape == (24, 32, 3)
    return picture
