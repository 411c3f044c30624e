"""Local files, written whole or not at all; and hashes of bytes. Knows nothing of their content."""

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.core.errors import NightshiftError

# Errors of disks that can sync files and not folders, and of folders that may be written and not read. PostgreSQL too
# ignores them (fd.c, fsync_fname_ext).
NO_FOLDER_SYNC = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EISDIR, errno.EACCES}
)


class UnfitFile(Exception):  # noqa: N818 - what it is
    """A file that we refuse to read: it is not a regular file, or longer than allowed."""

    def __init__(self, bytes_: int | None, *, is_regular: bool = True) -> None:
        """bytes_: its length, if known."""
        super().__init__("no longer a regular file" if not is_regular else f"too long: {bytes_ or 'unknown'} bytes")
        self.bytes, self.is_regular = bytes_, is_regular


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, where the caller writes a file or folder; on success it replaces `path`.

    A killed process leaves the old file or the new one, never a partial one. A folder is missing for the instant
    between two renames.
    """
    make_folder(path.parent)
    # In its own temporary folder the file keeps its name and ending, which some writers check.
    room = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        beside = room / path.name
        yield beside
        sync_tree(beside)
        if path.is_dir() and not path.is_symlink():
            path.rename(room / "old")
        beside.replace(path)
        sync(path.parent)
    except OSError as error:
        # Unlike open, write does not set the file name.
        if error.errno is not None and error.filename is None and not isinstance(error, ConnectionError):
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def absent(path: Path) -> list[Path]:
    """The folder `path` and those above it that do not exist, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def make_folder(path: Path) -> None:
    """Make a folder and its parents, and sync them, so that they survive a power cut with their content."""
    missing = absent(path)
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync_tree(path: Path) -> None:
    """`sync` of a file, or of a folder and everything in it."""
    for one in [path] if path.is_file() else [*path.rglob("*"), path]:
        if one.is_file() or (one.is_dir() and not one.is_symlink()):
            sync(one)


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's names, to the disk.

    Without this, after a power cut a renamed file may exist without its bytes. Some shares (CIFS, FUSE) cannot sync a
    folder: there it is left out, as other programs do. Raises OSError with the path.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in NO_FOLDER_SYNC and path.is_dir():
            return
        error.filename = error.filename or str(path)  # fsync does not set it
        raise


def open_regular(path: Path) -> BinaryIO:
    """A regular file, opened for reading. Raises UnfitFile for any other: reading a pipe could block for ever."""
    opened = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        return opened
    opened.close()
    raise UnfitFile(None, is_regular=False)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole."""
    with replacing(path) as beside:
        beside.write_bytes(as_json(value))


def as_json(value: Any) -> bytes:
    """`value` as indented JSON in UTF-8, as in the files that people read."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")  # a byte of a name that is not UTF-8 is an escape of JSON, too


def read_json(path: Path) -> Any:
    """The value written by `write_json`."""
    return json.loads(path.read_bytes())


def sha256(data: bytes) -> str:
    """SHA-256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits; read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_validated(file: Path, expected: str) -> bytes:
    """The bytes of a dataset's file with a known SHA-256. Raises NightshiftError when they have changed."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        data = b""
    if sha256(data) != expected:
        raise NightshiftError(f"{file} has changed since it was validated. Run `dvc repro` again.")
    return data
