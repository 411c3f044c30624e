"""Bursts: pictures of one camera that follow each other closely. Knows the words of rows, opens no file."""

import datetime
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a night reads rows without it
    import pandas as pd

_DATE = re.compile(r"[\d_.\-]+")  # a folder such as 2026-11-26 or 100: a day or a count, no camera


class Clock(NamedTuple):
    """A clock whose times can be compared: times with and without an offset from UTC cannot be, even of one camera."""

    camera: str
    is_utc: bool  # whether the times have an offset


def camera_of(camera: str, path: str) -> str:
    """The camera's name; where the picture does not say it, its folder without those that are dates or counts."""
    return camera or "/".join(part for part in path.split("/")[:-1] if not _DATE.fullmatch(part))


def moment_of(taken_at: str, camera: str) -> tuple[Clock, float] | None:
    """The clock of an ISO 8601 time and its seconds on it; None for a picture without a time."""
    try:
        at = datetime.datetime.fromisoformat(taken_at)
    except ValueError:
        return None
    is_utc = at.utcoffset() is not None
    return Clock(camera, is_utc), (at if is_utc else at.replace(tzinfo=datetime.UTC)).timestamp()


def burst_numbers(cameras: Iterable[str], taken_at: Iterable[str], gap: float) -> NDArray[np.int64]:
    """The number of each picture's burst, (n,); -1 without a time. Gaps in a burst are under `gap` seconds."""
    moments = [moment_of(at, camera) for camera, at in zip(cameras, taken_at, strict=True)]
    timed = sorted((*moment, row) for row, moment in enumerate(moments) if moment)
    numbers, number, before = np.full(len(moments), -1, np.int64), -1, None
    for clock, at, row in timed:
        number += before is None or before[0] != clock or at - before[1] >= gap
        numbers[row], before = number, (clock, at)
    return numbers


def bursts_of(manifest: "pd.DataFrame", gap: float) -> NDArray[np.int64]:
    """The number of the burst of each row, (n,); -1 without a time. The class's folder never stands for a camera."""
    if not {"taken_at", "camera"} <= {*manifest.columns}:  # prepared by an earlier version
        return np.full(len(manifest), -1, np.int64)
    cameras, times = (manifest[name].astype("string").fillna("") for name in ("camera", "taken_at"))
    below = manifest["path"].str.partition("/")[2]
    return burst_numbers(map(camera_of, cameras, below), times, gap)
