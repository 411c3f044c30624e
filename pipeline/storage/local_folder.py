"""A folder on a disk that this machine sees."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.core import disk_errors
from pipeline.storage import files, lease, listing
from pipeline.storage.folders import Folder, UnfitFile
from pipeline.storage.listing import Listed


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder on a disk that this machine sees."""

    threads: ClassVar[int] = 1
    keeps_whole: ClassVar[bool] = False
    path: Path

    __str__ = Folder.__str__

    @property
    def local(self) -> Path:
        """The folder as a path of this machine."""
        return self.path

    def read(self, name: str = "") -> bytes:
        """The bytes of a file."""
        return (self.path / name).read_bytes()

    def read_at_most(self, name: str, most: int) -> bytes:
        """The bytes of a regular file. A pipe that took its place since the listing would keep us waiting for ever."""
        with os.fdopen(os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise UnfitFile(None, is_regular=False)
            if about.st_size > most:
                raise UnfitFile(about.st_size)
            return opened.read()

    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """A path beside the file or folder `name`, which takes its place on success."""
        return files.replacing(self.path / name)

    def write_all(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Write all files into a new folder, which takes the place of this one."""
        with self.replacing("") as beside:
            beside.mkdir()
            for name, data in contents:
                (beside / name).write_bytes(data)

    def names(self, name: str = "") -> list[str]:
        """The names in a folder, in no order; none where there is no folder."""
        try:
            return [entry.name for entry in (self.path / name).iterdir()]
        except FileNotFoundError:
            return []

    def exists(self, name: str = "") -> bool:
        """Whether there is such a file or folder."""
        return (self.path / name).exists()

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def sync(self) -> None:
        """Ask the disk to keep this folder's names, if it is there."""
        if self.path.is_dir():
            files.sync(self.path)

    def delete_tree(self) -> None:
        """Delete this folder and all that is in it, if it is there."""
        shutil.rmtree(self.path, ignore_errors=True)

    def list_images(self) -> Iterator[Listed]:
        """The image files below this folder."""
        return listing.list_images(self.path)

    def hold(self) -> AbstractContextManager[str | None]:
        """Keep other runs from writing here."""
        return lease.held(self.path)

    def require(self) -> None:
        """Raise LedgerError when another run has taken over."""
        lease.require(self.path)

    @contextmanager
    def at_hand(self) -> Iterator[Path]:
        """This folder itself."""
        yield self.path

    def contains(self, other: Folder) -> bool:
        """Whether `other` is this folder or lies inside it, links followed."""
        theirs = other.local
        return theirs is not None and theirs.absolute().resolve().is_relative_to(self.path.absolute().resolve())

    def is_file(self) -> bool:
        """Whether a file is in this folder's place."""
        return self.path.is_file()

    def require_answer(self) -> None:
        """Do nothing: to ask a disk that hangs is to hang."""

    def require_room(self, needed: int, what: str) -> None:
        """Raise DiskError where the disk has less than `needed` bytes free for `what`."""
        disk_errors.require_room(self.path, needed, what)

    def sweep(self) -> None:
        """Remove what killed processes were just writing: it takes space, and nobody else removes it."""
        for leftover in (*self.path.glob(".*.tmp"), *(self.path / ".nightshift").glob("**/.*.tmp")):
            shutil.rmtree(leftover, ignore_errors=True)
