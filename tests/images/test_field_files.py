"""Files from the field: metadata of megabytes, a JPEG without its end, camera raw, 12 bits in 16, GeoTIFF."""

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.images.camera_raw import WORDS
from pipeline.images.decode import UnreadableImage, decode
from pipeline.params.data import Images
from tests.fixtures.images import noise
from tests.fixtures.nasty_formats import STORED_AS, encoded, png_chunk, tiff, with_orientation

RULES = Images(width=160, height=120, fit="stretch", max_megapixels=1)
PHOTO = Image.fromarray(noise(160, 120))
PNG = encoded(PHOTO, "PNG")
MEGABYTES = b"white " * 400_000


def with_chunks(data: bytes, *chunks: bytes, at: int = 33) -> bytes:
    return data[:at] + b"".join(chunks) + data[at:]


def profile(size: int) -> bytes:
    return b"sRGB\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(size))


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", profile(2 << 20)),
        png_chunk(b"iCCP", profile(200 << 20)),
        png_chunk(b"iCCP", b"name\0\7no such method"),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(MEGABYTES)),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(MEGABYTES)),
        png_chunk(b"tEXt", b"Comment\0" + MEGABYTES),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(MEGABYTES)),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + MEGABYTES),
        png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(MEGABYTES)),
        b"".join(png_chunk(b"zTXt", b"%d\0\0" % number + zlib.compress(MEGABYTES[:1_000_000])) for number in range(80)),
        png_chunk(b"tEXt", b"Comment\0a", crc=1),
        png_chunk(b"pHYs", b"123456789", crc=1),
        png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0", crc=1),
    ],
    ids=[
        "profile of 2 MB", "profile of 200 MB", "profile of no method", "2 MB of text, deflated", "iTXt", "plain text",
        "XMP, deflated", "XMP", "EXIF as text", "80 texts", "text with a wrong checksum", "pHYs", "eXIf",
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [33, len(PNG) - 12], ids=["before the pixels", "behind them"])
def test_no_metadata_makes_the_pixels_of_a_png_unreadable(chunk: bytes, at: int) -> None:
    assert np.array_equal(decode(with_chunks(PNG, chunk, at=at), RULES).pixels, decode(PNG, RULES).pixels)


@pytest.mark.parametrize("number", [3, 6])
@pytest.mark.parametrize("deflated", [False, True])
def test_a_png_turned_by_its_xmp_is_still_upright(number: int, deflated: bool) -> None:
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{number}"/></x:xmpmeta>'.encode()
    text = b"\1\0\0\0" + zlib.compress(xmp) if deflated else b"\0\0\0\0" + xmp
    stored = with_chunks(PNG, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0" + text), png_chunk(b"iCCP", profile(2 << 20)))
    assert decode(stored, RULES).orientation == number
    exif = with_orientation(PHOTO, number, "PNG")
    assert decode(with_chunks(exif, png_chunk(b"iCCP", profile(2 << 20))), RULES).orientation == number


JPEGS: dict[str, dict[str, Any]] = {
    "sequential": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_rows": 1},
    "fine": {"quality": 95, "subsampling": 0}, "coarse": {"quality": 20},
}  # fmt: skip


def jpegs() -> list[bytes]:
    modes = (PHOTO, PHOTO.convert("L"), PHOTO.convert("CMYK"), PHOTO.crop((0, 0, 17, 9)))
    return [encoded(image, "JPEG", **options) for options in JPEGS.values() for image in modes]


def jpegs_of_whole_blocks() -> list[bytes]:
    """Of others the last bytes may be of pixels beyond the border, which nobody sees."""
    modes = (Image.fromarray(noise(160, 112)), Image.fromarray(noise(160, 112)).convert("L"))
    return [encoded(image, "JPEG", **options) for options in JPEGS.values() for image in modes]


@pytest.mark.parametrize("data", jpegs())
def test_a_jpeg_that_lacks_only_its_end_has_all_pixels(data: bytes) -> None:
    whole = decode(data, RULES).pixels
    for end in (b"", b"\xff", b"\xff\xff", bytes(2), bytes(5000), b"\xff" + bytes(9)):
        assert np.array_equal(decode(data[:-2] + end, RULES).pixels, whole)


@pytest.mark.parametrize("data", jpegs_of_whole_blocks())
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(5000)], ids=["nothing", "half a marker", "zeros"])
def test_a_jpeg_that_lacks_bytes_of_its_pixels_too_is_refused(data: bytes, end: bytes) -> None:
    for missing in (1, 2, 3, 5, 20):
        with pytest.raises(UnreadableImage, match="cut off"):
            decode(data[: -2 - missing] + end, RULES)


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused() -> None:
    data = encoded(PHOTO, "JPEG", progressive=True, quality=90)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xc4"]
    for at in scans[1:]:
        with pytest.raises(UnreadableImage, match="cut off"):
            decode(data[:at], RULES)


