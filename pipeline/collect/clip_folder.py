"""A folder of clips for ever: each clip is taken in once, by its content, when it has been copied whole.

clips.csv has a row for each. The pictures of a clip whose taking was killed are not kept twice: those that are there
are counted, and as many are passed over.
"""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from math import inf
from pathlib import Path

from pipeline.collect.address import CLIPS, Address, Kind
from pipeline.collect.choose import Chooser
from pipeline.collect.clips import SETTLED, clips_in, root_of
from pipeline.collect.collector import NoPictureError, Tools, begin
from pipeline.collect.frame import Frame, SourceLost, Why
from pipeline.collect.gaps import GAPS_CSV, Gaps, Reason
from pipeline.collect.kept import Kept, cut_half_line
from pipeline.collect.room import NoRoomError
from pipeline.collect.signs import Signs
from pipeline.core.cells import guarded, guarded_path, unguarded, unguarded_path
from pipeline.core.disk_errors import WRITING
from pipeline.core.log import log
from pipeline.core.text import counted
from pipeline.storage.files import replacing

CLIPS_CSV = "clips.csv"
LOOK = 10.0  # seconds between two looks into the folder
PIECE = 4_000_000  # bytes hashed at a time
CLIPS_COLUMNS = ("path", "bytes", "modified_ns", "sha256", "taken_in_at", "pictures", "error")


