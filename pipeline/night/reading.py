"""Files -> pictures, in order, read and decoded ahead on threads. A file that hangs costs only itself.

From a slow disk or a store more files are read than decoded at a time: it answers several in the time of one, and the
processors stay busy. Knows no model. What it yields for a path depends on that path alone.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass, field
from itertools import islice

from pipeline.core.errors import NightshiftError
from pipeline.images.decode import LargerThanTile, Picture, UnreadableImage, decode
from pipeline.images.frames import count_frames
from pipeline.images.measures import Light, measure_light
from pipeline.images.taken import read_taken
from pipeline.night.repeats import Answer
from pipeline.night.rows import GONE, Repeated, Unreadable
from pipeline.night.turns import Turns
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from pipeline.storage.folders import Folder, UnfitFile

BYTES_A_PIXEL, HEADER_BYTES = 16, 64_000_000  # largest size of a file with the largest allowed image, uncompressed
READERS = 8  # of a slow disk, for each that decodes: with 20 ms a file, four keep a core busy (benchmarks/slow_disk.py)
SLOW = 0.005  # seconds for a file's bytes; where they come sooner, more readers only cost: 5 to 10 % of decoding
BYTES_AHEAD = 128_000_000  # of large files fewer are read ahead, so that they are held in no more memory than this
MRXS = ".mrxs"  # a slide whose own bytes are only a small picture; the others lie in the folder beside it
MOST_HANGING = 8  # files in a row; then the disk or the network hangs, not a file


class ReadingError(NightshiftError):
    """The source cannot be read any more; the run can be resumed when it can."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file that is an image."""

    path: str  # as listed
    sha256: str
    picture: Picture
    light: Light  # of the picture's pixels
    frame: int = 0  # the number, from 1 on, of a frame of the file; 0: the file has this one picture

    @property
    def key(self) -> str:
        """A name for its content."""
        return f"{self.sha256}/{self.frame}"


@dataclass(frozen=True, slots=True)
class SceneFile:
    """A file that is larger than a tile of images.tiles: `scene_reading` reads it."""

    path: str  # as listed


@dataclass(frozen=True, slots=True)
class FramesFile:
    """A file of several frames, each with an answer of its own: `frame_reading` reads it."""

    path: str  # as listed


Read = Decoded | Repeated | Unreadable | SceneFile | FramesFile
Lookup = Callable[[str], Answer | None]  # SHA-256 of a file's content -> its known answer
Decoder = Callable[[bytes, Images], Picture]  # may raise UnreadableImage


@dataclass(slots=True, eq=False)
class _Job:
    path: str
    started: float = 0.0  # 0: not started, or waiting for its turn to be decoded
    bytes: int = 0  # once they are read
    reading: float = 0.0  # seconds until then
    decoding: bool = False
    future: "Future[Read]" = field(default_factory=Future)


def nothing_known(_sha256: str) -> Answer | None:
    """The lookup that knows no content."""
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: by how many threads, how far ahead, and how long to wait."""

    threads: int  # that decode at a time; as many read, and more from a store or a slow disk
    ahead: int  # files to read ahead
    timeout: float  # seconds for one file
    decoder: Decoder = decode
    known: Lookup = nothing_known  # files with a known answer are not decoded
    scenes: bool = False  # whether the caller reads scenes itself; else they are unreadable, and it says why
    frames: bool = False  # whether the caller reads files of several frames itself; else their picture is one of these


def read_images(source: Folder, paths: Iterable[str], rules: Images, how: Reading) -> Iterator[Read]:
    """What each of `paths`, relative to `source`, holds, in their order.

    Raises ReadingError when `source` is gone or `MOST_HANGING` files in a row hang, StoreError when a store does not
    answer.
    """
    readers, timeout, turns = max(how.threads, source.threads), how.timeout, Turns(how.threads)
    pool = ThreadPoolExecutor(readers, "read")

    def submit(job: _Job) -> _Job:
        job.future = pool.submit(_read, job, source, rules, how, turns)
        return job

    coming, hanging, largest, pace = iter(paths), 0, 0, 0.0
    waiting = deque(submit(_Job(path)) for path in islice(coming, min(how.threads, how.ahead)))
    try:
        while waiting:
            job = waiting.popleft()
            found = _result(job, timeout, turns)
            largest = max(job.bytes, largest * 9 // 10)  # of the latest files
            ahead = min(how.ahead, max(how.threads, BYTES_AHEAD // max(largest, 1)))
            waiting.extend(submit(_Job(path)) for path in islice(coming, max(0, ahead - len(waiting))))
            pace += (job.reading - pace) / 8  # a mean of the latest files
            is_slow = pace > SLOW and readers < READERS * how.threads
            hanging = 0 if found else hanging + 1
            if not found:
                source.require_answer()
                if hanging == MOST_HANGING:
                    raise ReadingError(
                        f"{hanging} files in a row of {source} could not be read within {timeout:g} s each, the last "
                        f"is {job.path}: the disk or the network hangs. When it answers, run the same command again."
                    )
                if job.decoding:
                    job.decoding = False
                    turns.give_back()
                for other in waiting:  # perhaps the disk hung, and not the file: those begun have all their time again
                    other.started = time.monotonic() if other.started else 0.0
            elif isinstance(found, Unreadable) and not found.sha256 and not source.exists():
                raise ReadingError(f"{source} is gone. When it is there again, run the same command again.")
            if is_slow or not found:  # a new pool, as a file that hangs keeps its thread; started jobs keep running
                readers = READERS * how.threads if is_slow else readers
                pool.shutdown(wait=False)
                pool = ThreadPoolExecutor(readers, "read")
                for other in waiting:
                    if other.future.cancel():
                        submit(other)
            yield found or Unreadable(job.path, f"the file could not be read within {timeout:g} s")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _read(job: _Job, source: Folder, rules: Images, how: Reading, turns: Turns) -> Read:
    """What a thread does: read the job's file, then decode it when its turn comes."""

    def known(sha256: str) -> Answer | None:
        job.reading = time.monotonic() - job.started
        return how.known(sha256)

    def in_turn(data: bytes, rules: Images) -> Picture:
        job.bytes, job.started = len(data), 0.0
        turns.take(job)
        job.started, job.decoding = time.monotonic() - job.reading, True
        try:
            return how.decoder(data, rules)
        finally:
            if job.decoding:  # not given up
                turns.give_back()

    job.started = time.monotonic()
    return read_image(source, job.path, rules, in_turn, known, scenes=how.scenes, frames=how.frames)


