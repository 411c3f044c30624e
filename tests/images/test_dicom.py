"""DICOM: values through the right window, every way to store pixels, no patient named, no memory for a lie."""

import io
import resource
import struct
import sys
import warnings
import zlib
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.pixels.utils import pack_bits
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pipeline.images.decode import UnreadableImage, decode
from pipeline.images.dicom import windowed
from pipeline.params.data import Images
from tests.fixtures.dicom_files import PATIENT, dicom, item, jpeg, without_preamble
from tests.fixtures.dicom_values import CT, GRAIN, HEIGHT, PHOTO, RULES, STORED, VOI_LUT, WIDTH, row_of, shown
from tests.fixtures.images import noise

MODALITY_LUT = item(LUTDescriptor=[4, 0, 16], ModalityLUTType="US", LUTData=struct.pack("<4H", 0, 10, 100, 1000))
ENHANCED = {
    "SharedFunctionalGroupsSequence": [
        item(PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=-100, RescaleType="HU")])
    ],
    "PerFrameFunctionalGroupsSequence": [item(FrameVOILUTSequence=[item(WindowCenter=50.5, WindowWidth=101)])],
}
# By hand: LINEAR gives ((x - (centre - 0.5)) / (width - 1) + 0.5) x 255, clipped; [50.5, 101] is x / 100 x 255.
WINDOWS = [
    ("the file's", {"WindowCenter": 50.5, "WindowWidth": 101}, [-5, 0, 20, 50, 100, 300], [0, 0, 51, 128, 255, 255]),
    ("after the rescale", CT | {"WindowCenter": 50.5, "WindowWidth": 101}, [1024, 1044, 1124], [0, 51, 255]),
    ("the first of several", {"WindowCenter": [50.5, 0], "WindowWidth": [101, 9]}, [0, 20, 100], [0, 51, 255]),
    ("by whole numbers", {"WindowCenter": 50, "WindowWidth": 100}, [0, 33, 66, 99], [0, 85, 170, 255]),
    ("of width 1", {"WindowCenter": 10, "WindowWidth": 1}, [8, 9, 10, 11], [0, 0, 255, 255]),
    ("exact", {"WindowCenter": 50, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}, [0, 20, 100], [0, 51, 255]),
    # 255 / (1 + e^-(4 x 25 / 100)) = 255 / (1 + e^-1) = 186.4
    ("sigmoid", {"WindowCenter": 50, "WindowWidth": 100, "VOILUTFunction": "SIGMOID"}, [25, 50, 75], [69, 128, 186]),
    ("none: all values", {}, [-200, -100, 0, 200], [0, 64, 128, 255]),
    ("none, with padding", {"PixelPaddingValue": -2000}, [-2000, 0, 20, 100], [0, 0, 51, 255]),
    ("of no width", {"WindowCenter": 50, "WindowWidth": 0}, [0, 20, 100], [0, 51, 255]),
    ("one value only", {}, [7, 7], [0, 0]),
    ("inverted", {"PhotometricInterpretation": "MONOCHROME1"}, [0, 20, 100], [255, 204, 0]),
    ("a table", {"VOILUTSequence": [VOI_LUT]}, [0, 10, 11, 12, 13, 99], [0, 0, 51, 204, 255, 255]),
    ("a modality table", {"ModalityLUTSequence": [MODALITY_LUT]}, [0, 1, 2, 3], [0, 3, 26, 255]),
    ("of an enhanced file", ENHANCED | {"NumberOfFrames": 1}, [50, 60, 100], [0, 51, 255]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "values", "grey"), [case[1:] for case in WINDOWS], ids=[case[0] for case in WINDOWS]
)
def test_grey_values_go_through_the_window(elements: dict[str, Any], values: list[float], grey: list[int]) -> None:
    dtype = np.uint16 if "LUT" in str(elements) and "VOILUTFunction" not in elements else np.int16
    stored = row_of(values, dtype)
    if "NumberOfFrames" in elements:
        stored = stored[np.newaxis]
    assert shown(dicom(stored, **elements), len(values)) == grey


