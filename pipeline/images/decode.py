"""The only decoder: encoded bytes -> upright RGB uint8, or `UnreadableImage`. Opens no file and knows no model.

Training and the nightly run both come through here, so a model is asked about the same pixels it was taught with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.images.bands import read_bands
from pipeline.images.dicom import is_dicom, read_dicom
from pipeline.images.enhance import enhance
from pipeline.images.frame import Frame
from pipeline.images.frame import UnreadableImage as UnreadableImage  # whoever decodes finds it here
from pipeline.images.pillow import is_heif, is_plain_tiff, is_tiff, read_heif, read_picture
from pipeline.params.data import Images

MOST_WORDS = 300  # characters of a decoder's message; it may repeat what a hostile file says
Image.MAX_IMAGE_PIXELS = None  # the limit is ours, checked before any pixel is decoded, for every format alike


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image and what it was before resizing."""

    pixels: NDArray[np.uint8]  # (height, width, 3) as the rules say, RGB, 0..255
    width: int  # pixels, upright, before resizing
    height: int
    format: str  # one of formats.EXTENSIONS_OF
    mode: str  # Pillow's name, e.g. RGB, L, I;16; DICOM's photometric interpretation; of many bands, `5 x uint16`
    bits: int  # of one sample as stored, e.g. 1, 8, 12, 16, 32
    orientation: int  # EXIF's number, 1 to 8, that was made upright; 1 where the file says nothing


def without_enhancement(rules: Images, side: int) -> Images:
    """Rules that show the file itself, to be measured: the same reading, stretched to side x side, not enhanced."""
    changes = {"width": side, "height": side, "fit": "stretch", "denoise": "none", "clahe": 0.0}
    return Images.model_validate(rules.model_dump() | changes)


def decode(data: bytes, rules: Images) -> Picture:
    """Upright RGB pixels of the first frame, resized as `rules` says. Raises UnreadableImage with the reason."""
    if not data:
        raise UnreadableImage("the file is empty")
    try:
        return _decode(data, rules)
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage("not an image in a known format") from None
    # The one wide except of the project: a hostile file can make a decoder raise anything at all
    # (SyntaxError, struct.error, ZeroDivisionError have been seen), and all of it means the same.
    except Exception as error:
        if is_dicom(data):  # pydicom's words may hold a patient's name
            raise UnreadableImage(f"damaged DICOM image ({type(error).__name__})") from None
        reason = " ".join(str(error).split())[:MOST_WORDS]
        if not any(letter.isalpha() for letter in reason):  # a KeyError says no more than the key
            reason = f"{type(error).__name__} {reason}".strip()
        reason = reason.encode("utf-8", "backslashreplace").decode()  # it may repeat the file's own bytes
        raise UnreadableImage(f"damaged image: {reason}") from error


def _decode(data: bytes, rules: Images) -> Picture:
    frame = _first_frame(data, rules)
    pixels = np.asarray(_resize(frame.image, rules))
    return Picture(pixels, frame.width, frame.height, frame.format, frame.mode, frame.bits, frame.orientation)


def _first_frame(data: bytes, rules: Images) -> Frame:
    """The reader for these bytes is chosen by the bytes alone, never by the file's name."""
    if is_dicom(data):
        return read_dicom(data, rules)
    if is_heif(data):
        return read_heif(data, rules)
    if is_tiff(data) and (rules.bands or not is_plain_tiff(data)):
        return read_bands(data, rules)
    return read_picture(data, rules)


def _resize(image: Image.Image, rules: Images) -> Image.Image:
    """To the size the model sees, then enhanced. Pillow's bilinear filter widens with the reduction: no aliases."""
    size, how = (rules.width, rules.height), Image.Resampling.BILINEAR
    match rules.fit:
        case "stretch":
            return _enhanced(image.resize(size, how), rules)
        case "pad":  # enhanced before it is padded: the borders stay black, and are no part of the picture's contrast
            return ImageOps.pad(_enhanced(ImageOps.contain(image, size, how), rules), size, how, color="black")
        case "crop":
            return _enhanced(ImageOps.fit(image, size, how), rules)


def _enhanced(image: Image.Image, rules: Images) -> Image.Image:
    if (rules.denoise == "none" and rules.clahe == 0) or 0 in image.size:  # the narrowest strips shrink to nothing
        return image
    return Image.fromarray(enhance(np.asarray(image), rules))
