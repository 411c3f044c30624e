"""Files of several frames -> their frames, in order, decoded ahead on threads (images.frame: all). Knows no model.

A file is read and parsed once; only a few of its frames are decoded at a time. A frame that is damaged is said so, and
costs only itself; one that hangs costs those after it, too.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from itertools import islice

from pipeline.images.decode import UnreadableImage
from pipeline.images.frames import Frames, open_frames
from pipeline.images.measures import measure_light
from pipeline.images.taken import read_taken
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.night.reading import Decoded, FramesFile, Read, Reading, ReadingError, cannot_be_read, most_bytes, unfit
from pipeline.night.rows import Unreadable
from pipeline.night.scene_reading import CHANGED, CRASHED, OfScene, Survives
from pipeline.params.data import Images
from pipeline.storage.files import UnfitFile, sha256
from pipeline.storage.folders import Folder

AHEAD = 2  # frames decoded ahead, for each thread
NO_LIMIT = 1e6  # seconds


@dataclass(frozen=True, slots=True)
class FramesBegun:
    """A file whose frames come next: as many as `count`, each Decoded or Unreadable."""

    path: str  # as listed
    sha256: str
    count: int
    taken: Taken = UNKNOWN


@dataclass(frozen=True, slots=True)
class FramesEnded:
    """The end of the file's frames."""

    path: str


OfFrames = FramesBegun | FramesEnded


def with_frames(
    reads: Iterable[Read | OfScene], source: Folder, rules: Images, how: Reading, survives: Survives | None = None
) -> Iterator[Read | OfScene | OfFrames]:
    """`reads`, with the frames of each file of several in the place of its FramesFile.

    survives: asked of each such file before it is read here; None: all do. Raises ReadingError when `source` is gone.
    """
    for read in reads:
        if not isinstance(read, FramesFile):
            yield read
        elif survives and not survives(source, read.path, rules):
            yield Unreadable(read.path, CRASHED)
        else:
            yield from read_frames(source, read.path, rules, how)


def read_frames(source: Folder, path: str, rules: Images, how: Reading) -> Iterator[Read | OfFrames]:
    """A file's beginning, its frames and its end; one Unreadable where it cannot be read."""
    digest, most = "", most_bytes(rules, scenes=False)
    hangs = f"the file could not be read within {how.timeout:g} s"
    pool = ThreadPoolExecutor(how.threads, "frame")
    try:
        data = pool.submit(source.read_at_most, path, most).result(how.timeout)
        digest, taken = sha256(data), read_taken(data)
        frames = pool.submit(open_frames, data, rules).result(how.timeout)
        del data  # the opened file has its own copy of the pixels
        if frames.count == 1:  # another file than the one that was seen to have several
            yield Unreadable(path, CHANGED, digest, taken)
            return
        yield FramesBegun(path, digest, frames.count, frames.taken)
        yield from decoded(frames, path, digest, pool, how)
        yield FramesEnded(path)
    except StillRunning:
        yield Unreadable(path, hangs, digest)
    except UnfitFile as error:
        yield Unreadable(path, unfit(error, most))
    except OSError as error:
        yield Unreadable(path, cannot_be_read(error))
        if not source.exists():
            raise ReadingError(f"{source} is gone. When it is there again, run the same command again.") from error
    except UnreadableImage as error:
        yield Unreadable(path, str(error), digest, taken)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def decoded(frames: Frames, path: str, digest: str, pool: ThreadPoolExecutor, how: Reading) -> Iterator[Read]:
    """All frames of a file, in order, each within `how.timeout` seconds."""

    def read(number: int) -> Read:
        try:
            picture = frames.picture(number)
        except UnreadableImage as error:
            return Unreadable(path, str(error), digest, frames.taken, number)
        return Decoded(path, digest, picture, measure_light(picture.pixels), number)

    coming = iter(range(1, frames.count + 1))
    waiting = deque(pool.submit(read, number) for number in islice(coming, AHEAD * how.threads))
    for number in range(1, frames.count + 1):
        try:
            found = waiting.popleft().result(how.timeout)
        except StillRunning:
            why = f"frame {number} could not be read within {how.timeout:g} s"
            yield from (Unreadable(path, why, digest, frames.taken, left) for left in range(number, frames.count + 1))
            return
        yield found
        waiting.extend(pool.submit(read, one) for one in islice(coming, 1))


def walk_frames(source: Folder, path: str, rules: Images) -> None:
    """Decode all frames of a file and drop them: a process that the file kills dies here."""
    for _ in read_frames(source, path, rules, Reading(1, 1, NO_LIMIT)):
        pass
