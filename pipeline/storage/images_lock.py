"""One command at a time works with the images to learn from: no import changes them under a check or a training."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core.disk_errors import explained
from pipeline.core.paths import RAW
from pipeline.storage.output_lock import InUse

LOCK = Path(".nightshift/images.lock")
HOLDER = LOCK.with_suffix(".txt")  # who holds it, in words


@contextmanager
def working_on_images(command: str) -> Iterator[None]:
    """Keep other commands of this project away from data/raw. Raises InUse, which names the one at work, and DiskError.

    The operating system releases the lock the moment its holder ends, however it ends.
    """
    with explained(LOCK):
        LOCK.parent.mkdir(exist_ok=True)
        lock = FileLock(LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = HOLDER.read_text(encoding="utf-8") if HOLDER.is_file() else "Another command"
            raise InUse(
                f"{holder} is at work on the images in {RAW}. Nothing was changed. Run the same command again when "
                "that one has ended."
            ) from None
    try:
        HOLDER.write_text(f"`{command}` (process {os.getpid()}, since {time.strftime('%H:%M')})", encoding="utf-8")
        yield
    finally:
        HOLDER.unlink(missing_ok=True)
        lock.release()