def _result(job: _Job, timeout: float, turns: Turns) -> Read | None:
    """What the job found, or None after the timeout. It waits for no turn: files after it may hang in theirs."""
    turns.let_in(job)
    while True:
        left = timeout if not job.started else timeout - (time.monotonic() - job.started)
        try:
            return job.future.result(max(left, 0.0))
        except StillRunning:
            if job.future.done():
                continue
            if job.started and time.monotonic() - job.started >= timeout:
                return None
            if not job.started and job.future.cancel():  # all threads hang in files before it
                return None


def read_image(
    source: Folder, path: str, rules: Images, decoder: Decoder = decode, known: Lookup = nothing_known, *,
    scenes: bool = False, frames: bool = False,
) -> Read:  # fmt: skip
    """The file's picture, its answer if it is `known`, or the reason why there is neither.

    It hashes exactly the bytes that it decodes. scenes: whether a picture larger than a tile is a SceneFile; frames:
    whether a file of several frames is a FramesFile where images.frame is all.
    """
    if scenes and path.lower().endswith(MRXS):
        return SceneFile(path)
    digest, most = "", most_bytes(rules, scenes=scenes)
    try:
        data = source.read_at_most(path, most)
        if frames and count_frames(data, rules):  # its frames' answers are in no row that is known
            return FramesFile(path)
        digest = sha256(data)
        answer = known(digest)
        if answer and not (scenes and _is_of_scene(answer, rules)):  # its tiles are in no row
            return Repeated(path, digest, answer)
        picture = decoder(data, rules)
        return Decoded(path, digest, picture, measure_light(picture.pixels))
    except UnfitFile as error:
        if scenes and error.is_regular:  # too long to be held in memory only to see how large its picture is
            return SceneFile(path)
        return Unreadable(path, unfit(error, most))
    except OSError as error:
        return Unreadable(path, cannot_be_read(error))
    except UnreadableImage as error:
        if scenes and isinstance(error, LargerThanTile):
            return SceneFile(path)
        return Unreadable(path, str(error), digest, read_taken(data))  # half a photograph has its time, and its event


def cannot_be_read(error: OSError) -> str:
    """Why a file has no answer, in words for its row."""
    if isinstance(error, FileNotFoundError):
        return GONE
    # The operating system's words: every store words it differently.
    of_rights = os.strerror(errno.EACCES) if isinstance(error, PermissionError) else ""
    return f"the file cannot be read: {error.strerror or of_rights or error}"


def _is_of_scene(answer: Answer, rules: Images) -> bool:
    return rules.tiles is not None and max(int(answer["width"]), int(answer["height"])) > rules.tiles.size


def most_bytes(rules: Images, *, scenes: bool) -> int:
    """The longest file that is read at once; where scenes are asked for, a longer one is a scene."""
    return HEADER_BYTES if scenes else int(rules.max_megapixels * 1e6 * BYTES_A_PIXEL) + HEADER_BYTES


def unfit(error: UnfitFile, most: int) -> str:
    """Why a file is not read at all, in words for its row."""
    if not error.is_regular:
        return "no longer a regular file"
    return f"{error.bytes or 'its'} bytes are more than images.max_megapixels allows a file ({most})"