@dataclass(frozen=True, slots=True)
class Clip:
    """A file, as it was when it was looked at; while it is copied, one of the two others changes."""

    path: str  # below the folder of clips, with `/`
    bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A clip that needs no other look; a row of clips.csv."""

    clip: Clip
    sha256: str
    at: str  # ISO 8601, UTC
    pictures: int  # that were kept
    error: str = ""  # why it is broken, or whose copy it is


def clips_there(folder: Address) -> list[Clip]:
    """The clips below a folder that nobody has written to for a while, the oldest first. Raises SourceLost."""
    found = []
    for one in clips_in(folder):
        with suppress(FileNotFoundError):  # taken away meanwhile
            about = Path(one.place).stat()
            path = Path(one.place).relative_to(root_of(folder)).as_posix()
            found.append(Clip(path, about.st_size, about.st_mtime_ns))
    return sorted(found, key=lambda one: (one.modified_ns, one.path))


class ClipFolder:
    """The collector of one folder of clips, or of one clip."""

    def __init__(self, tools: Tools, address: Address, read: Callable[[Address], Iterator[Frame]]) -> None:
        """address: of the folder, or of the clip. read: the frames of a clip; raises SourceLost where it is broken."""
        self._tools, self._address, self._read, self._clock = tools, address, read, tools.clock
        now, folder = tools.clock.now(), tools.album.folder
        self._signs, self._gaps = Signs(folder, now, tools.tell), Gaps(folder / GAPS_CSV, tools.rules, now)
        self._file = folder / CLIPS_CSV
        self._done: dict[Clip, TakenIn] = {}
        self._count = 0  # pictures of the clip that is being taken in, those of before included

    def run(self, until: datetime | None = None) -> None:
        """Take in clips until then; None: for ever. Raises Stopped when somebody asks for the end."""
        begin(self._tools, self._signs, self._gaps)
        self._recall()
        before: set[Clip] = set()
        try:
            while until is None or self._clock.now() < until:
                before = self._look(before)
                self._clock.wait(LOOK)
                self._signs.alive(self._clock.now())
        finally:
            self._end()

    def once(self) -> Kept | None:
        """Take in what is there now, each clip whole. Raises NoPictureError when there is no clip at all."""
        begin(self._tools, self._signs, self._gaps)
        self._recall()
        if young := self._young():
            log.info("%s written to less than %.0f s ago: waiting.", counted(young, "clip was", "clips were"), SETTLED)
            self._clock.wait(SETTLED)
        there, young = set(clips_there(self._address)), self._young()
        if young and not there:
            raise NoPictureError(
                f"{self._address}: {counted(young, 'clip is', 'clips are')} still being written to, or has a date in "
                "the future. Start again when the recording has ended."
            )
        if not there:
            raise NoPictureError(f"{self._address} has no clips ({', '.join(sorted(CLIPS))}). Check its address.")
        if young:
            log.warning("%s still being written to: left out.", counted(young, "clip is", "clips are"))
        self._look(there)
        self._end()
        return None

    def _young(self) -> int:
        """How many clips somebody may still be writing to."""
        return len(clips_in(self._address, settled=-inf)) - len(clips_in(self._address))

    def _end(self) -> None:
        now = self._clock.now()
        if not self._signs.state.trouble:
            self._signs.fine(now)
        self._signs.alive(now, at_once=True)

    def _look(self, before: set[Clip]) -> set[Clip]:
        """Take in the clips that are as they were at the last look; returns what is there now."""
        try:
            there = clips_there(self._address)
        except SourceLost as lost:
            self._trouble(Reason.NO_ANSWER, lost.reason)
            return set()
        now = self._clock.now()
        for clip in there:
            if clip in before and clip not in self._done:
                try:
                    self._take(clip)
                except (OSError, NoRoomError) as error:
                    if isinstance(error, OSError) and error.errno not in WRITING:
                        log.warning("%s cannot be read now: %s.", clip.path, error.strerror)
                        continue
                    self._trouble(Reason.DISK_FULL, str(error))
                    break
        else:  # the folder answers: without a new clip there is still no gap
            self._gaps.picture(now)
            self._signs.fine(now)
            self._signs.say("")
        return set(there)

    def _take(self, clip: Clip) -> None:
        broken = [one for one in self._done.values() if one.clip.path == clip.path and one.error and one.pictures]
        digest, starts = self._sha256(clip, {one.clip.bytes for one in broken})
        if same := next((one for one in self._done.values() if one.sha256 == digest), None):
            self._add(TakenIn(clip, digest, self._now(), 0, f"the same file as {same.clip.path}"))
            return
        # What was broken may have been the first part of a copy that went on later.
        before = max((one.pictures for one in broken if starts.get(one.clip.bytes) == one.sha256), default=0)
        before, error = before + self._pictures_already(clip), ""
        try:
            pictures = self._keep_of(clip, skip=before)
        except SourceLost as lost:
            if lost.why is Why.MISSING:  # taken away meanwhile
                log.info("%s is gone: %s", clip.path, lost.reason)
                return
            pictures, error = self._count, lost.reason
        self._add(TakenIn(clip, digest, self._now(), pictures, error))
        log.info("%s: %s%s", clip.path, counted(pictures, "picture"), f"; it is broken: {error}" if error else "")

    def _sha256(self, clip: Clip, sizes: set[int]) -> tuple[str, dict[int, str]]:
        """The SHA-256 of a clip, and of its first so many bytes; it may take minutes, with signs of life."""
        digest, starts, done = hashlib.sha256(), dict[int, str](), 0
        with (root_of(self._address) / clip.path).open("rb") as opened:
            while piece := opened.read(min([PIECE, *(size - done for size in sizes if size > done)])):
                digest.update(piece)
                done += len(piece)
                if done in sizes:
                    starts[done] = digest.hexdigest()
                self._signs.alive(self._clock.now())
        return digest.hexdigest(), starts

    def _keep_of(self, clip: Clip, skip: int) -> int:
        """Keep the pictures of a clip but for the first `skip`; returns how many it has in all."""
        chooser, self._count = Chooser(self._tools.wish), 0
        for frame in self._read(Address(Kind.CLIP, str(root_of(self._address) / clip.path))):
            seen = chooser.look(frame.pixels, frame.source_time)
            self._signs.alive(self._clock.now())
            if not seen.why:
                continue
            chooser.keep(seen, frame.source_time)
            self._count += 1
            if self._count > skip:
                self._tools.room.require(self._clock.now())
                self._signs.kept(self._tools.album.keep(frame, seen.why, clip.path))
                self._signs.picture(self._clock.now())
        return self._count

    def _pictures_already(self, clip: Clip) -> int:
        """How many pictures of a clip are there without its row: those after the last row."""
        last = max((one.at for one in self._done.values()), default="")
        return sum(row.clip == clip.path and row.arrived_at > last for row in self._tools.album.rows())

    def _trouble(self, reason: Reason, words: str) -> None:
        begun = self._gaps.trouble(self._clock.now(), reason)
        self._signs.say(words)
        if begun:
            log.warning("%s.", words)
            self._signs.begun(begun)

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds")

    def _recall(self) -> None:
        if not self._file.is_file() or not self._file.stat().st_size:
            with replacing(self._file) as beside:
                beside.write_text(",".join(CLIPS_COLUMNS) + "\r\n", encoding="utf-8")
        cut_half_line(self._file)
        with self._file.open(encoding="utf-8", newline="") as opened:
            for row in csv.reader(opened):
                if len(row) == len(CLIPS_COLUMNS) and row[0] != CLIPS_COLUMNS[0]:
                    clip = Clip(unguarded_path(row[0]), int(row[1]), int(row[2]))
                    self._done[clip] = TakenIn(clip, row[3], row[4], int(row[5]), unguarded(row[6]))

    def _add(self, taken: TakenIn) -> None:
        line = io.StringIO(newline="")
        clip, *rest, error = astuple(taken)
        csv.writer(line).writerow([guarded_path(clip[0]), *clip[1:], *rest, guarded(error)])
        with self._file.open("ab") as file:
            file.write(line.getvalue().encode(errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        self._done[taken.clip] = taken
