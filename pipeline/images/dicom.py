"""DICOM bytes -> an upright 8-bit frame, read with pydicom (the extra `dicom`). Reads nothing about patients.

Of several frames one is read, as images.frame says; `frames.py` reads all of them. Stored values become real ones
(modality LUT or rescale), then grey through a window: the window in the rules, else the first VOI LUT or window of the
frame or file, else the full range of values. MONOCHROME1 is inverted; colour images have no window.
"""

import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.dicom_codestream import codestream
from pipeline.images.formats import DICOM_PREFIX, DICOM_PREFIX_AT
from pipeline.images.frame import Frame, UnreadableImage, missing_extra, refuse_too_large
from pipeline.images.taken_dicom import ELEMENTS as TAKEN
from pipeline.images.taken_dicom import taken_of_dataset
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.params.data import Images

if TYPE_CHECKING:
    from pydicom import Dataset

PIXEL_DATA = b"\xe0\x7f\x10\0"  # the tag, little-endian
# Only these elements are read: what is not read cannot leak into a message.
ELEMENTS = (
    "BitsAllocated", "BitsStored", "BluePaletteColorLookupTableData", "BluePaletteColorLookupTableDescriptor",
    "Columns", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "FloatPixelData",
    "GreenPaletteColorLookupTableData", "GreenPaletteColorLookupTableDescriptor", "HighBit", "ModalityLUTSequence",
    "NumberOfFrames", "PerFrameFunctionalGroupsSequence", "PhotometricInterpretation", "PixelData",
    "PixelPaddingRangeLimit", "PixelPaddingValue", "PixelRepresentation", "PlanarConfiguration",
    "RedPaletteColorLookupTableData", "RedPaletteColorLookupTableDescriptor", "RescaleIntercept", "RescaleSlope",
    "Rows", "SamplesPerPixel", "SegmentedBluePaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SharedFunctionalGroupsSequence", "VOILUTFunction", "VOILUTSequence", "WindowCenter", "WindowWidth",
)  # fmt: skip
PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# The header of a deflated file names its transfer syntax so: tag, VR, length, then the UID.
DEFLATED = re.compile(rb"\x02\x00\x10\x00.{4,8}1\.2\.840\.10008\.1\.2\.1\.99", re.DOTALL)
BYTES_A_PIXEL, HEADER_BYTES = 8, 16_000_000  # a deflated file may inflate to three 16-bit samples, and some more


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are a DICOM file. Without a preamble, it must start with an element and have pixel data."""
    if data.startswith(DICOM_PREFIX, DICOM_PREFIX_AT):
        return True
    starts_so = data[:2] in (b"\x02\0", b"\x08\0") and (data[4:6].isupper() or data[6:8] == b"\0\0")
    return starts_so and PIXEL_DATA in data


def read_dicom(data: bytes, rules: Images) -> Frame:
    """Read one frame of a DICOM file. Raises UnreadableImage, or any error of pydicom on a damaged file."""
    dataset = open_dicom(data, rules)
    return read_frame(dataset, rules, _index(dataset, rules))


def open_dicom(data: bytes, rules: Images) -> "Dataset":
    """What is read of a DICOM file before its pixels are decoded. Raises as `read_dicom` does."""
    try:
        import pydicom  # noqa: F401 - `read_elements` needs it
    except ImportError:
        raise missing_extra("DICOM images", "pydicom", "dicom") from None
    dataset = read_elements(data, (*ELEMENTS, *TAKEN), rules.max_megapixels)
    if not any(element in dataset for element in PIXEL_ELEMENTS):
        raise UnreadableImage("this DICOM file holds no pixel data (a report, or it is cut off)")
    return dataset


def frames_of(dataset: "Dataset") -> int:
    """How many frames the file claims to have."""
    return int(dataset.get("NumberOfFrames") or 1)


def read_frame(dataset: "Dataset", rules: Images, index: int) -> Frame:
    """Decode the frame with this index, from 0 on. Raises as `read_dicom` does."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import RLELossless

    width, height = int(dataset.Columns), int(dataset.Rows)
    refuse_too_large(width, height, rules)
    syntax = syntax_of(dataset)
    if syntax.is_encapsulated and syntax != RLELossless:
        values = codestream(dataset, syntax.name, width, height, index)
        photometric = "RGB" if values.ndim == 3 else str(dataset.PhotometricInterpretation)
    else:
        plugin = "pydicom" if syntax == RLELossless else ""  # not GDCM, even where it is installed
        values, about = get_decoder(syntax).as_array(dataset, index=index, decoding_plugin=plugin)
        photometric = str(about["photometric_interpretation"])
    pixels = _colour(values, dataset) if photometric in COLOURS else _grey(values, dataset, rules, photometric, index)
    bits = int(dataset.get("BitsStored") or dataset.get("BitsAllocated"))
    return Frame(
        Image.fromarray(pixels).convert("RGB"), width, height, "DICOM", str(dataset.PhotometricInterpretation), bits, 1,
        taken_of_dicom(dataset),
    )  # fmt: skip


