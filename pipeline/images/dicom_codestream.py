"""A compressed frame of a DICOM file -> its stored values, with imagecodecs: JPEG, JPEG-LS, JPEG 2000.

pydicom would prefer GDCM, but GDCM crashes the whole process on a damaged JPEG. Windows and greys are not done here.
"""

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.images.frame import UnreadableImage, missing_extra

if TYPE_CHECKING:
    from pydicom import Dataset

JPEG_2000 = b"\xff\x4f\xff\x51"
JPEG_LS = 0xF7  # its start-of-frame marker
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {JPEG_LS}  # JPEG markers that declare a size
SAYS_ITS_COLOURS = (b"JFIF\0", b"Adobe")  # markers that say whether a JPEG holds RGB or YCbCr
END = b"\xff\xd9"  # end marker of all three formats; a zero may follow to make the length even


def codestream(dataset: "Dataset", syntax: str, width: int, height: int, index: int) -> NDArray[Any]:
    """Decode the frame with this index, from 0 on, to stored values (height, width), or to RGB (height, width, 3).

    Raises UnreadableImage when the frame is truncated, or when its size differs from the file's: a decoder allocates
    memory for the frame's own size, and paints missing pixels grey or black.
    """
    from pydicom.encaps import get_frame

    try:
        import imagecodecs
    except ImportError:
        raise missing_extra("compressed DICOM images", "imagecodecs", "dicom") from None
    frame = get_frame(dataset.PixelData, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    if not frame.startswith((b"\xff\xd8", JPEG_2000)):
        raise UnreadableImage(f"DICOM images in {syntax} cannot be read")
    if not frame.rstrip(b"\0").endswith(END):
        raise UnreadableImage("damaged DICOM image: its pixels are cut off")
    kind, *size = _start(frame)
    if size != [width, height]:
        raise UnreadableImage("damaged DICOM image: the pixel data does not match the size in the header")
    photometric = str(dataset.PhotometricInterpretation)
    if frame.startswith(JPEG_2000):
        values = imagecodecs.jpeg2k_decode(frame, numthreads=1)
    elif kind == JPEG_LS:
        values = _as_rgb(imagecodecs.jpegls_decode(frame), photometric)
    elif any(mark in frame[:64] for mark in SAYS_ITS_COLOURS) or int(dataset.SamplesPerPixel) == 1:
        values = imagecodecs.jpeg8_decode(frame)
    else:
        inside = "YCBCR" if photometric.startswith("YBR") else "RGB"
        values = imagecodecs.jpeg8_decode(frame, colorspace=inside, outcolorspace="RGB")
    expected = (height, width, 3) if int(dataset.SamplesPerPixel) == 3 else (height, width)
    if values.shape != expected:
        raise UnreadableImage("damaged DICOM image: the pixel data does not match the size in the header")
    return _as_told(values, int(dataset.BitsStored), signed=bool(dataset.PixelRepresentation))


def _start(frame: bytes) -> tuple[int, int, int]:
    """The start-of-frame marker, and the width and height that it declares; zeros where there is none."""
    if frame.startswith(JPEG_2000):  # two corners: bottom right, top left
        right, bottom, left, top = struct.unpack_from(">IIII", frame, 8)
        return frame[1], right - left, bottom - top
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in START_OF_FRAME:
            height, width = struct.unpack_from(">HH", frame, at + 5)
            return frame[at + 1], width, height
        at += 1 if frame[at + 1] == 0xFF else 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return 0, 0, 0


def _as_rgb(values: NDArray[Any], photometric: str) -> NDArray[Any]:
    """JPEG-LS values as RGB: only the DICOM file, not the codestream, names the colour space."""
    from pydicom.pixels.processing import convert_color_space

    if values.ndim == 3 and photometric.startswith("YBR"):
        return np.asarray(convert_color_space(values, photometric, "RGB"))
    return values


def _as_told(values: NDArray[Any], bits: int, *, signed: bool) -> NDArray[Any]:
    """Read the same bits as signed or unsigned, as the file says: most codestreams do not store a sign."""
    if signed == (values.dtype.kind == "i"):
        return values
    unused = values.dtype.itemsize * 8 - bits
    kind = np.dtype(f"{'i' if signed else 'u'}{values.dtype.itemsize}")
    return np.asarray((values << unused).view(kind) >> unused)
