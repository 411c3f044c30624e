"""Time, place and camera: what each format says of them, what is impossible, and that no bytes raise."""

import datetime
import io
import struct
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import PngImagePlugin

from pipeline.images.decode import decode
from pipeline.images.taken import Taken, read_taken
from pipeline.params.data import Images
from tests.fixtures.dicom_files import PATIENT, dicom
from tests.fixtures.taken import IMAGE, exif, jpeg, xmp

RULES = Images(width=32, height=32, fit="stretch", max_megapixels=10)
NOON = datetime.datetime(2024, 5, 1, 12, 30, 15)
EAST_2 = datetime.timezone(datetime.timedelta(hours=2))
GPS_AGO = datetime.timedelta(hours=2, seconds=3)
OXFORD = {"latitude": (51, 45, 7.2), "longitude": (1, 15, 28.8), "sides": "NW", "altitude": 61.5}


def saved(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    IMAGE.save(buffer, form, **options)
    return buffer.getvalue()


def heif() -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(IMAGE).save(buffer, exif=exif(NOON, "+02:00"))
    return buffer.getvalue()


def with_xmp_in_png() -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt(
        "XML:com.adobe.xmp", xmp(DateTimeOriginal="2024-05-01T12:30:15+02:00", Make="X", Model="X 1").decode()
    )
    return saved("PNG", pnginfo=notes)


@pytest.mark.parametrize(
    ("data", "at", "camera"),
    [
        (jpeg(NOON, "+02:00"), NOON.replace(tzinfo=EAST_2), "X 1 77"),
        (jpeg(NOON, "", subsecond="25"), NOON.replace(microsecond=250_000), "X 1 77"),
        (saved("WEBP", exif=exif(NOON, "Z")), NOON.replace(tzinfo=datetime.UTC), "X 1 77"),
        (saved("PNG", exif=exif(NOON, "+02:00")), NOON.replace(tzinfo=EAST_2), "X 1 77"),
        (saved("TIFF", exif=exif(NOON, "+02:00")), NOON.replace(tzinfo=EAST_2), "X 1 77"),
        (heif(), NOON.replace(tzinfo=EAST_2), "X 1 77"),
        (with_xmp_in_png(), NOON.replace(tzinfo=EAST_2), "X 1"),
        (saved("JPEG", xmp=xmp(CreateDate="2024-05-01T12:30:15")), NOON, ""),
        (jpeg(NOON, "", xmp=xmp(CreateDate="2024-05-01T12:30:15+02:00")), NOON.replace(tzinfo=EAST_2), "X 1 77"),
        (jpeg(NOON, "", satellite=NOON - GPS_AGO), NOON.replace(tzinfo=EAST_2), "X 1 77"),
        (jpeg(NOON, "", satellite=NOON - datetime.timedelta(minutes=47)), NOON, "X 1 77"),  # a fix of long ago
        (jpeg(NOON, "+02:00", make="Nightshift", model="gate-2"), NOON.replace(tzinfo=EAST_2), "gate-2"),
        (saved("JPEG"), None, ""),
        (saved("GIF"), None, ""),
    ],
    ids=["jpeg", "no offset", "webp", "png", "tiff", "heif", "xmp in png", "xmp in jpeg", "xmp's offset",
         "gps's offset", "gps's old time", "collected", "nothing", "gif"],
)  # fmt: skip
def test_time_and_camera_are_as_the_file_says_on_both_roads(
    data: bytes, at: datetime.datetime | None, camera: str
) -> None:
    taken = read_taken(data)

    assert (taken.at, taken.camera) == (at, camera)
    assert (taken.at is None) or (taken.at.tzinfo is None) == (at is not None and at.tzinfo is None)
    assert decode(data, RULES).taken == taken


def test_a_place_has_its_signs_and_its_height() -> None:
    taken = read_taken(jpeg(NOON, "", **OXFORD, below_the_sea=True))
    by_xmp = read_taken(
        saved("JPEG", xmp=xmp(GPSLatitude="51,45.12N", GPSLongitude="1,15,28.8W", GPSAltitude="615/10"))
    )

    assert (taken.latitude, taken.longitude, taken.altitude) == (pytest.approx(51.752), pytest.approx(-1.258), -61.5)
    assert (by_xmp.latitude, by_xmp.longitude, by_xmp.altitude) == (pytest.approx(51.752), pytest.approx(-1.258), 61.5)


@pytest.mark.parametrize(
    "time",
    ["0000:00:00 00:00:00", "2024:13:01 12:00:00", "2024:02:30 12:00:00", "2024:05:01 24:00:00", "    :  :  ", "x"],
)
def test_an_impossible_time_is_unknown(time: str) -> None:
    assert read_taken(jpeg(time, "+02:00")).at is None


@pytest.mark.parametrize("offset", ["+15:00", "+01:75", "02:00", "local"])
def test_an_impossible_offset_is_unknown(offset: str) -> None:
    assert read_taken(jpeg(NOON, offset)).at == NOON


@pytest.mark.parametrize(
    "place",
    [
        {"latitude": (0, 0, 0), "longitude": (0, 0, 0), "sides": "NE"},
        {"latitude": (91, 0, 0), "longitude": (1, 0, 0), "sides": "NE"},
        {"latitude": (51, 0, 0), "longitude": (181, 0, 0), "sides": "NE"},
        {"latitude": (51, 0, 0), "longitude": (1, 0, 0), "sides": "XX"},
        {"latitude": ((0, 0), (0, 0), (0, 0)), "longitude": ((1, 0), (0, 1), (0, 1)), "sides": "NE"},
        {"latitude": (51, 0, 0), "longitude": (1, 0, 0), "sides": "NE", "status": "V"},
    ],
    ids=["no fix", "latitude", "longitude", "side", "0/0 and 1/0", "void"],
)
def test_an_impossible_place_is_unknown(place: dict[str, Any]) -> None:
    taken = read_taken(jpeg(NOON, "", **place))

    assert (taken.latitude, taken.longitude, taken.altitude) == (None, None, None)


def test_entities_in_xmp_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "2024-05-01T12:30:15">]>' + xmp(CreateDate="&amp;").replace(b"&amp;", b"&a;")

    assert read_taken(saved("JPEG", xmp=bomb)) == Taken()