def _index(dataset: "Dataset", rules: Images) -> int:
    """Which frame the rules ask for, from 0 on. Raises UnreadableImage when the file has fewer."""
    frames = frames_of(dataset)
    match rules.frame:
        case "first":
            return 0
        case "middle" | "all":  # where a file has one picture, it is the middle one of all
            return (frames - 1) // 2
        case number if number <= frames:
            return number - 1
        case number:
            raise UnreadableImage(f"images.frame asks for frame {number}, and the last one is {frames}")


COLOURS = ("RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read_elements(data: bytes, names: Iterable[str], megapixels: float, *, pixels: bool = True) -> "Dataset":
    """The elements of these names. megapixels: of the largest allowed image. Raises any error of pydicom."""
    import pydicom

    _quieten()
    _refuse_to_inflate(data, megapixels)
    return pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=[*names], stop_before_pixels=not pixels)


def taken_of_dicom(dataset: "Dataset") -> Taken:
    """When and by which machine the file was made; UNKNOWN where it does not say so, or is damaged."""
    try:
        return taken_of_dataset(dataset)
    except Exception:  # noqa: BLE001 - as in `decode`, pydicom can raise any error; a note never costs the pixels
        return UNKNOWN


def _quieten() -> None:
    """Silence pydicom's warnings: they quote values of elements, and the reason goes into the row."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    quiet = ("ignore", None, Warning, re.compile("pydicom"), 0)
    if quiet not in warnings.filters:  # a permanent filter: `catch_warnings` is not thread-safe
        warnings.filterwarnings("ignore", module="pydicom")


def _refuse_to_inflate(data: bytes, megapixels: float) -> None:
    """Raise UnreadableImage when a deflated file would inflate to more than the largest allowed image needs."""
    if not (found := DEFLATED.search(data)):
        return
    length = struct.unpack_from("<I", data, 140)[0]  # of the header, which is not deflated
    start = 144 + length
    if start <= found.end():
        raise UnreadableImage("damaged DICOM image: its header does not say where its pixels start")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflater.decompress(data[start:], int(megapixels * 1e6 * BYTES_A_PIXEL) + HEADER_BYTES)
    if inflater.unconsumed_tail:
        raise UnreadableImage(f"inflated, it is more than images.max_megapixels ({megapixels:g}) allows")


def syntax_of(dataset: "Dataset") -> Any:
    """The file's transfer syntax; where it names none: uncompressed, in the byte order of its elements."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

    if syntax := dataset.file_meta.get("TransferSyntaxUID"):
        return syntax
    _, little_endian = dataset.original_encoding
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _colour(values: NDArray[Any], dataset: "Dataset") -> NDArray[np.uint8]:
    """RGB values or palette indices as 8-bit RGB; deeper values are scaled by their full range."""
    from pydicom.pixels.processing import apply_color_lut

    bits = int(dataset.BitsStored)
    if values.ndim == 2:
        values = apply_color_lut(values, dataset)[:, :, :3]
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    if bits == 8 and values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    return _as_bytes(values / (2.0**bits - 1))


