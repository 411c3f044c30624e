"""The cameras of a night: gathers each one's pictures from the rows, and compares it with its own earlier nights.

A night over a folder that grows has the pictures of earlier nights again. So only those count as tonight's that a
camera took after the last picture that an earlier night had of it.
"""

import datetime
import hashlib
import heapq
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.core.cells import listed_path
from pipeline.data.bursts import camera_of, moment_of
from pipeline.night.camera_looks import (
    FEWEST_NIGHTS,
    LEAST,
    CameraLook,
    beside_training,
    compared,
    log_measures,
    median_with_error,
)
from pipeline.night.camera_views import PICTURES, Sample, views_of
from pipeline.night.rows import LIGHT, Row
from pipeline.night.summary import summary_if_any
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from pipeline.storage.folders import Folder, folder_at

MOST = 500  # cameras; where there are more, names are something else

Earlier = Mapping[str, Sequence[CameraLook]]  # camera -> its earlier nights, the newest first


@dataclass(slots=True)
class _Pictures:
    """A camera's pictures between two of its earlier nights' last ones; 12 bytes each, and a few for its view."""

    light: "array[float]" = field(default_factory=lambda: array("f"))  # LIGHT of each, one after another
    flags: Counter[str] = field(default_factory=Counter)
    until: tuple[float, str] = (float("-inf"), "")
    drawn: list[tuple[int, str, str]] = field(default_factory=list)  # a heap: lot, path, SHA-256

    def add(self, row: Row, moment: float | None) -> None:
        self.light.extend(float(row[name]) for name in LIGHT)
        self.flags.update(row["flags"].split())
        if moment is not None:
            self.until = max(self.until, (moment, row["taken_at"]))
        lot = hashlib.blake2b(row["path"].encode("utf-8", "surrogateescape"), digest_size=8).digest()
        entry = (-int.from_bytes(lot), row["path"], row["sha256"])
        if len(self.drawn) < PICTURES:
            heapq.heappush(self.drawn, entry)
        else:
            heapq.heappushpop(self.drawn, entry)

    @property
    def images(self) -> int:
        return len(self.light) // len(LIGHT)

    @property
    def sample(self) -> Sample:
        return {path: digest for _, path, digest in sorted(self.drawn, reverse=True)}

    def look(self, how: str) -> CameraLook:
        light = np.frombuffer(self.light, np.float32).reshape(-1, len(LIGHT)).T.astype(np.float64)
        middle = dict(zip(LIGHT, np.median(light, axis=1).tolist(), strict=True))
        measures = {name: median_with_error(values) for name, values in log_measures(light).items()}
        return CameraLook(images=light.shape[1], until=self.until[1], how=how, measures=measures, **middle)


class Cameras:
    """Gathers the rows with an answer by their camera. A row that names neither camera nor time is of none."""

    def __init__(self, earlier: Earlier, rules: Images) -> None:
        """earlier: as `earlier_looks` gives it; rules: how this night's files become pixels."""
        self._how = sha256(rules.model_dump_json().encode())[:8]
        self._earlier = {name: [one for one in looks if one.how == self._how] for name, looks in earlier.items()}
        self._ends = {name: sorted(filter(None, map(_end_of, looks))) for name, looks in self._earlier.items()}
        self._cameras: dict[str, dict[int, _Pictures]] = {}  # camera -> earlier nights that ended before -> pictures

    def add(self, row: Row) -> None:
        """Take a row into account."""
        name = name_of(row)
        if (
            not row["label"]
            or not row["sharpness"]
            or not name
            or (name not in self._cameras and len(self._cameras) >= MOST)
        ):
            return
        moment = found[1] if (found := moment_of(row.get("taken_at", ""), name)) else None
        place = 0 if moment is None else bisect_left(self._ends.get(name, []), moment)
        self._cameras.setdefault(name, {}).setdefault(place, _Pictures()).add(row, moment)

    def _latest(self) -> dict[str, tuple[int, _Pictures]]:
        return {name: max(parts.items()) for name, parts in sorted(self._cameras.items())}

    def few(self) -> dict[str, int]:
        """Camera -> its new pictures, of the cameras that `found` leaves out because they have too few."""
        return {name: one.images for name, (_, one) in self._latest().items() if one.images < LEAST}

    def found(self, source: Folder, rules: Images, threads: int) -> dict[str, CameraLook]:
        """The look of each camera with enough new pictures, by name, and what changed. Reads a few of them again."""
        enough = {name: one for name, one in self._latest().items() if one[1].images >= LEAST}
        views = views_of(source, {name: one.sample for name, (_, one) in enough.items()}, rules, threads)
        looks = {}
        for name, (place, pictures) in enough.items():
            look = pictures.look(self._how).model_copy(update={"view": views.get(name, "")})
            ends = self._ends.get(name, [])[:place]
            before = [one for one in self._earlier.get(name, []) if (end := _end_of(one)) is None or end in ends]
            looks[name] = (
                compared(name, look, before, len(enough))
                if len(before) >= FEWEST_NIGHTS
                else beside_training(name, look, pictures.flags)
            )
        return looks


def name_of(row: Row) -> str:
    """The camera of a row, or, where only its time is known, its folder; empty where neither is."""
    camera = row.get("camera", "")
    return camera_of(camera, listed_path(row["path"])) if camera or row.get("taken_at") else ""


def _end_of(look: CameraLook) -> float | None:
    """When its last picture was taken, in seconds; None where nothing says it."""
    return found[1] if (found := moment_of(look.until, "")) else None


def earlier_looks(output: Folder, started_at: str) -> Earlier:
    """The cameras of the nights in folders beside `output` that began before; a store has none."""
    if output.local is None:
        return {}
    began, here = datetime.datetime.fromisoformat(started_at), output.local.absolute()
    folders = [one for one in here.parent.iterdir() if one.is_dir() and one != here]
    nights = [night for one in folders if (night := summary_if_any(folder_at(one)))]
    before = [night for night in nights if datetime.datetime.fromisoformat(night.started_at) < began]
    found: dict[str, list[CameraLook]] = {}
    for night in sorted(before, key=lambda one: datetime.datetime.fromisoformat(one.started_at), reverse=True):
        for name, look in (night.cameras or {}).items():
            found.setdefault(name, []).append(look)
    return found