def test_the_rules_window_goes_before_the_files() -> None:
    """Soft tissue: Hounsfield -160 is the last black, 239 the first white; 40 is ((40 - 39.5) / 399 + 0.5) x 255."""
    rules = RULES.model_copy(update={"window": (40.0, 400.0)})
    data = dicom(row_of([0, 864, 1064, 1263, 3000]), **CT, WindowCenter=0, WindowWidth=10, VOILUTSequence=[VOI_LUT])
    assert shown(data, 5, rules) == [0, 0, 128, 255, 255]


def test_a_window_leaves_colour_alone() -> None:
    rules = RULES.model_copy(update={"window": (40.0, 400.0)})
    data = dicom(noise(WIDTH, HEIGHT))
    np.testing.assert_array_equal(decode(data, rules).pixels, noise(WIDTH, HEIGHT))


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20),
    centre=st.floats(-1e4, 1e4),
    width=st.floats(1, 1e4),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_a_window_keeps_the_order_of_values_within_0_and_1(
    values: list[float], centre: float, width: float, function: str
) -> None:
    shares = windowed(np.array(sorted(values)), centre, width, function)
    assert (np.diff(shares) >= 0).all()
    assert 0 <= shares.min() <= shares.max() <= 1


@pytest.mark.parametrize(
    ("dtype", "bits", "values"),
    [
        (np.uint8, 8, [0, 51, 255]),
        (np.int8, 8, [-128, -77, 127]),
        (np.uint16, 12, [0, 819, 4095]),
        (np.int16, 12, [-2048, -1229, 2047]),
        (np.uint16, 16, [0, 13107, 65535]),
        (np.int16, 16, [-32768, -19661, 32767]),
        (np.uint32, 32, [0, 858993459, 4294967295]),
    ],
    ids=["8", "signed 8", "12", "signed 12", "16", "signed 16", "32"],
)
def test_any_depth_is_scaled_and_not_clipped(dtype: type, bits: int, values: list[int]) -> None:
    data = dicom(row_of(list(values), dtype), BitsStored=bits)
    assert shown(data, 3) == [0, 51, 255]
    picture = decode(data, RULES)
    assert (picture.format, picture.mode, picture.bits, picture.orientation) == ("DICOM", "MONOCHROME2", bits, 1)
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)


def test_one_bit_and_floating_pixels_are_read() -> None:
    bits = row_of([0, 1], np.uint8)
    data = dicom(bits, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=pack_bits(bits))
    assert shown(data, 2) == [0, 255]
    floats = row_of([-1.5, 0, 1.5], np.float32)
    wanted = {"BitsAllocated": 32, "FloatPixelData": floats.tobytes()}
    data = dicom(np.zeros((HEIGHT, WIDTH), np.uint32), **wanted)
    dataset = pydicom.dcmread(io.BytesIO(data))
    del dataset.PixelData
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert shown(buffer.getvalue(), 3) == [0, 128, 255]


GREY16 = PHOTO[:, :, 0].astype(np.uint16) * 257


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless,
        JPEGLosslessSV1, JPEGLSLossless,
    ],
    ids=lambda syntax: syntax.keyword,
)  # fmt: skip
def test_however_the_pixels_are_stored_they_are_the_same(syntax: Any) -> None:
    low, high = int(GREY16.min()), int(GREY16.max())
    expected = np.rint((GREY16 - low) / (high - low) * 255)
    np.testing.assert_array_equal(decode(dicom(GREY16, syntax), RULES).pixels[:, :, 0], expected)


def test_lossy_colour_is_read_with_its_colours() -> None:
    data = dicom(PHOTO, JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422")
    picture = decode(data, RULES)
    with Image.open(io.BytesIO(jpeg(PHOTO))) as same:
        assert np.abs(picture.pixels.astype(int) - np.asarray(same)).mean() < 4
    assert picture.mode == "YBR_FULL_422"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["plain", "RLE"])
