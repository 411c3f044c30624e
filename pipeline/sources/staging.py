"""Files on their way into data/raw: each is written beside it, synced, and then renamed. Decides nothing.

So a killed import leaves no partial image, and the next one clears away what it left.
"""

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from pipeline.core.terminal import progress_bar
from pipeline.core.text import shown
from pipeline.sources.import_plan import ImportingError, Placed
from pipeline.sources.layout import Item
from pipeline.sources.source import Source

PIECE = 1 << 20  # bytes read at once
GB = 1_000_000_000
MB = 1_000_000


@contextmanager
def staging(raw: Path) -> Iterator[Path]:
    """A folder for unfinished files, on the disk of `raw` but not among its images; for one import at a time."""
    parent = raw.resolve().parent
    if raw.exists() and raw.stat().st_dev != parent.stat().st_dev:  # another disk is mounted at `raw`
        parent = raw
    room = parent / f".{raw.name}.import.tmp"
    room.mkdir(parents=True, exist_ok=True)
    lock = FileLock(room / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ImportingError(
            f"Another import into {raw} is running. Wait until it ends.", "Then run the same command again."
        ) from None
    try:
        for left in room.iterdir():  # files of a killed import
            if left.name != "lock":
                left.unlink()
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)
        lock.release()


def copy_images(todo: Placed, source: Source, raw: Path, room: Path, max_bytes: int) -> None:
    """Copy each image of the source to its path below `raw`. Raises ImportingError for one that is not whole."""
    paths = {id(item): path for path, item in todo.items()}
    budget = _Budget(max_bytes)

    def copy(item: Item, stream: BinaryIO) -> None:
        with renamed(raw / paths[id(item)], room) as beside:
            with beside.open("wb") as file:
                while piece := stream.read(PIECE):
                    budget.spend(len(piece))
                    file.write(piece)
                size = file.tell()
            if item.file.bytes not in (None, size):
                raise ImportingError(
                    f"Read only {size:,} of {item.file.bytes:,} bytes of {shown(item.file.path)}: the file changed or "
                    "is truncated. Copied images are kept.",
                    "Run the same command again; if this repeats, replace the file.",
                )
            if item.file.modified_ns is not None:
                os.utime(beside, ns=(item.file.modified_ns, item.file.modified_ns))

    for _ in progress_bar(source.visit(todo.values(), copy), "import", len(todo), unit="image", disable=not todo):
        pass


def size_in_words(size: int | float) -> str:
    """`12 bytes`, `0.1 MB`, `50 GB`."""
    if size < MB / 10:
        return f"{size:,.0f} bytes"
    amount, unit = (size / GB, "GB") if size >= GB else (size / MB, "MB")
    return f"{amount:,.1f}".removesuffix(".0") + f" {unit}"


class _Budget:
    """The number of bytes that may still be written, shared by several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._left, self._lock = max_bytes, max_bytes, threading.Lock()

    def spend(self, size: int) -> None:
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise ImportingError(
                    f"The images are more than {size_in_words(self._max_bytes)}. The images copied so far stay.",
                    "If that is right, set a higher limit with --max-gb and run the command again.",
                )


def link_image(source: Path, file: Path, room: Path) -> None:
    """Make `file` a hard link to `source`. Raises ImportingError where the disk cannot."""
    try:
        with renamed(file, room) as beside:
            beside.hardlink_to(source.resolve())
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        raise ImportingError(
            f"Could not link {source}: {os.strerror(error.errno)}. Omit --link to copy the images."
        ) from error


_numbers = count()


@contextmanager
def renamed(file: Path, room: Path) -> Iterator[Path]:
    """A new file in `room`, which replaces `file` once it is complete and synced."""
    beside = room / str(next(_numbers))
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