def _grey(
    values: NDArray[Any], dataset: "Dataset", rules: Images, photometric: str, index: int
) -> NDArray[np.uint8]:  # fmt: skip
    real = _real_values(values, dataset, index)
    shown = _shown(real, _is_padding(values, dataset), dataset, rules, index)
    return _as_bytes(1 - shown if photometric == "MONOCHROME1" else shown)


def _as_bytes(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * 255).astype(np.uint8)
    return scaled


def _real_values(values: NDArray[Any], dataset: "Dataset", index: int) -> NDArray[np.float64]:
    """Stored values in the unit of the machine, e.g. Hounsfield units."""
    from pydicom.pixels.processing import apply_modality_lut

    if dataset.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(values, dataset), np.float64)
    scale = _of_frame(dataset, index, "PixelValueTransformationSequence")
    slope, intercept = scale.get("RescaleSlope"), scale.get("RescaleIntercept")
    real = values * float(1 if slope is None else slope) + float(0 if intercept is None else intercept)
    return np.asarray(real, np.float64)


def _of_frame(dataset: "Dataset", index: int, sequence: str) -> "Dataset":
    """The dataset with the elements of `sequence`: the frame's group, the shared group, or the file itself."""
    own = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]
    for group in (*own, *(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]):
        if items := group.get(sequence):
            found: Dataset = items[0]
            return found
    return dataset


def _is_padding(values: NDArray[Any], dataset: "Dataset") -> NDArray[np.bool_]:
    """A mask of the stored values that are padding."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, np.bool_)
    last = dataset.get("PixelPaddingRangeLimit", first)
    return np.asarray((values >= min(first, last)) & (values <= max(first, last)), np.bool_)


def _shown(
    real: NDArray[np.float64], padding: NDArray[np.bool_], dataset: "Dataset", rules: Images, index: int
) -> NDArray[np.float64]:
    """Real values as brightness, 0 (black) to 1 (white)."""
    from pydicom.pixels.processing import apply_voi

    if rules.window != "file":
        return windowed(real, *rules.window)
    voi = _of_frame(dataset, index, "FrameVOILUTSequence")
    if tables := voi.get("VOILUTSequence"):
        bits = int(tables[0].LUTDescriptor[2])
        return np.asarray(apply_voi(np.rint(real).astype(np.int32), voi, index=0) / (2.0**bits - 1), np.float64)
    centre, width = _first(voi.get("WindowCenter")), _first(voi.get("WindowWidth"))
    function = str(voi.get("VOILUTFunction") or "LINEAR")
    if width >= (1 if function == "LINEAR" else 1e-9) and np.isfinite([centre, width]).all():
        return windowed(real, centre, width, function)
    counted = real[np.isfinite(real) & ~padding]
    if not counted.size:
        raise UnreadableImage("no pixel has a value")
    low, high = counted.min(), counted.max()
    return np.asarray((np.where(np.isfinite(real), real, low) - low) / max(high - low, 1e-12), np.float64)


def _first(element: Any) -> float:
    """The first value of an element that may have several; 0 where there is none."""
    values = [element] if isinstance(element, str | float | int) else list(element or [])
    return float(values[0]) if values and values[0] is not None else 0.0


def windowed(values: NDArray[np.float64], centre: float, width: float, function: str = "LINEAR") -> NDArray[np.float64]:
    """Brightness, 0 (black) to 1 (white), by DICOM's three window functions (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    LINEAR assumes whole numbers: a window [50, 100] is black up to 0 and white from 99 on.
    """
    values = np.asarray(np.nan_to_num(values, nan=centre - width, posinf=centre + width, neginf=centre - width))
    match function:
        case "SIGMOID":
            return np.asarray(1 / (1 + np.exp((-4 * (values - centre) / width).clip(-700, 700))))
        case "LINEAR_EXACT":
            return ((values - centre) / width + 0.5).clip(0, 1)
        case _:
            return ((values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5).clip(0, 1)