def test_colours_come_out_as_rgb(syntax: Any) -> None:
    np.testing.assert_array_equal(decode(dicom(PHOTO, syntax), RULES).pixels, PHOTO)
    red = np.tile(np.array([76, 85, 255], np.uint8), (HEIGHT, WIDTH, 1))  # in YBR
    pixels = decode(dicom(red, syntax, PhotometricInterpretation="YBR_FULL"), RULES).pixels
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 2


def test_planes_and_deep_colours_are_read() -> None:
    planes = np.ascontiguousarray(PHOTO.transpose(2, 0, 1)).tobytes()
    np.testing.assert_array_equal(decode(dicom(PHOTO, PlanarConfiguration=1, PixelData=planes), RULES).pixels, PHOTO)
    np.testing.assert_array_equal(decode(dicom(PHOTO.astype(np.uint16) * 257), RULES).pixels, PHOTO)


@pytest.mark.parametrize(("bits", "factor"), [(16, 257), (8, 1)], ids=["16-bit palette", "8-bit palette"])
def test_a_palette_gives_its_colours(bits: int, factor: int) -> None:
    palette = {"Red": [10, 0, 250, 9], "Green": [20, 100, 0, 9], "Blue": [30, 200, 0, 9]}
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in palette.items():
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        table = np.array(entries, np.uint16 if bits == 16 else np.uint8) * factor
        elements[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    pixels = decode(dicom(row_of([0, 1, 2], np.uint8), **elements), RULES).pixels
    assert pixels[3, :3].tolist() == [[10, 20, 30], [0, 100, 200], [250, 0, 0]]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1], ids=["plain", "RLE", "JPEG"])
def test_of_many_frames_the_first_is_judged(syntax: Any) -> None:
    frames = np.stack([row_of([0, 51, 255], np.uint8), *[np.full((HEIGHT, WIDTH), 9, np.uint8)] * 4])
    assert shown(dicom(frames, syntax, NumberOfFrames=5), 3) == [0, 51, 255]


def test_the_size_the_model_sees_is_the_rules() -> None:
    rules = Images(width=8, height=24, fit="pad", max_megapixels=1)
    assert decode(dicom(row_of([0, 9])), rules).pixels.shape == (24, 8, 3)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_a_file_without_preamble_is_read(syntax: Any) -> None:
    whole = dicom(row_of([0, 51, 255], np.uint8), syntax)
    assert shown(without_preamble(whole), 3) == [0, 51, 255]
    length = struct.unpack_from("<I", whole, 140)[0]
    assert shown(whole[144 + length :], 3) == [0, 51, 255], "nor the elements that say how it is stored"


def test_a_big_endian_file_is_read() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(row_of([0, 51, 255], np.uint8))))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    assert shown(buffer.getvalue(), 3) == [0, 51, 255]


def test_what_holds_no_pixels_is_refused_with_that_reason() -> None:
    with pytest.raises(UnreadableImage, match="holds no pixel data"):
        decode(dicom(None, Modality="SR"), RULES)
    with pytest.raises(UnreadableImage, match="known format"):
        decode(without_preamble(dicom(None, Modality="SR")), RULES)


TRAILING = {"RLE": 8, "JPEG": 9, "JPEG lossless": 9, "JPEG-LS": 9, "JPEG 2000": 9}  # the end of the sequence of frames


