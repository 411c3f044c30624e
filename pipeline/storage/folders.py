"""A folder here or in a store as one type: who reads, writes, lists or holds it need not know which it is.

A folder is a value: it compares by its address, travels to other processes, and prints as the address it was made from.
Names are relative to it, with `/` between their parts; without one, what is meant is the folder itself.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Self

from pipeline.storage import files
from pipeline.storage.addresses import place
from pipeline.storage.listing import Listed
from pipeline.storage.stores import Place


class UnfitFile(Exception):  # noqa: N818 - what it is
    """A file whose bytes are not read: it is not a regular one, or longer than allowed."""

    def __init__(self, bytes_: int | None, *, is_regular: bool = True) -> None:
        """bytes_: its length, where that is known."""
        super().__init__("no longer a regular file" if not is_regular else f"too long: {bytes_ or 'unknown'} bytes")
        self.bytes, self.is_regular = bytes_, is_regular


class Folder(ABC):
    """A folder of this machine, or of a store. Methods raise OSError, and StoreError when a store does not answer."""

    threads: ClassVar[int]  # that read at once: a disk is as fast with one, a store is not
    keeps_whole: ClassVar[bool]  # whether what was written once is whole for ever; a disk may lose it in a power cut
    path: Place

    def __str__(self) -> str:
        """The address that a person typed."""
        return str(self.path)

    def __truediv__(self, name: str) -> Self:
        """The folder of this name in this one."""
        return type(self)(self.path / name)  # type: ignore[call-arg]

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.path.name

    def absolute(self) -> Self:
        """The same folder, whatever the working folder is."""
        return type(self)(self.path.absolute())  # type: ignore[call-arg]

    @property
    def local(self) -> Path | None:
        """The folder as a path of this machine; None in a store."""
        return None

    @abstractmethod
    def read(self, name: str = "") -> bytes:
        """The bytes of a file."""

    @abstractmethod
    def read_at_most(self, name: str, most: int) -> bytes:
        """The bytes of a file that has no more than `most`. Raises UnfitFile for others, of which none is kept."""

    @abstractmethod
    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """A path for the caller to write a file or folder to, which takes the place of `name` on success, whole."""

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
        """Write all (name, bytes) as this folder's files. They count when the caller writes what names them."""

    @abstractmethod
    def names(self, name: str = "") -> list[str]:
        """The names in a folder, in no order; none where there is no folder."""

    @abstractmethod
    def exists(self, name: str = "") -> bool:
        """Whether there is such a file or folder and it may be read."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def sync(self) -> None:
        """Let no power cut bring back what was deleted from this folder."""

    @abstractmethod
    def delete_tree(self) -> None:
        """Delete this folder and all that is in it, if it is there."""

    @abstractmethod
    def list_images(self) -> Iterator[Listed]:
        """The image files below this folder, in the same order here and in a store. Raises ListingError."""

    @abstractmethod
    def hold(self) -> AbstractContextManager[str | None]:
        """Keep other runs from writing here. Gives the name of the run before, if it was killed; a store does not.

        Raises LedgerError naming the holder when there is one.
        """

    @abstractmethod
    def require(self) -> None:
        """Raise LedgerError when this process wrote here under a claim that another run has taken over."""

    @abstractmethod
    def at_hand(self) -> AbstractContextManager[Path]:
        """This folder on this machine, for the while: itself, or a copy."""

    @abstractmethod
    def contains(self, other: "Folder") -> bool:
        """Whether `other` is this folder or lies inside it."""

    @abstractmethod
    def is_file(self) -> bool:
        """Whether a file is in this folder's place, as far as that can be seen without asking a server."""

    @abstractmethod
    def require_answer(self) -> None:
        """Raise StoreError when this folder is in a store that does not answer."""

    @abstractmethod
    def require_room(self, needed: int, what: str) -> None:
        """Raise DiskError where a disk has less than `needed` bytes free for `what`."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what killed processes were just writing in this folder and below `.nightshift` in it."""


def folder_at(where: str | Place) -> Folder:
    """The folder that a path or an address means. Raises AddressError for a protocol whose package is not installed."""
    from pipeline.storage.local_folder import LocalFolder  # they know this module
    from pipeline.storage.store_folder import StoreFolder

    found = place(where) if isinstance(where, str) else where
    return LocalFolder(found) if isinstance(found, Path) else StoreFolder(found)
