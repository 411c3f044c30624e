"""Units: groups of images that must stay in one split. Knows tables, opens no file.

Near-duplicates are one unit, and so are the images of one group (a patient, a module, a site).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.duplicates import components, joined


def unit_numbers(manifest: pd.DataFrame) -> NDArray[np.int64]:
    """The number, (n,), of each row's unit: rows that share a cluster or a group, directly or through other rows."""
    keys = [manifest[name] for name in ("cluster", "group") if name in manifest]
    return components(len(manifest), np.concatenate([joined(key) for key in keys]))


def units(manifest: pd.DataFrame) -> list[NDArray[np.int64]]:
    """The row numbers of each unit."""
    numbers = unit_numbers(manifest)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


def largest_in_words(images: pd.DataFrame) -> str:
    """A description of the largest unit of these images, for a message."""
    rows = max(units(images), key=len)
    first = images.iloc[rows[0]]
    grouped = "group" in images and pd.notna(first["group"])
    of = f"group {first['group']}" if grouped else f"the near-duplicates of {first['path']}"
    return f"the largest unit is {of}, {len(rows)} of {len(images)} images"
