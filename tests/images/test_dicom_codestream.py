"""Compressed DICOM frames: what the codecs read, and what they need."""

import io
import sys
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    MPEG2MPML,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from pipeline.images.decode import UnreadableImage, decode
from tests.fixtures.dicom_files import dicom
from tests.fixtures.dicom_values import GRAIN, PHOTO, RULES, STORED, row_of, shown


def test_a_compression_that_no_package_reads_is_named() -> None:
    data = dicom(GRAIN, JPEG2000Lossless)
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(UnreadableImage, match="MPEG2 .* cannot be read"):
        decode(buffer.getvalue().replace(b"\xff\x4f\xff\x51", b"\0\0\1\xb3"), RULES)


def test_without_the_codecs_only_compressed_files_ask_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert decode(STORED["RLE"], RULES).bits == 8
    with pytest.raises(UnreadableImage, match=r"^compressed DICOM images need the package imagecodecs: pip install"):
        decode(STORED["JPEG-LS"], RULES)


@pytest.mark.parametrize(
    "syntax", [JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless], ids=lambda syntax: syntax.keyword
)
def test_signed_values_keep_their_sign_through_a_codec_that_knows_none(syntax: Any) -> None:
    values = row_of([-2048, -1229, 2047])
    compressed = values if syntax == JPEG2000Lossless else values.view(np.uint16)
    data = dicom(compressed, syntax, BitsStored=16, PixelRepresentation=1)
    assert shown(data, 3) == [0, 51, 255]


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, HTJ2KLossless], ids=lambda syntax: syntax.keyword)
def test_compressed_colours_come_out_as_rgb(syntax: Any) -> None:
    photometric = "RGB" if syntax == JPEGLSLossless else "YBR_RCT"
    np.testing.assert_array_equal(
        decode(dicom(PHOTO, syntax, PhotometricInterpretation=photometric), RULES).pixels, PHOTO
    )
