"""Decode the files of a dataset, in order, on several threads. Writes nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.parallel import ordered_map
from pipeline.images.decode import decode
from pipeline.params.data import Images
from pipeline.storage.files import read_validated


def decode_all(raw: Path, table: pd.DataFrame, rules: Images, workers: int) -> Iterator[NDArray[np.uint8]]:
    """The pixels of each row's file, in order. Raises NightshiftError when a file is not the one that was validated."""

    def pixels(path: str, expected: str) -> NDArray[np.uint8]:
        return decode(read_validated(raw / path, expected), rules).pixels

    return ordered_map(lambda row: pixels(*row), zip(table["path"], table["sha256"], strict=True), workers)
