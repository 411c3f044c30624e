"""TIFF of many bands: which are shown, how they are stretched, what holds no data, and no memory for a lie."""

import io
import resource
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.images.bands import stretched
from pipeline.images.decode import UnreadableImage, decode
from pipeline.params.data import Images
from tests.fixtures.images import noise

WIDTH, HEIGHT = 40, 32
RULES = Images(width=WIDTH, height=HEIGHT, fit="stretch", max_megapixels=1, stretch=(0, 100))
RAMP = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))
# Bands 1 to 5: rising, falling, rising downwards, all 7, half dark and half bright.
BANDS = np.stack([RAMP, 1 - RAMP, np.tile(np.linspace(0, 1, HEIGHT)[:, np.newaxis], (1, WIDTH)), RAMP * 0, RAMP > 0.5])
EXPECTED = np.rint(BANDS * 255).astype(int)
DEEP = np.rint(BANDS * 40_000 + 1_000).astype(np.uint16)


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    """`values`: bands first (planar, or pages), unless the option `last` says that they are to be last."""
    buffer = io.BytesIO()
    if options.pop("last", False):
        values = np.ascontiguousarray(np.moveaxis(values, 0, -1))
        options |= {"planarconfig": "contig"}
    tifffile.imwrite(buffer, values, **({"photometric": "minisblack", "metadata": None} | options))
    return buffer.getvalue()


def geotiff(values: NDArray[Any], nodata: str, **options: Any) -> bytes:
    return tiff(values, extratags=[(42113, "s", 0, nodata, True)], **options)


def asking(bands: tuple[int, int, int], **changes: Any) -> Images:
    return Images.model_validate(RULES.model_dump() | {"bands": bands} | changes)


LAYOUTS = {
    "bands last": {"last": True},
    "bands first": {"planarconfig": "separate"},
    "pages": {},
    "tiles": {"last": True, "tile": (16, 16)},
    "planar tiles": {"planarconfig": "separate", "tile": (16, 16)},
    "LZW": {"last": True, "compression": "lzw", "predictor": True},
    "deflate": {"planarconfig": "separate", "compression": "zlib", "rowsperstrip": 5},
    "zstd tiles": {"last": True, "compression": "zstd", "tile": (16, 16)},
    "big-endian": {"last": True, "byteorder": ">"},
    "BigTIFF": {"last": True, "bigtiff": True},
    "OME channels": {"ome": True, "metadata": {"axes": "CYX"}},
    "RGB and more": {"last": True, "photometric": "rgb"},
}


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_however_bands_are_stored_those_asked_for_are_shown(options: dict[str, Any]) -> None:
    picture = decode(tiff(DEEP, **options), asking((3, 1, 2)))
    assert np.abs(picture.pixels.astype(int) - np.moveaxis(EXPECTED[[2, 0, 1]], 0, -1)).max() <= 1
    assert (picture.format, picture.bits, picture.width, picture.height) == ("TIFF", 16, WIDTH, HEIGHT)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32, np.float64], ids=lambda d: d.__name__)
def test_every_type_of_value_is_stretched(dtype: type) -> None:
    values = (BANDS * 200 - (100 if dtype in (np.int16, np.float32) else 0)).round().astype(dtype)
    picture = decode(tiff(values, last=True), RULES)
    assert np.abs(picture.pixels.astype(int) - np.moveaxis(EXPECTED[:3], 0, -1)).max() <= 1
    assert picture.mode == f"5 x {np.dtype(dtype).name}"


