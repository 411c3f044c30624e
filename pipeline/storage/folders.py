"""One type for a folder on a disk or in a store: callers read, write, list and lock it without knowing which it is.

A folder is a value: it compares by its address, can be sent to other processes, and prints as the address it was made
from. Names are relative to it, with `/` between their parts; an empty name is the folder itself.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Self

from pipeline.storage import files
from pipeline.storage.addresses import place
from pipeline.storage.files import UnfitFile as UnfitFile  # whoever reads from a folder finds it here
from pipeline.storage.listing import Aside, Listed
from pipeline.storage.stores import Place


class Folder(ABC):
    """A local folder, or one in a store. Methods raise OSError, and StoreError when a store does not answer."""

    threads: ClassVar[int]  # that read at once: a disk needs one, a store is faster with several
    keeps_whole: ClassVar[bool]  # whether a finished write is durable; a disk may lose it in a power cut
    path: Place

    def __str__(self) -> str:
        """The address that a person typed."""
        return str(self.path)

    def __truediv__(self, name: str) -> Self:
        """The subfolder of this name."""
        return type(self)(self.path / name)  # type: ignore[call-arg]

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.path.name

    def absolute(self) -> Self:
        """The same folder as an absolute path."""
        return type(self)(self.path.absolute())  # type: ignore[call-arg]

    @property
    def local(self) -> Path | None:
        """The folder as a local path; None in a store."""
        return None

    @abstractmethod
    def read(self, name: str = "") -> bytes:
        """The bytes of a file."""

    @abstractmethod
    def read_at_most(self, name: str, most: int) -> bytes:
        """The bytes of a regular file with at most `most` bytes. Raises UnfitFile for any other."""

    @abstractmethod
    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """A path where the caller writes a file or folder; on success it replaces `name` as a whole."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        with self.replacing(name) as beside:
            beside.write_bytes(data)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as indented JSON, whole or not at all."""
        with self.replacing(name) as beside:
            beside.write_bytes(files.as_json(value))

    def read_json(self, name: str) -> Any:
        """The value written by `write_json`."""
        return json.loads(self.read(name))

    @abstractmethod
    def write_all(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Write all (name, bytes) as this folder's files. They count once the caller writes a file that lists them."""

    @abstractmethod
    def names(self, name: str = "") -> list[str]:
        """The names in a folder, unordered; empty if the folder does not exist."""

    @abstractmethod
    def exists(self, name: str = "") -> bool:
        """Whether this file or folder exists and is readable."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""

    @abstractmethod
    def sync(self) -> None:
        """Make deletions from this folder survive a power cut."""

    @abstractmethod
    def delete_tree(self) -> None:
        """Delete this folder with its content, if it exists."""

    @abstractmethod
    def require_folder(self) -> None:
        """Raise ListingError when it is known at once that there is no such folder; a store says it when it lists."""

    @abstractmethod
    def require_makeable(self) -> None:
        """Raise OSError or DiskError when it is known at once that the folder cannot be made."""

    @abstractmethod
    def list_files(self) -> Iterator[Listed | Aside]:
        """The images below this folder, in the same order here and in a store, and what else is there.

        Raises ListingError.
        """

    def list_images(self) -> Iterator[Listed]:
        """The image files below this folder. Raises ListingError."""
        return (entry for entry in self.list_files() if isinstance(entry, Listed))

    @abstractmethod
    def hold(self) -> AbstractContextManager[str | None]:
        """Lock the folder against other runs. Yields the name of the previous holder if it was killed (not in a store).

        Raises LedgerError naming the holder if another run has the lock.
        """

    @abstractmethod
    def require(self) -> None:
        """Raise LedgerError when another run has taken over this process's claim."""

    @abstractmethod
    def at_hand(self) -> AbstractContextManager[Path]:
        """The folder on this machine while the block runs: itself, or a temporary copy."""

    @abstractmethod
    def file_at_hand(self, name: str) -> AbstractContextManager[Path]:
        """A file on this machine while the block runs: itself, or a temporary copy."""

    @abstractmethod
    def contains(self, other: "Folder") -> bool:
        """Whether `other` is this folder or lies inside it."""

    @abstractmethod
    def is_at(self, address: str) -> bool:
        """Whether `address` leads to this folder, however it is spelled. It was the text of an absolute folder."""

    @abstractmethod
    def is_file(self) -> bool:
        """Whether this path is a file, as far as we can tell without a request."""

    @abstractmethod
    def require_answer(self) -> None:
        """Raise StoreError when the folder's store does not answer."""

    @abstractmethod
    def require_room(self, needed: int, what: str) -> None:
        """Raise DiskError when the disk has less than `needed` bytes free for `what`."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove temporary files that killed processes left in this folder and in its `.nightshift`."""


def folder_at(where: str | Place) -> Folder:
    """The folder of a path or an address. Raises AddressError for a protocol whose package is not installed."""
    found = place(where) if isinstance(where, str) else where
    if isinstance(found, Path):
        from pipeline.storage.local_folder import LocalFolder  # it imports this module

        return LocalFolder(found)
    from pipeline.storage.store_folder import StoreFolder

    return StoreFolder(found)
