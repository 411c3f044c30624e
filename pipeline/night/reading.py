"""Files -> pictures, in order, read and decoded ahead on threads. A file that hangs costs only itself.

Knows no model. What it yields for a path depends on that path alone.
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
from pipeline.images.decode import Picture, UnreadableImage, decode
from pipeline.images.measures import Light, measure_light
from pipeline.night.repeats import Answer
from pipeline.night.rows import Repeated, Unreadable
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from pipeline.storage.folders import Folder, UnfitFile

BYTES_A_PIXEL, HEADER_BYTES = 16, 64_000_000  # largest size of a file with the largest allowed image, uncompressed
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


Read = Decoded | Repeated | Unreadable
Lookup = Callable[[str], Answer | None]  # SHA-256 of a file's content -> its known answer
Decoder = Callable[[bytes, Images], Picture]  # may raise UnreadableImage


@dataclass(slots=True)
class _Job:
    path: str
    started: float = 0.0  # 0: not started
    future: "Future[Read]" = field(default_factory=Future)


def nothing_known(_sha256: str) -> Answer | None:
    """The lookup that knows no content."""
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: by how many threads, how far ahead, and how long to wait."""

    threads: int
    ahead: int  # files to read ahead
    timeout: float  # seconds for one file
    decoder: Decoder = decode
    known: Lookup = nothing_known  # files with a known answer are not decoded


def read_images(source: Folder, paths: Iterable[str], rules: Images, how: Reading) -> Iterator[Read]:
    """What each of `paths`, relative to `source`, holds, in their order.

    Raises ReadingError when `source` is gone or `MOST_HANGING` files in a row hang, StoreError when a store does not
    answer.
    """
    pool, timeout = ThreadPoolExecutor(how.threads, "read"), how.timeout

    def work(job: _Job) -> Read:
        job.started = time.monotonic()
        return read_image(source, job.path, rules, how.decoder, how.known)

    def submit(job: _Job) -> _Job:
        job.future = pool.submit(work, job)
        return job

    coming, hanging = iter(paths), 0
    waiting = deque(submit(_Job(path)) for path in islice(coming, how.ahead))
    try:
        while waiting:
            job = waiting.popleft()
            found = _result(job, timeout)
            waiting.extend(submit(_Job(path)) for path in islice(coming, 1))
            hanging = 0 if found else hanging + 1
            if not found:
                source.require_answer()
                if hanging == MOST_HANGING:
                    raise ReadingError(
                        f"{hanging} files in a row of {source} could not be read within {timeout:g} s each, the last "
                        f"is {job.path}: the disk or the network hangs. When it answers, run the same command again."
                    )
                # Its thread is lost. A new pool takes the jobs that have not started; started ones keep running.
                pool.shutdown(wait=False)
                pool = ThreadPoolExecutor(how.threads, "read")
                for other in waiting:
                    if other.future.cancel():
                        submit(other)
            elif isinstance(found, Unreadable) and not found.sha256 and not source.exists():
                raise ReadingError(f"{source} is gone. When it is there again, run the same command again.")
            yield found or Unreadable(job.path, f"the file could not be read within {timeout:g} s")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _result(job: _Job, timeout: float) -> Read | None:
    """What the job found, or None after the timeout."""
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
    source: Folder, path: str, rules: Images, decoder: Decoder = decode, known: Lookup = nothing_known
) -> Read:
    """The file's picture, its answer if it is `known`, or the reason why there is neither.

    It hashes exactly the bytes that it decodes.
    """
    digest, most = "", int(rules.max_megapixels * 1e6 * BYTES_A_PIXEL) + HEADER_BYTES
    try:
        data = source.read_at_most(path, most)
        digest = sha256(data)
        if answer := known(digest):
            return Repeated(path, digest, answer)
        picture = decoder(data, rules)
        return Decoded(path, digest, picture, measure_light(picture.pixels))
    except UnfitFile as error:
        return Unreadable(path, _unfit(error, most))
    except OSError as error:
        return Unreadable(path, f"the file cannot be read: {error.strerror or _reason(error)}")
    except UnreadableImage as error:
        return Unreadable(path, str(error), digest)


def _reason(error: OSError) -> str:
    """The operating system's words for the error: every store words it differently."""
    for kind, number in ((FileNotFoundError, errno.ENOENT), (PermissionError, errno.EACCES)):
        if isinstance(error, kind):
            return os.strerror(number)
    return str(error)


def _unfit(error: UnfitFile, most: int) -> str:
    if not error.is_regular:
        return "no longer a regular file"
    return f"{error.bytes or 'its'} bytes are more than images.max_megapixels allows a file ({most})"