PLAIN = noise(WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("values", "options", "mode"),
    [
        (PLAIN, {"photometric": "rgb"}, "RGB"),
        (PLAIN[:, :, 0], {}, "L"),
        (PLAIN[:, :, 0].astype(np.uint16), {}, "I;16"),
        (PLAIN.astype(np.uint16) * 257, {"photometric": "rgb"}, "RGB"),
        (PLAIN[:, :, 0].astype(np.float32), {}, "F"),
        (DEEP[:3], {}, "I;16"),
        (PLAIN.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}, "RGB"),
        (PLAIN.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate", "compression": "lzw"}, "RGB"),
    ],
    ids=["RGB", "grey", "16-bit grey", "16-bit RGB", "float", "pages", "planes", "LZW planes"],
)
def test_without_bands_a_picture_is_read_as_before(values: NDArray[Any], options: dict[str, Any], mode: str) -> None:
    data = tiff(values, **options)
    assert decode(data, RULES).mode == mode
    if mode == "RGB":
        np.testing.assert_array_equal(decode(data, RULES).pixels, PLAIN)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (DEEP[:3], {"planarconfig": "separate", "photometric": "rgb"}),
        (DEEP[:3].astype(np.float32), {"last": True, "photometric": "rgb"}),
        (BANDS[:3].astype(np.float64), {"last": True}),
        (DEEP, {"last": True}),
        (DEEP, {"planarconfig": "separate"}),
    ],
    ids=["planar 16-bit RGB", "float RGB", "three grey samples", "five bands", "five planes"],
)
def test_without_bands_the_first_three_are_shown_of_what_is_no_picture(
    values: NDArray[Any], options: dict[str, Any]
) -> None:
    pixels = decode(tiff(values, **options), RULES).pixels.astype(int)
    assert np.abs(pixels - np.moveaxis(EXPECTED[:3], 0, -1)).max() <= 1


def test_two_bands_are_shown_as_the_first_in_grey() -> None:
    pixels = decode(tiff(DEEP[:2], last=True), RULES).pixels.astype(int)
    assert np.abs(pixels - EXPECTED[0][:, :, np.newaxis]).max() <= 1


def test_one_band_thrice_is_grey() -> None:
    pixels = decode(tiff(PLAIN[:, :, 0]), asking((1, 1, 1))).pixels
    assert (pixels == pixels[:, :, :1]).all()
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize(
    ("data", "count"),
    [(tiff(DEEP, last=True), 5), (tiff(DEEP), 5), (tiff(DEEP[0]), 1), (tiff(PLAIN, photometric="rgb"), 3)],
    ids=["samples", "pages", "grey", "RGB"],
)
def test_fewer_bands_than_asked_for_are_told_with_both_numbers(data: bytes, count: int) -> None:
    with pytest.raises(UnreadableImage, match=f"asks for band 8; the file has {count}$"):
        decode(data, asking((1, 8, 1)))


