"""Samples of more than 8 bits -> 8 bits. Opens no file.

Grey of up to 16 bits is scaled by its full range, or by images.white_level: the same for every image, so that dark
images stay dark. What has no full range (floats, and integers of a TIFF that are signed or wider) is stretched between
two percentiles, as a band is, so that no single pixel decides. GDAL's nodata is black and counts for nothing.
"""

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.frame import UnreadableImage
from pipeline.params.data import Images

MOST_COUNTED = 1_000_000  # pixels for percentiles, about: those of 100 megapixels would take gigabytes
STRIP = 256  # rows converted at a time: converting 100 megapixels at once would take gigabytes
GDAL_NODATA = 42113  # TIFF's tag
Range = tuple[float, float]  # the values that become 0 and 255


def nodata_of(image: Image.Image) -> float:
    """The value that means no data in an opened TIFF; NaN where it names none."""
    try:
        return float(str(getattr(image, "tag_v2", {}).get(GDAL_NODATA, "nan")).strip(" \0"))
    except ValueError:
        return math.nan


def deep_grey(image: Image.Image, bits: int, nodata: float, rules: Images) -> Image.Image:
    """Grey of any depth as 8 bits. bits: of a sample as stored. nodata: as `nodata_of` gives it."""
    values = np.asarray(image)
    low, high = _range(values, image, bits, nodata, rules)
    shown = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), STRIP):
        strip = values[top : top + STRIP]
        scaled = (np.where(_is_valid(strip, nodata), strip, low).astype(np.float64) - low) / max(high - low, 1e-12)
        shown[top : top + STRIP] = np.rint(scaled.clip(0, 1) * 255)
    return Image.fromarray(shown)


def _range(values: NDArray[Any], image: Image.Image, bits: int, nodata: float, rules: Images) -> Range:
    full = 2.0**bits - 1 if 8 < bits <= 16 else 65535.0
    is_tiff = image.format == "TIFF"
    if image.mode.startswith("I;16") or (
        image.mode == "I" and not is_tiff and 0 <= values.min() <= values.max() <= 65535
    ):
        # Pillow has scaled a PPM by its own white.
        return 0.0, float(rules.white_level or full) if image.format != "PPM" else 65535.0
    step = max(1, math.isqrt(values.size // MOST_COUNTED))  # of rows and columns
    few = values[::step, ::step]
    counted = few[_is_valid(few, nodata)] if is_tiff else values[_is_valid(values, nodata)]
    if not counted.size:  # perhaps only between the rows and columns that were looked at
        counted = values[_is_valid(values, nodata)]
    if not counted.size:
        raise UnreadableImage("no pixel has a finite value")
    if not is_tiff:
        return float(counted.min()), float(counted.max())
    low, high = np.percentile(counted.astype(np.float64), rules.stretch)
    return float(low), float(high)


def _is_valid(values: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = np.isfinite(values)
    if not math.isnan(nodata):
        # In the values' own type: -3.4028234663852886e+38 is a float32 only after rounding.
        with np.errstate(over="ignore"):
            same = values == (np.float64(nodata).astype(values.dtype) if values.dtype.kind == "f" else nodata)
        valid &= ~same
    return valid


def without_nodata(shown: Image.Image, nodata: float) -> Image.Image:
    """An 8-bit picture of a TIFF with its pixels without data in black: those with the value in every sample."""
    if math.isnan(nodata) or nodata == 0 or shown.mode not in ("L", "RGB"):
        return shown
    values = np.asarray(shown)
    empty = (values if shown.mode == "L" else values.min(axis=2)) == nodata
    empty &= (values if shown.mode == "L" else values.max(axis=2)) == nodata
    if not empty.any():
        return shown
    values = values.copy()
    values[empty] = 0
    return Image.fromarray(values)


def deep_colour(data: bytes, white: int, nodata: float) -> Image.Image:
    """A PNG or TIFF of 16-bit colours as 8 bits, `white` as 255; black where all three colours are `nodata`."""
    import cv2

    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise UnreadableImage("damaged image: its samples cannot be read with 16 bits")
    order = [2, 1, 0, 3][: values.shape[2]]  # OpenCV has blue first
    shown = np.empty((*values.shape[:2], len(order)), np.uint8)
    for top in range(0, len(values), STRIP):
        strip = values[top : top + STRIP, :, order].astype(np.float32)
        strip[(strip[:, :, :3] == nodata).all(axis=2), :3] = 0
        strip[:, :, :3] *= 255 / white
        strip[:, :, 3:] *= 255 / 65535  # alpha has the full range
        shown[top : top + STRIP] = np.rint(strip.clip(0, 255))
    return Image.fromarray(shown)


def highest_sample(data: bytes) -> int | None:
    """The highest value in a PNG or TIFF of 16 bits a sample; None for any other file."""
    import cv2

    with Image.open(io.BytesIO(data), formats=("PNG", "TIFF")) as image:
        nodata = nodata_of(image)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        return None
    counted = values if values.ndim == 2 else values[:, :, :3]
    counted = counted[_is_valid(counted, nodata)]
    return int(counted.max()) if counted.size else None


def has_graded_alpha(data: bytes) -> bool:
    """Whether most pixels of a TIFF's alpha are neither clear nor opaque: it is probably another band."""
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        if image.mode != "RGBA":
            return False
        alpha = np.asarray(image.getchannel("A"))
    return bool(((alpha > 0) & (alpha < 255)).mean() > 0.5)
