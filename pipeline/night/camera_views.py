"""What a fixed camera looks at: the mean of a few of its pictures, small and without its light. Judges nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.cells import listed_path
from pipeline.night.camera_looks import ONE_VIEW, VIEW_SIDE, as_view, correlation
from pipeline.night.reading import Decoded, Reading, ReadingError, read_images
from pipeline.params.data import Images
from pipeline.storage.folders import Folder
from pipeline.storage.stores import StoreError

PICTURES = 12  # of a camera
MOST = 600  # pictures of all cameras: some five seconds
FEWEST = 6  # pictures of a camera; fewer do not tell a view from what passes by
COARSE = 4  # light and shade of so many parts a side are left out
AHEAD, PATIENCE = 16, 5.0  # pictures to read ahead; seconds for one

Sample = Mapping[str, str]  # path as in predictions.csv -> SHA-256


def views_of(source: Folder, samples: Mapping[str, Sample], rules: Images, threads: int) -> dict[str, str]:
    """The view, as `CameraLook` keeps it, of each camera whose pictures show one; none where the disk hangs."""
    each = min(PICTURES, MOST // max(1, len(samples)))
    if each < FEWEST:
        return {}
    drawn = {name: dict([*sample.items()][:each]) for name, sample in samples.items()}
    owner = {listed_path(path): (name, digest) for name, sample in drawn.items() for path, digest in sample.items()}
    pictures: dict[str, list[NDArray[np.float64]]] = {name: [] for name in drawn}
    try:
        for read in read_images(source, owner, rules, Reading(threads, AHEAD, PATIENCE)):
            name, digest = owner[read.path]
            if isinstance(read, Decoded) and read.sha256 == digest:
                pictures[name].append(detail(read.picture.pixels))
    except (ReadingError, StoreError):
        return {}
    return {name: view for name, some in pictures.items() if (view := view_of(some))}


def view_of(pictures: Sequence[NDArray[np.float64]]) -> str:
    """The mean of these details; empty where two halves of them do not show the same."""
    if len(pictures) < FEWEST:
        return ""
    halves = [np.mean(pictures[start::2], axis=0) for start in range(2)]
    return as_view(np.mean(pictures, axis=0)) if correlation(*halves) >= ONE_VIEW else ""


def detail(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A picture (height, width, 3) as (VIEW_SIDE, VIEW_SIDE) numbers without its light, of variance 1 or 0."""
    small = Image.fromarray(pixels).convert("L").convert("F").resize((VIEW_SIDE,) * 2, Image.Resampling.BOX)
    coarse = small.resize((COARSE,) * 2, Image.Resampling.BOX).resize(small.size, Image.Resampling.BILINEAR)
    left = np.asarray(small, np.float64) - np.asarray(coarse, np.float64)
    spread = float(left.std())
    return left / spread if spread > 0 else left