def test_reduced_copies_between_the_pages_are_no_bands() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for band in DEEP[:3]:
            writer.write(band, photometric="minisblack", metadata=None)
            writer.write(band[::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
            writer.write(band, photometric="minisblack", metadata=None, subfiletype=1)
    pixels = decode(buffer.getvalue(), asking((1, 2, 3))).pixels.astype(int)
    assert np.abs(pixels - np.moveaxis(EXPECTED[:3], 0, -1)).max() <= 1
    with pytest.raises(UnreadableImage, match="the file has 3$"):
        decode(buffer.getvalue(), asking((1, 2, 4)))


def test_percentiles_by_hand() -> None:
    """Of 0, 1 .. 100 the 10th percentile is 10 and the 60th is 60: 35 is half-way, 60 and more are white."""
    band = np.arange(101).reshape(1, 101)
    grey = stretched(band, np.ones_like(band, bool), (10, 60))[0]
    assert grey[[0, 10, 20, 35, 60, 100]].tolist() == [0, 0, 51, 128, 255, 255]
    assert stretched(band * 0 + 7, np.ones_like(band, bool), (2, 98)).max() == 0, "one value only is black"


NODATA = {
    "named": ("-9999", -9999.0),
    "NaN": ("nan", np.nan),
    "infinite, untold": ("", np.inf),
    "NaN, untold": ("", np.nan),
    "the least float": ("-3.4028234663852886e+38", np.finfo(np.float32).min),
}


@pytest.mark.parametrize(("tag", "value"), NODATA.values(), ids=NODATA)
def test_what_holds_no_data_is_black_and_counts_for_no_percentile(tag: str, value: float) -> None:
    values = (BANDS[[0, 1, 2]] * 100).astype(np.float32)
    values[1, :4, :] = value  # of one band: black in all, not a false colour
    pixels = decode(geotiff(values, tag, last=True) if tag else tiff(values, last=True), RULES).pixels.astype(int)
    assert pixels[:4].max() == 0
    assert np.abs(pixels[4:, :, 1] - EXPECTED[1, 4:]).max() <= 1


@pytest.mark.parametrize("tag", ["300", "-1", "0.5", "words", ""], ids=["300", "-1", "0.5", "words", "empty"])
def test_a_nodata_that_no_value_can_have_changes_nothing(tag: str) -> None:
    values = (BANDS[:3] * 255).astype(np.uint8)
    with_tag, without = geotiff(values, tag, last=True), tiff(values, last=True)
    rules = asking((1, 2, 3))
    np.testing.assert_array_equal(decode(with_tag, rules).pixels, decode(without, rules).pixels)


def test_nothing_but_nodata_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="no pixel has a value in all bands"):
        decode(geotiff(np.full((5, HEIGHT, WIDTH), 9, np.uint16), "9", last=True), RULES)


@pytest.mark.parametrize("number", range(1, 9))
def test_bands_come_out_upright(number: int) -> None:
    stored = PLAIN.astype(np.float32)
    upright = decode(tiff(stored, photometric="rgb"), RULES)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = number
    picture = decode(tiff(stored, photometric="rgb", extratags=[(274, "H", 1, number, True)]), RULES)
    buffer = io.BytesIO()
    Image.fromarray(decode(tiff(stored, photometric="rgb"), RULES).pixels).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(picture.pixels, decode(buffer.getvalue(), RULES).pixels)
    assert (picture.width, picture.height) == ((HEIGHT, WIDTH) if number >= 5 else (WIDTH, HEIGHT))
    assert (picture.orientation, upright.orientation) == (number, 1)


def test_pages_in_a_circle_are_walked_once() -> None:
    data = bytearray(tiff(DEEP[:3]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last, first = file.pages[2].offset, file.pages[1].offset
    at = last + 2 + 12 * int.from_bytes(data[last : last + 2], "little")
    data[at : at + 4] = first.to_bytes(4, "little")
    assert decode(bytes(data), asking((1, 2, 3))).bits == 16
    with pytest.raises(UnreadableImage, match="the file has 3$"):
        decode(bytes(data), asking((1, 2, 4)))


STORED = {name: tiff(DEEP, **options) for name, options in LAYOUTS.items()}
ASKED = asking((5, 4, 3))


@pytest.mark.parametrize("name", STORED)
def test_a_file_whose_pixels_are_cut_is_never_judged(name: str) -> None:
    data, whole = STORED[name], decode(STORED[name], ASKED).pixels
    for length in sorted({*range(1, len(data), len(data) // 60), *range(len(data) - 8, len(data))}):
        try:
            pixels = decode(data[:length], ASKED).pixels
        except UnreadableImage:
            continue
        np.testing.assert_array_equal(pixels, whole, f"{length} of {len(data)}: what is missing is no pixel")


def test_a_strip_that_decodes_to_less_is_refused() -> None:
    """As many bytes as the file says, of another image: the strips of half of its rows."""
    long, short = tiff(DEEP, last=True, compression="zlib"), tiff(DEEP[:, :8], last=True, compression="zlib")
    with tifffile.TiffFile(io.BytesIO(long)) as first, tifffile.TiffFile(io.BytesIO(short)) as second:
        at, size = first.pages.first.dataoffsets[0], first.pages.first.databytecounts[0]
        other = second.pages.first
        strip = short[other.dataoffsets[0] : other.dataoffsets[0] + other.databytecounts[0]]
    with pytest.raises(UnreadableImage):
        decode(long[:at] + strip.ljust(size, b"\0") + long[at + size :], RULES)


@given(
    name=st.sampled_from(sorted(STORED)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    near_start=st.booleans(),
)
def test_a_damaged_file_raises_nothing_else(name: str, changes: list[tuple[float, int]], near_start: bool) -> None:
    data = STORED[name]
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * (min(len(data), 400) if near_start else len(data)))] = value
    try:
        assert decode(bytes(damaged), ASKED).pixels.shape == (HEIGHT, WIDTH, 3)
    except UnreadableImage as error:
        assert "\n" not in str(error)


@given(data=st.binary(max_size=300), start=st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*", b"II+\0\x08\0\0\0"]))
def test_arbitrary_bytes_raise_nothing_else(start: bytes, data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode(start + data, ASKED)


def test_nothing_is_printed_about_a_strange_file(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for data in (STORED["LZW"][:-9], STORED["pages"][:900], STORED["deflate"][:200]):
            with pytest.raises(UnreadableImage):
                decode(data, ASKED)
    assert [str(warning.message) for warning in caught] == []
    assert capfd.readouterr() == ("", "")


def declared(width: int, height: int, samples: int) -> bytes:
    """A small TIFF that says it is large."""
    data = bytearray(tiff(DEEP, last=True, compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        for code, value in ((256, width), (257, height), (278, height), (277, samples)):
            at, size = tags[code].valueoffset, 2 if tags[code].dtype == 3 else 4
            data[at : at + size] = value.to_bytes(size, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (declared(60_000, 60_000, 5), r"60000 x 60000 pixels is more than images\.max_megapixels \(1\) allows"),
        (declared(1001, 1000, 5), "1001 x 1000 pixels is more than"),
        (declared(1000, 1000, 60_000), r"of 60000 bands \(uint16\) are more than images\.max_megapixels"),
    ],
    ids=["pixels", "just above", "bands"],
)
def test_more_than_allowed_is_refused_before_memory_is_taken(data: bytes, reason: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableImage, match=reason):
        decode(data, asking((1, 2, 3)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("module", ["tifffile", "imagecodecs"])
def test_without_the_extra_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnreadableImage, match=r"need the package tifffile: pip install 'nightshift\[tiff\]'"):
        decode(STORED["bands last"], RULES)
    assert decode(tiff(PLAIN, photometric="rgb"), RULES).format == "TIFF", "a picture does without"


@pytest.mark.parametrize(
    "options",
    [
        {"last": True},
        {"last": True, "predictor": True},
        {"planarconfig": "separate", "predictor": True},
        {"last": True, "rowsperstrip": 5},
        {"planarconfig": "separate", "rowsperstrip": 5},
        {"last": True, "tile": (16, 32), "predictor": True},
        {"planarconfig": "separate", "tile": (16, 32)},
        {"byteorder": ">", "last": True, "predictor": True},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32], ids=lambda d: d.__name__)
def test_lzw_gives_the_same_as_no_compression(options: dict[str, Any], dtype: type) -> None:
    values = (BANDS * 200).astype(dtype)
    if dtype == np.float32 and options.get("predictor"):
        options = options | {"predictor": 3}
    plain = {name: value for name, value in options.items() if name != "predictor"}
    expected = decode(tiff(values, **plain), ASKED).pixels
    np.testing.assert_array_equal(decode(tiff(values, compression="lzw", **options), ASKED).pixels, expected)


@pytest.mark.parametrize("compression", ["packbits", "lerc"])
def test_a_compression_that_is_not_proved_on_damaged_bytes_is_refused_with_the_way_out(compression: str) -> None:
    with pytest.raises(UnreadableImage, match=r"TIFF compression \d+ is not read .* save it with one of LZW, deflate"):
        decode(tiff(DEEP, last=True, compression=compression), ASKED)
