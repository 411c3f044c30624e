"""The parameters of collecting: cameras and clips, and what of them is kept. Reads nothing."""

import re
from collections import Counter
from datetime import time
from typing import Self

from pydantic import Field, field_validator, model_validator

from pipeline.params.data import Section
from pipeline.params.durations import Seconds

LOOK = 1.0  # seconds between two pictures that are compared, where changes are kept
SELDOM = 60.0  # seconds between two pictures that are looked at, at most
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # a folder on every system, and the text of an EXIF tag
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows keeps for itself
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d) *- *([01]?\d|2[0-3]):([0-5]\d)")


class Source(Section):
    """A camera, or a folder of clips."""

    name: str  # of its folder, of its files, and the camera in their EXIF
    address: str = Field(repr=False)  # may hold a password, or the name of an environment variable that does
    every: Seconds | None = None  # a picture so often
    change: float | None = Field(default=None, gt=0, le=1)  # and one when this share of the picture has changed
    hours: str | None = None  # local time, such as 20:00-06:00; None: always
    keep_days: float | None = Field(default=None, gt=0, le=36_525)
    max_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gap: Seconds | None = None  # instead of collect.gap

    @field_validator("name")
    @classmethod
    def _a_folder(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or name.endswith(".") or _RESERVED.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a valid name of a source: it names a folder and a camera, so it must have 1 to 63 "
                "letters a-z, digits, dots, hyphens and underscores, as in gate-2"
            )
        return name

    @field_validator("address")
    @classmethod
    def _not_empty(cls, address: str) -> str:
        if not address.strip():
            raise ValueError("an address must not be empty: rtsp://HOST/PATH, http://HOST/PATH, /dev/video0, a folder")
        return address.strip()

    @field_validator("hours")
    @classmethod
    def _two_times(cls, hours: str | None) -> str | None:
        found = _HOURS.fullmatch(hours.strip()) if hours else None
        if hours is not None and (not found or found.groups()[:2] == found.groups()[2:]):
            raise ValueError(f"{hours!r} are not valid hours; they must be two different times, such as 20:00-06:00")
        return hours

    @model_validator(mode="after")
    def _every_by_default(self) -> Self:
        if self.every is None and self.change is None:
            object.__setattr__(self, "every", 10.0)
        return self

    @property
    def spacing(self) -> float:
        """Seconds between two pictures that are looked at: more than are kept, so that a fault shows within minutes."""
        return min(one for one in (self.every, LOOK if self.change else None, SELDOM) if one)

    @property
    def window(self) -> tuple[time, time] | None:
        """The local times between which pictures are taken; the second may be of the next day. None: always."""
        if self.hours is None or not (found := _HOURS.fullmatch(self.hours.strip())):
            return None
        return time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))


class Collect(Section):
    """Where pictures come from, and what of them is kept."""

    photos: str = "photos"  # each source has a folder in this one
    gap: Seconds = 600.0  # so long without a new picture is a gap, which files, pages and messages name
    black: float = Field(default=6.0, ge=0, le=255)  # mean brightness below which a picture shows nothing; 0: none
    free_gb: float = Field(default=2.0, ge=0, allow_inf_nan=False)  # of the disk: with less, nothing is written
    classify: bool = False  # whether each picture is also classified as it comes
    sources: list[Source] = Field(default_factory=list)

    @model_validator(mode="after")
    def _different_names(self) -> Self:
        # On disks of Windows and macOS, Gate and gate are one folder.
        counts = Counter(one.name.casefold() for one in self.sources)
        if twice := next((one.name for one in self.sources if counts[one.name.casefold()] > 1), ""):
            raise ValueError(f"sources has two with the name {twice}; each needs its own, as it names a folder")
        return self

    def gap_of(self, source: Source) -> float:
        """Seconds without a new picture of this source that are a gap."""
        return self.gap if source.gap is None else source.gap