@pytest.mark.parametrize("name", STORED)
def test_a_file_whose_pixels_are_cut_is_never_judged(name: str) -> None:
    """Behind the last pixel, the end of the sequence (8 bytes) and a byte that fills up may be missing."""
    data = STORED[name]
    end = len(data) - TRAILING.get(name, 1 if name == "deflated" else 0)
    judged = []
    for length in sorted({*range(1, end, max(1, len(data) // 80)), *range(end - 12, end)}):
        try:
            decode(data[:length], RULES)
        except UnreadableImage as error:
            assert PATIENT not in str(error)
            continue
        judged.append(length - len(data))
    assert judged == []


def test_a_compressed_frame_that_ends_early_is_refused() -> None:
    """The file is whole and its frame is not: the last 40 bytes of its codestream are zeros."""
    for name in ("JPEG", "JPEG lossless", "JPEG-LS", "JPEG 2000"):
        damaged = bytearray(STORED[name])
        damaged[-48:-8] = bytes(40)
        with pytest.raises(UnreadableImage, match="cut off"):
            decode(bytes(damaged), RULES)


@given(
    name=st.sampled_from(sorted(STORED)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    in_header=st.booleans(),
)
def test_a_damaged_file_raises_nothing_else_and_names_no_patient(
    name: str, changes: list[tuple[float, int]], in_header: bool
) -> None:
    data = STORED[name]
    damaged = bytearray(data)
    for place, value in changes:
        start = min(128, len(data) // 4) if in_header else 0
        damaged[start + int(place * (len(data) - start))] = value
    try:
        assert decode(bytes(damaged), RULES).pixels.shape == (HEIGHT, WIDTH, 3)
    except UnreadableImage as error:
        assert "\n" not in str(error)
        assert "Curie" not in str(error)


@given(data=st.binary(max_size=300), start=st.sampled_from([bytes(128) + b"DICM", b"\x08\0\x05\0CS", b"\x02\0\0\0UL"]))
def test_arbitrary_bytes_raise_nothing_else(start: bytes, data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode(start + data, RULES)


def test_nothing_is_printed_about_a_strange_file(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for data in (dicom(GRAIN, WindowCenter=1, Rows=99), STORED["plain"][:-9], STORED["JPEG lossless"][:-60]):
            with pytest.raises(UnreadableImage):
                decode(data, RULES)
        decode(dicom(np.pad(GRAIN, ((0, 1), (0, 0))), Rows=HEIGHT), RULES)  # pixels too many
        longer = STORED["JPEG lossless"].replace(b"\xff\xd9", b"\0" * 16 + b"\xff\xd9")
        with pytest.raises(UnreadableImage):
            decode(longer, RULES)
    assert [str(warning.message) for warning in caught] == []
    assert capfd.readouterr() == ("", "")


def frame_of_size(syntax: Any, width: int, height: int) -> bytes:
    """A file whose elements say WIDTH x HEIGHT, and its compressed frame another size."""
    data = dicom(GRAIN, syntax)
    if syntax == JPEG2000Lossless:
        told, lie = struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", width, height)
    else:
        told, lie = struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", height, width)
    assert told in data
    return data.replace(told, lie)


def deflated_bomb() -> bytes:
    """A small file that inflates to 400 MB, made without taking them."""
    whole = dicom(GRAIN, DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", whole, 140)[0]
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    parts = [squeeze.compress(zlib.decompress(whole[start:], -zlib.MAX_WBITS))]
    parts += [squeeze.compress(bytes(1_000_000)) for _ in range(400)]
    return b"".join([whole[:start], *parts, squeeze.flush()])


BOMBS = {
    "declared": (dicom(GRAIN, Rows=60000, Columns=60000), r"60000 x 60000 pixels is more than images\.max_megapixels"),
    "just above": (dicom(GRAIN, Rows=1001, Columns=1000), r"1000 x 1001 pixels is more than"),
    "frames": (dicom(GRAIN[np.newaxis], NumberOfFrames=2_000_000_000, Rows=1000, Columns=1000), "damaged"),
    "JPEG 2000 frame": (frame_of_size(JPEG2000Lossless, 60000, 60000), "does not match the size in the header"),
    "JPEG-LS frame": (frame_of_size(JPEGLSLossless, 60000, 60000), "does not match the size in the header"),
    "JPEG frame": (frame_of_size(JPEGLosslessSV1, 60000, 60000), "does not match the size in the header"),
    "deflated": (
        deflated_bomb(),
        r"inflated, it is more than images\.max_megapixels",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), BOMBS.values(), ids=BOMBS)
def test_more_than_allowed_is_refused_before_memory_is_taken(data: bytes, reason: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableImage, match=reason):
        decode(data, RULES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_without_the_extra_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(
        UnreadableImage, match=r"^DICOM images need the package pydicom: pip install 'nightshift\[dicom\]'"
    ):
        decode(STORED["plain"], RULES)
