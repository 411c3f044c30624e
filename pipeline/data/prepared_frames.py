"""All frames of a prepared split's files of several (images.frame: all): a night's answers about them are measured on
these. No model learns from them: of a file it has the middle frame.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.log import log
from pipeline.core.parallel import ordered_map
from pipeline.data.prepared import SplitName, new_frames, write_rows_of_frames
from pipeline.images.decode import UnreadableImage
from pipeline.images.frames import count_frames, open_frames
from pipeline.params.data import Images
from pipeline.storage.files import read_validated

MOST_BYTES = 4_000_000_000  # of the pixels of a split's frames: of more files some are drawn


def write_frames(folder: Path, name: SplitName, raw: Path, table: pd.DataFrame, rules: Images, workers: int) -> None:
    """Write the frames of a split's files of several; no files where there are none. One file is in memory at a time.

    Raises NightshiftError when a file is not the one that was validated.
    """
    if rules.frame != "all":
        return
    paths, digests = [*table["path"]], [*table["sha256"]]
    dicom = [row for row in range(len(table)) if table["format"].iloc[row] == "DICOM"]
    claimed = {row: count_frames(read_validated(raw / paths[row], digests[row]), rules) for row in dicom}
    several = {row: count for row, count in claimed.items() if count}
    rows = _drawn(several, digests, MOST_BYTES // (rules.height * rules.width * 3))
    if not rows:
        return
    if len(rows) < len(several):
        log.info("Of %d %s files of several frames, all frames of %d are measured.", len(several), name, len(rows))
    shape = (sum(several[row] for row in rows), rules.height, rules.width, 3)
    array = new_frames(folder, name, shape)
    numbers: list[int] = []
    for row in rows:
        for pixels in _pixels(read_validated(raw / paths[row], digests[row]), rules, workers):
            if pixels is not None:
                array[len(numbers)] = pixels
            numbers.append(-1 if pixels is None else row)
    array.flush()
    write_rows_of_frames(folder, name, numbers)


def _drawn(several: dict[int, int], digests: list[str], most: int) -> list[int]:
    """Rows of files with at most `most` frames in all, in order; which ones depends on their content alone."""
    taken, left = [], most
    for row in sorted(several, key=lambda row: hashlib.sha256(digests[row].encode()).digest()):
        if several[row] <= left:
            taken.append(row)
            left -= several[row]
    return sorted(taken)


def _pixels(data: bytes, rules: Images, workers: int) -> Iterator[NDArray[np.uint8] | None]:
    """The pixels of each frame of a file, in order; None: damaged."""
    frames = open_frames(data, rules)

    def read(number: int) -> NDArray[np.uint8] | None:
        try:
            return frames.picture(number).pixels
        except UnreadableImage:
            return None

    return ordered_map(read, range(1, frames.count + 1), workers)
