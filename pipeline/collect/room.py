"""Room for new pictures: the oldest ones go first, and only those that a finished night has classified.

Which those are, whoever starts the collector knows: this module asks for them by their SHA-256.
"""

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline.collect.kept import Album
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.text import counted

GB = 1_000_000_000
LOOK = timedelta(hours=1)  # between two looks for pictures that are too old or too many
LARGEST = 20_000_000  # bytes of a picture, with all that belongs to it
AT_ONCE = 2000  # pictures in one question to `Classified`
# Those of these SHA-256 values that a finished night has classified; None: a night over them is not finished, so that
# all of its files must stay. The time: none of them is older.
Classified = Callable[[Collection[str], datetime], set[str] | None]


class NoRoomError(NightshiftError):
    """The disk has no room for another picture."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source may take of the disk, and what it must leave."""

    keep_days: float | None
    max_bytes: int | None
    free_bytes: int  # of the disk, for others


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture on the disk."""

    path: str  # <date>/<name>
    bytes: int

    @property
    def day(self) -> date:
        """When it was taken, UTC."""
        return date.fromisoformat(self.path[:10])


def too_old(stored: Sequence[Stored], today: date, keep_days: float | None) -> int:
    """How many pictures, the oldest first, are older than `keep_days`."""
    if keep_days is None:
        return 0
    first_kept = today - timedelta(days=keep_days)
    return sum(one.day < first_kept for one in stored)


def bytes_over(stored: Sequence[Stored], limits: Limits, free: int) -> int:
    """How many bytes of pictures must go. free: of the disk."""
    over = sum(one.bytes for one in stored) - limits.max_bytes if limits.max_bytes is not None else 0
    return max(over, limits.free_bytes - free, 0)


class Room:
    """The room of one source."""

    def __init__(self, album: Album, limits: Limits, classified: Classified) -> None:
        """classified: which pictures may go."""
        self._album, self._limits, self._classified = album, limits, classified
        self._looked: datetime | None = None
        self._was_short = False

    def free(self) -> int:
        """Bytes that the disk has free."""
        return shutil.disk_usage(self._album.folder).free

    def require(self, now: datetime) -> None:
        """Raise NoRoomError when no picture may be written. Deletes old ones for that, and once an hour anyway."""
        if self._looked is None or now - self._looked >= LOOK or (self._is_short() and not self._was_short):
            self._looked = now
            self.tidy(now)
        self._was_short = self._is_short()
        if self._was_short:
            raise NoRoomError(
                f"the disk has {self.free() / GB:.1f} GB free, no more than collect.free_gb "
                f"({self._limits.free_bytes / GB:g}) leaves for others"
            )

    def _is_short(self) -> bool:
        # With collect.free_gb 0 the disk itself says when it is full.
        return self._limits.free_bytes > 0 and self.free() - LARGEST < self._limits.free_bytes

    def tidy(self, now: datetime) -> int:
        """Delete what is too old and too much, as far as it may go; returns how many pictures went."""
        stored = [Stored(f"{day}/{name}", size) for day, name, size in self._album.files()]
        old = too_old(stored, now.astimezone(UTC).date(), self._limits.keep_days)
        over = bytes_over(stored, self._limits, self.free())
        if not old and not over:
            return 0
        gone = kept = 0
        digests = {row.path: row.sha256 for row in self._album.rows()}
        for start in range(0, len(stored), AT_ONCE):
            some = stored[start : start + AT_ONCE]
            if start >= old and over <= 0:
                break
            may_go = self._classified([digests.get(one.path, "") for one in some], _begin(some[0].day))
            if may_go is None:
                log.info("No picture is deleted while a night over them is not finished.")
                return gone
            for number, one in enumerate(some, start):
                if number >= old and over <= 0:
                    break
                if digests.get(one.path) not in may_go:
                    kept += 1
                    continue
                self._delete(one)
                gone, over = gone + 1, over - one.bytes
        if gone:
            self._album.forget_deleted()
            log.info("%s deleted, the oldest, which nights have classified.", counted(gone, "picture"))
        if kept:
            log.warning(
                "%s should go by keep_days, max_gb or free_gb, and no finished night has classified them: they stay. "
                "`nightshift classify` over the folder, or the nightly deployment, classifies them.",
                counted(kept, "picture"),
            )  # fmt: skip
        return gone

    def _delete(self, one: Stored) -> None:
        file = self._album.folder / one.path
        file.unlink(missing_ok=True)
        with suppress(OSError):  # it has other pictures
            file.parent.rmdir()


def _begin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
