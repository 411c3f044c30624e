"""Objects of a store: read, write, delete, and retry after network failures.

A network failure is never blamed on a file: we retry, and then end the run. Knows nothing of the content.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    from upath import UPath

    Place: TypeAlias = Path | UPath  # local; remote
else:
    Place = Path  # whoever has a remote one has imported its class, which takes a while

T = TypeVar("T")

PAUSES = (1.0, 4.0)  # seconds before each retry; the libraries below have already retried for about 10 seconds
THREADS = 16  # parallel requests: a store answers each in 10 to 100 ms, and many at a time
# Errors besides OSError of the libraries below fsspec; looked up only if the library is loaded.
BACKEND_ERRORS = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"), ("aiohttp", "InvalidURL"))
OF_THE_FILE = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


class StoreError(NightshiftError):
    """A store does not answer; the run can be resumed when it does."""


def backend_errors() -> tuple[type[Exception], ...]:
    """The errors that reading from a store can raise."""
    loaded = [(sys.modules.get(module), name) for module, name in BACKEND_ERRORS]
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


def attempt(place: object, action: Callable[[], T]) -> T:
    """The result of `action`, with retries when the store does not answer. `place`: the object, for the message.

    Raises an OSError about the file itself (missing, access denied) at once, and StoreError after the last try.
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


def read_bytes(place: "UPath") -> bytes:
    """The bytes of an object. Raises OSError, StoreError."""
    return attempt(place, lambda: bytes(place.fs.cat_file(place.path)))


def write_bytes(place: "UPath", data: bytes) -> None:
    """Write an object: whole or not at all. Raises OSError, StoreError."""
    attempt(place, lambda: place.fs.pipe_file(place.path, data))


def upload(file: Path, place: "UPath") -> None:
    """Copy a local file, or a folder with its content, to `place`. Each object is written whole or not at all.

    Raises OSError, StoreError.
    """
    for one in [file] if file.is_file() else sorted(file.rglob("*")):
        if one.is_file():
            target = place.path if one == file else f"{place.path}/{one.relative_to(file).as_posix()}"
            attempt(place, lambda one=one, target=target: place.fs.put_file(str(one), target))  # type: ignore[misc]


def download(place: "UPath", folder: Path) -> None:
    """Copy everything below `place` into `folder`. Raises OSError, StoreError."""
    for path in attempt(place, lambda: place.fs.find(place.path)):
        target = folder / path.removeprefix(place.path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        attempt(place, lambda path=path, target=target: place.fs.get_file(path, str(target)))  # type: ignore[misc]


def names(folder: "UPath") -> list[str]:
    """The names in a folder, unordered; empty if the folder does not exist. Raises OSError, StoreError."""
    try:
        found: list[str] = attempt(folder, lambda: folder.fs.ls(folder.path, detail=False))
    except FileNotFoundError:
        return []
    return [name.rstrip("/").rpartition("/")[2] for name in found]


def exists(place: "UPath") -> bool:
    """Whether this object or folder exists and is readable. Raises StoreError."""
    try:
        return attempt(place, lambda: bool(place.fs.exists(place.path)))
    except PermissionError:
        return False


def delete(place: "UPath") -> None:
    """Delete an object, if it exists. Raises OSError, StoreError."""
    with contextlib.suppress(FileNotFoundError):
        attempt(place, lambda: place.fs.rm_file(place.path))


def delete_tree(place: "UPath") -> None:
    """Delete a folder with its content, if it exists. Raises OSError, StoreError."""
    if exists(place):
        attempt(place, lambda: place.fs.rm(place.path, recursive=True))
