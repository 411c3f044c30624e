"""One command at a time works with the images to learn from: no import changes them under a check or a training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core.disk_errors import explained
from pipeline.core.paths import RAW
from pipeline.storage.files import read_json, write_json
from pipeline.storage.output_lock import InUse
from pipeline.storage.process import Process, process_of, this_process

LOCK = Path(".nightshift/images.lock")
HOLDER = LOCK.with_suffix(".json")  # who holds it


@dataclass(frozen=True, slots=True)
class Working:
    """A command at work on the images."""

    command: str
    process: Process  # as of when it began
    doing: str = ""  # the stage that a training is at

    def __str__(self) -> str:
        """Who it is, for a person."""
        since = time.strftime("%H:%M", time.localtime(self.process.seen))
        return f"`{self.command}` ({self.process.name}, since {since})"


@contextmanager
def working_on_images(command: str) -> Iterator[Callable[[str], None]]:
    """Keep other commands of this project away from data/raw. Raises InUse, which names the one at work, and DiskError.

    Yields a function that says, for `nightshift status`, what the command is doing. The operating system releases the
    lock the moment its holder ends, however it ends.
    """
    with explained(LOCK):
        LOCK.parent.mkdir(exist_ok=True)
        lock = FileLock(LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InUse(
                f"{_noted() or 'Another command'} is at work on the images in {RAW}. Nothing was changed. Run the same "
                "command again when that one has ended."
            ) from None
    working = Working(command, this_process())

    def doing(what: str) -> None:
        with suppress(OSError):  # nothing depends on it
            write_json(HOLDER, asdict(replace(working, doing=what)))

    try:
        doing("")
        yield doing
    finally:
        with suppress(OSError):
            HOLDER.unlink(missing_ok=True)
        lock.release()


def at_work() -> Working | None:
    """The command that works on the images now, without taking the lock; None: none does."""
    found = _noted()
    return found if found and found.process.is_alive else None


def _noted() -> Working | None:
    try:
        found = read_json(HOLDER)
        return Working(str(found["command"]), process_of(found["process"]), str(found["doing"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