def raw_file(kind: str, **options: Any) -> bytes:
    preview, sensor = noise(160, 120), np.zeros((600, 800), np.uint16)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=kind == "big", byteorder=">" if kind == "MM" else "<") as writer:
        if kind == "page":
            writer.write(preview, photometric="rgb", subfiletype=1)
            writer.write(sensor, photometric="minisblack")
        else:
            writer.write(preview, photometric="rgb", subifds=1, **options)
            writer.write(sensor, photometric="cfa" if kind == "cfa" else "minisblack")
    return buffer.getvalue()


def dng() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, noise(160, 120), photometric="rgb", extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        raw_file("II", subfiletype=1), raw_file("II"), raw_file("MM", subfiletype=1), raw_file("big"), raw_file("cfa"),
        raw_file("page"), dng(), b"II*\0\x10\0\0\0CR\2\0" + bytes(99), b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201" + bytes(99), b"IIRO\x08\0\0\0" + bytes(99), b"IIU\0\x18\0\0\0" + bytes(99),
    ],
    ids=["NEF", "without its mark", "MM", "BigTIFF", "CFA", "page", "DNG", "CR2", "CR3", "RAF", "ORF", "RW2"],
)  # fmt: skip
def test_a_camera_raw_is_never_answered_from_its_preview(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match=WORDS):
        decode(data, RULES)
    with pytest.raises(UnreadableImage, match=WORDS):
        decode(data, RULES.model_copy(update={"bands": (1, 2, 3)}))


def test_a_picture_with_smaller_copies_of_itself_is_read() -> None:
    buffer, pyramid = io.BytesIO(), io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(noise(160, 120), photometric="rgb", subifds=1)
        writer.write(noise(80, 60), photometric="rgb", subfiletype=1)
    with tifffile.TiffWriter(pyramid) as writer:
        writer.write(noise(160, 120), photometric="rgb")
        writer.write(noise(320, 240), photometric="rgb")  # of many pages the first is judged
    for data in (buffer.getvalue(), pyramid.getvalue()):
        assert np.array_equal(decode(data, RULES).pixels, noise(160, 120))


def ramp(bits: int, samples: int) -> NDArray[np.uint16]:
    values = np.linspace(0, 2**bits - 1, 160).round().astype(np.uint16)
    grey = np.tile(values, (120, 1))
    return grey if samples == 1 else np.dstack([grey, grey[:, ::-1], grey, np.full_like(grey, 65535)][:samples])


def stored(values: NDArray[np.uint16], kind: str) -> bytes:
    if kind == "PNG":
        import cv2

        order = values if values.ndim == 2 else values[:, :, [2, 1, 0, 3][: values.shape[2]]]
        return bytes(cv2.imencode(".png", order)[1])
    buffer = io.BytesIO()
    extra = {"extrasamples": ["unassalpha"]} if values.ndim == 3 and values.shape[2] == 4 else {}
    tifffile.imwrite(buffer, values, photometric="minisblack" if values.ndim == 2 else "rgb", **extra)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_white_level_makes_fewer_bits_in_sixteen_as_bright_as_they_are(kind: str, samples: int, bits: int) -> None:
    data = stored(ramp(bits, samples), kind)
    level = RULES.model_copy(update={"white_level": 2**bits - 1})
    expected = np.linspace(0, 255, 160)
    shown = decode(data, level).pixels[60].astype(float)
    assert np.abs(shown[:, 0] - expected).max() <= 1
    assert np.abs(shown[:, 1] - (expected[::-1] if samples > 1 else expected)).max() <= 1


def test_a_white_level_clips_what_is_brighter_and_leaves_other_files_alone() -> None:
    level = RULES.model_copy(update={"white_level": 4095})
    assert decode(stored(ramp(16, 1), "PNG"), level).pixels[60, -1, 0] == 255
    for data in (PNG, encoded(PHOTO, "JPEG"), encoded(PHOTO.convert("L"), "TIFF")):
        assert np.array_equal(decode(data, level).pixels, decode(data, RULES).pixels)
    pgm = b"P5 160 120 4095\n" + ramp(12, 1).astype(">u2").tobytes()
    assert np.abs(decode(pgm, level).pixels[60, :, 0] - np.linspace(0, 255, 160)).max() <= 1, "it says its own white"


@pytest.mark.parametrize("number", range(1, 9))
def test_a_turned_deep_picture_is_upright_with_a_white_level_too(number: int) -> None:
    corner = np.full((120, 160), 25, np.uint8)
    corner[:40, :60] = 255
    turned = Image.fromarray(corner)
    turned = turned.transpose(STORED_AS[number]) if number in STORED_AS else turned
    values = np.asarray(turned).astype(np.uint16) * 16
    buffer, level = io.BytesIO(), RULES.model_copy(update={"white_level": 4080})
    tifffile.imwrite(buffer, np.dstack([values] * 3), photometric="rgb", extratags=[(274, 3, 1, number, True)])
    picture = decode(buffer.getvalue(), level)
    assert (picture.width, picture.height, picture.orientation) == (160, 120, number)
    assert np.array_equal(picture.pixels[:, :, 0], corner)


