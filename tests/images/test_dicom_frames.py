"""Of a DICOM file with several frames the one is read that images.frame names, through its own window."""

from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

from pipeline.images.decode import UnreadableImage, decode
from pipeline.params.data import Images
from tests.fixtures.dicom_files import dicom, item

RULES = Images(width=8, height=8, fit="stretch", max_megapixels=1)


def frame_of(values: list[int], dtype: Any = np.uint8) -> Any:
    """8 x 8 pixels, in columns of these values."""
    return np.tile(np.repeat(np.array(values, dtype), 8 // len(values)), (8, 1))


def shown(data: bytes, count: int, frame: Any) -> list[int]:
    """What the model sees of `count` columns of a frame."""
    pixels = decode(data, RULES.model_copy(update={"frame": frame})).pixels
    return [int(value) for value in pixels[0, :: 8 // count, 0]]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1], ids=["plain", "RLE", "JPEG"])
@pytest.mark.parametrize(("frame", "grey"), [("first", 0), ("middle", 20), ("all", 20), (1, 0), (4, 30), (5, 40)])
def test_the_frame_that_the_rules_name_is_judged(syntax: Any, frame: Any, grey: int) -> None:
    frames = np.stack([frame_of([value]) for value in (0, 10, 20, 30, 40)])
    data = dicom(frames, syntax, NumberOfFrames=5, WindowCenter=128, WindowWidth=256)
    assert shown(data, 1, frame) == [grey]


def test_a_frame_goes_through_its_own_window() -> None:
    own = [item(FrameVOILUTSequence=[item(WindowCenter=50.5, WindowWidth=width)]) for width in (101, 51)]
    frames = np.stack([frame_of([50, 60], np.int16)] * 2)
    data = dicom(frames, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=own)
    assert [shown(data, 2, number) for number in (1, 2)] == [[128, 153], [128, 178]]


def test_a_file_with_fewer_frames_is_unreadable_and_says_why() -> None:
    with pytest.raises(UnreadableImage, match=r"^images\.frame asks for frame 3, and the last one is 1$"):
        shown(dicom(frame_of([0, 9])), 2, 3)


@pytest.mark.parametrize("frame", ["every", "last", 0, -1, True, 1.5, None])
def test_another_frame_is_refused_in_words(frame: Any) -> None:
    with pytest.raises(ValueError, match="must be first, middle, a frame's number, from 1 on, or all"):
        Images.model_validate(RULES.model_dump() | {"frame": frame})


def test_all_frames_and_tiles_are_refused_together_in_words() -> None:
    with pytest.raises(ValueError, match="frame all and tiles do not go together"):
        Images.model_validate(RULES.model_dump() | {"frame": "all", "tiles": {}})
