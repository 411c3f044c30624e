"""The frames of a file, each a picture of its own (images.frame: all). Parsed once, decoded one by one.

Only DICOM files have such frames; an animation or a TIFF of several pages is its first one.
"""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pipeline.images.decode import Picture, UnreadableImage, as_picture, explained
from pipeline.images.dicom import frames_of, is_dicom, open_dicom, read_elements, read_frame, syntax_of, taken_of_dicom
from pipeline.images.formats import DICOM_PREFIX, DICOM_PREFIX_AT
from pipeline.images.taken_values import Taken
from pipeline.params.data import Images

if TYPE_CHECKING:
    from pydicom import Dataset

MOST = 20_000  # frames of a file: a header may claim any number, and each gets a row
LEAST_BYTES = 8  # of a frame: less than the header of an empty one
CUT_OFF = "damaged DICOM image: its pixels are cut off"
_DICOM = bytes(DICOM_PREFIX_AT) + DICOM_PREFIX  # for `explained`: the errors are pydicom's, the bytes are let go


def count_frames(data: bytes, rules: Images) -> int:
    """How many answers of its own a file has besides its own one: its frames; 0: it has one picture."""
    if rules.frame != "all" or not is_dicom(data):
        return 0
    try:
        with explained(data):
            frames = frames_of(read_elements(data, ("NumberOfFrames",), rules.max_megapixels, pixels=False))
    except UnreadableImage:  # decoding it says why
        return 0
    return frames if frames > 1 else 0


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of an opened file. Several threads may decode different ones at a time."""

    count: int
    taken: Taken
    _whole: int  # frames whose bytes are there
    _dataset: "Dataset"
    _rules: Images

    def picture(self, number: int) -> Picture:
        """The frame of this number, from 1 on. Raises UnreadableImage."""
        with explained(_DICOM):
            if number > self._whole:
                raise UnreadableImage(CUT_OFF)
            return as_picture(read_frame(self._dataset, self._rules, number - 1), self._rules)


def open_frames(data: bytes, rules: Images) -> Frames:
    """Open a file of several frames. Raises UnreadableImage for a file that has none, or claims too many."""
    with explained(data):
        dataset = open_dicom(data, rules)
        count = frames_of(dataset)
        if count > MOST or count * LEAST_BYTES > len(data):
            raise UnreadableImage(f"damaged DICOM image: it claims {count:,} frames, more than such a file can have")
        whole = count
        if not syntax_of(dataset).is_encapsulated and "PixelData" in dataset:
            elements = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
            bits = prod(int(dataset[name].value) for name in elements)
            whole = min(count, 8 * len(dataset.PixelData) // max(bits, 1))
            dataset.NumberOfFrames = max(whole, 1)  # pydicom decodes no frame where one is missing
        return Frames(count, taken_of_dicom(dataset), whole, dataset, rules)
