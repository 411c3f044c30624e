"""A folder in an object store. Each object is written whole, without temporary files."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from upath import UPath

from pipeline.core.parallel import ordered_map
from pipeline.storage import store_listing, store_lock, stores
from pipeline.storage.folders import Folder, UnfitFile
from pipeline.storage.listing import Aside, Listed


@dataclass(frozen=True)
class StoreFolder(Folder):
    """A folder in a store, by its address."""

    threads: ClassVar[int] = stores.THREADS
    keeps_whole: ClassVar[bool] = True
    path: UPath

    __str__ = Folder.__str__

    def _key(self, name: str) -> str:
        """The key of `name`. Not `path / name`, which would change keys such as `a//b.jpg`."""
        return f"{self.path.path}/{name}" if name else self.path.path

    def read(self, name: str = "") -> bytes:
        """The bytes of an object."""
        return stores.read_bytes(self.path / name if name else self.path)

    def read_at_most(self, name: str, most: int) -> bytes:
        """The bytes of an object, with one request."""
        fs, key = self.path.fs, self._key(name)

        def read() -> bytes:
            try:
                return bytes(fs.cat_file(key, start=0, end=most + 1))
            except stores.OF_THE_FILE:
                raise
            except stores.backend_errors():
                if fs.info(key)["size"] != 0:  # None: the store does not report it
                    raise
                return b""  # a store refuses a range of an empty object

        data = stores.attempt(self.path, read)
        if len(data) > most:
            raise UnfitFile(None)
        return data

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A local path, which is copied to `name` on success; a folder is copied object by object."""
        target = self.path / name if name else self.path
        with tempfile.TemporaryDirectory(prefix="nightshift.") as room:
            yield Path(room, target.name)
            stores.upload(Path(room, target.name), target)

    def write(self, name: str, data: bytes) -> None:
        """Write an object."""
        stores.write_bytes(self.path / name, data)

    def write_all(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Write one object for each file, many in parallel."""
        for _ in ordered_map(lambda file: self.write(*file), contents, self.threads):
            pass

    def names(self, name: str = "") -> list[str]:
        """The names in a folder, unordered; empty if the folder does not exist."""
        return stores.names(self.path / name if name else self.path)

    def exists(self, name: str = "") -> bool:
        """Whether this object or folder exists and is readable."""
        return stores.exists(self.path / name if name else self.path)

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""
        stores.delete(self.path / name)

    def sync(self) -> None:
        """Do nothing: a store's answers are durable."""

    def delete_tree(self) -> None:
        """Delete this folder with its content, if it exists."""
        stores.delete_tree(self.path)

    def require_folder(self) -> None:
        """Do nothing: a store says it when it lists."""

    def require_makeable(self) -> None:
        """Do nothing: a store has no folders."""

    def list_files(self) -> Iterator[Listed | Aside]:
        """The image files below this folder, and what else is there."""
        return store_listing.list_files(self.path)

    def hold(self) -> AbstractContextManager[str | None]:
        """Lock the folder against other runs."""
        return store_lock.held(self.path)

    def require(self) -> None:
        """Raise LedgerError when another run has taken over."""
        store_lock.require(self.path)

    @contextmanager
    def at_hand(self) -> Iterator[Path]:
        """A local copy of this folder while the block runs."""
        with tempfile.TemporaryDirectory(prefix="nightshift.") as room:
            stores.download(self.path, Path(room))
            yield Path(room)

    @contextmanager
    def file_at_hand(self, name: str) -> Iterator[Path]:
        """A temporary copy of the object, which is fetched in pieces."""
        with tempfile.TemporaryDirectory(prefix="nightshift.") as room:
            copy = Path(room, "object")
            stores.attempt(self.path, lambda: self.path.fs.get_file(self._key(name), str(copy)))
            yield copy

    def contains(self, other: Folder) -> bool:
        """Whether `other` is this folder or lies inside it."""
        return f"{other}/".startswith(f"{self}/")

    def is_at(self, address: str) -> bool:
        """Whether `address` leads to this folder, with or without a slash at its end."""
        return _plain(address) == _plain(str(self.absolute()))

    def is_file(self) -> bool:
        """False: a store can have an object and a folder of one name, and we send no request."""
        return False

    def require_answer(self) -> None:
        """Raise StoreError when the store does not answer."""
        self.exists()

    def require_room(self, needed: int, what: str) -> None:
        """Do nothing: a store does not run out of space."""

    def sweep(self) -> None:
        """Do nothing: a store has no temporary files."""


def _plain(address: str) -> str:
    protocol, _, path = address.partition("://")
    return f"{'s3' if protocol == 's3a' else protocol}://{path.rstrip('/')}"