def test_a_tiff_of_twelve_bits_a_sample_has_its_own_white() -> None:
    packed = np.zeros((120, 240), np.uint8)
    first, second = ramp(12, 1)[:, ::2].astype(int), ramp(12, 1)[:, 1::2].astype(int)
    packed[:, 0::3], packed[:, 1::3], packed[:, 2::3] = first >> 4, (first & 15) << 4 | second >> 8, second & 255
    tags = {256: 160, 257: 120, 258: 12, 259: 1, 262: 1, 277: 1, 278: 120}
    shown = decode(tiff(tags, packed.tobytes()), RULES).pixels[60, :, 0].astype(float)
    assert np.abs(shown - np.linspace(0, 255, 160)).max() <= 1


def geotiff(values: NDArray[Any], nodata: str) -> bytes:
    buffer = io.BytesIO()
    photometric: Literal["rgb", "minisblack"] = "rgb" if values.ndim == 3 else "minisblack"
    tifffile.imwrite(buffer, values, photometric=photometric, extratags=[(42113, 2, len(nodata) + 1, nodata, True)])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        (np.float32, "-9999"), (np.int16, "-9999"), (np.int32, "-9999"), (np.float32, "nan"), (np.int32, "-2147483648"),
        (np.float32, "-3.4028234663852886e+38"),
    ],
)  # fmt: skip
def test_an_elevation_model_with_holes_shows_its_land(dtype: type, nodata: str) -> None:
    land = np.tile(np.linspace(100, 900, 160), (120, 1)).astype(dtype)
    holes = land.copy()
    holes[:60, :80] = float(nodata)
    full, shown = decode(geotiff(land, nodata), RULES).pixels, decode(geotiff(holes, nodata), RULES).pixels
    assert shown[:60, :80].max() == 0
    assert shown[60:].std() > 60
    assert np.abs(shown[60:].astype(int) - full[60:]).max() < 25, "the scale is that of the land"


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_one_pixel_does_not_decide_the_scale(dtype: type) -> None:
    land = np.tile(np.linspace(100, 900, 160), (120, 1)).astype(dtype)
    hot = land.copy()
    hot[3, 3] = 30_000
    usual, odd = decode(geotiff(land, "-9999"), RULES).pixels, decode(geotiff(hot, "-9999"), RULES).pixels
    assert np.abs(usual[10:].astype(int) - odd[10:]).max() <= 1


@pytest.mark.parametrize("nodata", ["0", "65535"])
def test_nodata_of_sixteen_bits_is_black(nodata: str) -> None:
    values = np.full((120, 160), 30_000, np.uint16)
    values[:, :80] = int(nodata)
    shown = decode(geotiff(values, nodata), RULES).pixels
    assert (shown[60, 0, 0], shown[60, -1, 0]) == (0, 117)


def test_nodata_of_eight_bits_is_black_where_all_samples_have_it() -> None:
    values = noise(160, 120).copy()
    values[:60] = 255
    values[60] = (255, 10, 10)
    shown = decode(geotiff(values, "255"), RULES).pixels
    assert shown[:60].max() == 0
    assert np.array_equal(shown[60:], values[60:])
    grey = decode(geotiff(values[:, :, 1], "255"), RULES).pixels
    assert grey[:60].max() == 0
    assert np.array_equal(grey[60:, :, 0], np.where(values[60:, :, 1] == 255, 0, values[60:, :, 1]))


def test_nodata_of_sixteen_bit_colours_is_black() -> None:
    values = np.dstack([ramp(16, 1)] * 3)
    values[:60] = 65535
    shown = decode(geotiff(values, "65535"), RULES).pixels
    assert shown[:60].max() == 0
    assert np.abs(shown[60:, :-1, 0] - np.linspace(0, 255, 160)[:-1]).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "PNG"])
def test_a_large_colour_profile_makes_no_format_unreadable(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    plain = decode(encoded(PHOTO, kind, **options), RULES).pixels
    assert np.array_equal(decode(encoded(PHOTO, kind, icc_profile=bytes(2 << 20), **options), RULES).pixels, plain)


def test_a_tiff_of_nothing_but_nodata_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="finite value|no pixel"):
        decode(geotiff(np.full((120, 160), -9999, np.float32), "-9999"), RULES)


def test_xmp_of_a_png_is_kept_only_where_it_can_be_read() -> None:
    broken = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + struct.pack(">I", 7))
    assert np.array_equal(decode(with_chunks(PNG, broken), RULES).pixels, decode(PNG, RULES).pixels)
