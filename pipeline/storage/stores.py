"""Objects of a store: read, write, delete, and what a network failure means.

A network failure is no file's fault: it is tried again, and then ends the run. Knows nothing of what is stored.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from upath import UPath

from pipeline.core.errors import NightshiftError

T = TypeVar("T")
Place = Path | UPath  # of this machine; of another one

PAUSES = (1.0, 4.0)  # seconds before another try; the libraries below have tried for about 10 seconds themselves
THREADS = 16  # requests at once: a store answers each in 10 to 100 ms, and many at a time
# What the libraries below fsspec raise besides OSError: looked up only where they are loaded.
BACKEND_ERRORS = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"), ("aiohttp", "InvalidURL"))
OF_THE_FILE = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


class StoreError(NightshiftError):
    """A store does not answer; the run can go on when it does."""


def backend_errors() -> tuple[type[Exception], ...]:
    """What reading from a store can raise."""
    loaded = [(sys.modules.get(module), name) for module, name in BACKEND_ERRORS]
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


def attempt(place: object, action: Callable[[], T]) -> T:
    """What `action` gives, tried again when the store does not answer. `place`: what it is about, for the message.

    Raises OSErrors that are about the file (missing, not allowed) at once, and StoreError after the last try.
    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except OF_THE_FILE:
            raise
        except backend_errors() as error:
            if pause is None:
                raise StoreError(
                    f"{place}: its store does not answer ({error or type(error).__name__}), tried {len(PAUSES) + 1} "
                    "times. What is done is kept. When the network and the store answer, run the same command again."
                ) from error
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def read_bytes(place: UPath) -> bytes:
    """The bytes of an object. Raises OSError, StoreError."""
    return attempt(place, lambda: bytes(place.fs.cat_file(place.path)))


def write_bytes(place: UPath, data: bytes) -> None:
    """Write an object: whole or not at all. Raises OSError, StoreError."""
    attempt(place, lambda: place.fs.pipe_file(place.path, data))


def upload(file: Path, place: UPath) -> None:
    """Copy a file of this machine, or a folder with all that is in it, to `place`. Each object is whole or not there.

    Raises OSError, StoreError.
    """
    for one in [file] if file.is_file() else sorted(file.rglob("*")):
        if one.is_file():
            target = place.path if one == file else f"{place.path}/{one.relative_to(file).as_posix()}"
            attempt(place, lambda one=one, target=target: place.fs.put_file(str(one), target))  # type: ignore[misc]


def download(place: UPath, folder: Path) -> None:
    """Copy all that is below `place` into `folder`. Raises OSError, StoreError."""
    for path in attempt(place, lambda: place.fs.find(place.path)):
        target = folder / path.removeprefix(place.path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        attempt(place, lambda path=path, target=target: place.fs.get_file(path, str(target)))  # type: ignore[misc]


def names(folder: UPath) -> list[str]:
    """The names in a folder, in no order; none where there is no folder. Raises OSError, StoreError."""
    try:
        found: list[str] = attempt(folder, lambda: folder.fs.ls(folder.path, detail=False))
    except FileNotFoundError:
        return []
    return [name.rstrip("/").rpartition("/")[2] for name in found]


def exists(place: UPath) -> bool:
    """Whether there is such an object or folder and it may be read. Raises StoreError."""
    try:
        return attempt(place, lambda: bool(place.fs.exists(place.path)))
    except PermissionError:
        return False


def delete(place: UPath) -> None:
    """Delete an object, if it is there. Raises OSError, StoreError."""
    with contextlib.suppress(FileNotFoundError):
        attempt(place, lambda: place.fs.rm_file(place.path))


def delete_tree(place: UPath) -> None:
    """Delete a folder and all that is in it, if it is there. Raises OSError, StoreError."""
    if exists(place):
        attempt(place, lambda: place.fs.rm(place.path, recursive=True))
