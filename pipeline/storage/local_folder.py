"""A folder on a disk, local or mounted."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.core import disk_errors
from pipeline.storage import files, listing, output_lock
from pipeline.storage.addresses import local_path
from pipeline.storage.folders import Folder, UnfitFile
from pipeline.storage.listing import Aside, Listed


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder on a disk that this machine sees."""

    threads: ClassVar[int] = 1
    keeps_whole: ClassVar[bool] = False
    path: Path

    __str__ = Folder.__str__

    @property
    def local(self) -> Path:
        """The folder as a local path."""
        return self.path

    def read(self, name: str = "") -> bytes:
        """The bytes of a file."""
        return (self.path / name).read_bytes()

    def read_at_most(self, name: str, most: int) -> bytes:
        """The bytes of a regular file. We check: a pipe that replaced it since the listing would block for ever."""
        with files.open_regular(self.path / name) as opened:
            if (size := os.fstat(opened.fileno()).st_size) > most:
                raise UnfitFile(size)
            return opened.read()

    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """A path beside the file or folder `name`, which replaces it on success."""
        return files.replacing(self.path / name)

    def write_all(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Write all files into a new folder, which then replaces this one."""
        with self.replacing("") as beside:
            beside.mkdir()
            for name, data in contents:
                (beside / name).write_bytes(data)

    def names(self, name: str = "") -> list[str]:
        """The names in a folder, unordered; empty if the folder does not exist."""
        try:
            return [entry.name for entry in (self.path / name).iterdir()]
        except FileNotFoundError:
            return []

    def exists(self, name: str = "") -> bool:
        """Whether this file or folder exists."""
        return (self.path / name).exists()

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        (self.path / name).unlink(missing_ok=True)

    def sync(self) -> None:
        """Flush this folder's names to the disk, if it exists."""
        if self.path.is_dir():
            files.sync(self.path)

    def delete_tree(self) -> None:
        """Delete this folder with its content, if it exists."""
        shutil.rmtree(self.path, ignore_errors=True)

    def require_folder(self) -> None:
        """Raise ListingError when there is no such folder."""
        listing.require_folder(self.path)

    def require_makeable(self) -> None:
        """Raise OSError or DiskError when the folder cannot be made; makes none to stay."""
        if missing := files.absent(self.path):
            with disk_errors.explained(self.path):
                self.path.mkdir(parents=True)
            with suppress(OSError):  # another command has begun there
                for folder in missing:
                    folder.rmdir()

    def list_files(self) -> Iterator[Listed | Aside]:
        """The image files below this folder, and what else is there."""
        return listing.list_files(self.path)

    def hold(self) -> AbstractContextManager[str | None]:
        """Lock the folder against other runs."""
        return output_lock.held(self.path)

    def require(self) -> None:
        """Raise LedgerError when another run has taken over."""
        output_lock.require(self.path)

    @contextmanager
    def at_hand(self) -> Iterator[Path]:
        """This folder itself."""
        yield self.path

    @contextmanager
    def file_at_hand(self, name: str) -> Iterator[Path]:
        """The file itself."""
        yield self.path / name

    def contains(self, other: Folder) -> bool:
        """Whether `other` is this folder or lies inside it, links followed."""
        theirs = other.local
        return theirs is not None and theirs.absolute().resolve().is_relative_to(self.path.absolute().resolve())

    def is_at(self, address: str) -> bool:
        """Whether `address` leads to this folder: links and `..` are followed, and `file://` is a path."""
        other, here = local_path(address), self.path.absolute()
        if other is None:
            return False
        return str(other) == str(here) or os.path.realpath(other) == os.path.realpath(here)

    def is_file(self) -> bool:
        """Whether this path is a file."""
        return self.path.is_file()

    def require_answer(self) -> None:
        """Do nothing: checking a disk that hangs would hang too."""

    def require_room(self, needed: int, what: str) -> None:
        """Raise DiskError when the disk has less than `needed` bytes free for `what`."""
        disk_errors.require_room(self.path, needed, what)

    def sweep(self) -> None:
        """Remove the temporary files of killed processes: they take space, and nobody else removes them."""
        for leftover in (*self.path.glob(".*.tmp"), *(self.path / ".nightshift").glob("**/.*.tmp")):
            shutil.rmtree(leftover, ignore_errors=True)