def test_dicom_says_time_and_machine_and_hashes_whose_they_are() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    elements = {"AcquisitionDate": "20240501", "AcquisitionTime": "123015.25", "TimezoneOffsetFromUTC": "+0200",
                "Manufacturer": "X", "ManufacturerModelName": "X 1", "StationName": "CT2",
                "StudyInstanceUID": "1.2.3"}  # fmt: skip
    data, other = dicom(pixels, **elements), dicom(pixels, **elements | {"StudyInstanceUID": "1.2.4"})

    one, two = read_taken(data, b"key"), read_taken(other, b"key")

    assert one.at == NOON.replace(tzinfo=EAST_2, microsecond=250_000)
    assert one.camera == "X 1 CT2"
    assert one.patient == two.patient != ""
    assert one.study != two.study
    assert read_taken(data, b"another key").patient not in ("", one.patient)
    assert decode(data, RULES).taken == read_taken(data) == Taken(one.at, one.camera)
    assert not any(word in repr(one) for word in (PATIENT, "1.2.3"))


WHOLE = [jpeg(NOON, "+02:00", **OXFORD), saved("TIFF", exif=exif(NOON, "+02:00")), saved("PNG", exif=exif(NOON, "Z")),
         dicom(np.zeros((4, 4), np.uint8), AcquisitionDateTime="20240501123015"),
         saved("JPEG", xmp=xmp(GPSLatitude="51,45.12N", CreateDate="2024-05-01T12:30:15"))]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=8)), max_size=6))
@example(b"II*\0" + struct.pack("<I", 8) + b"\xff" * 40, [])
@example(b"", [])
def test_no_bytes_raise(data: bytes, changes: list[tuple[int, bytes]]) -> None:
    for at, new in changes:
        data = data[:at] + new + data[at + len(new) :]

    taken = read_taken(data, b"key")

    taken.at_text.encode()
    taken.camera.encode()
    assert taken.latitude is None or -90 <= taken.latitude <= 90
