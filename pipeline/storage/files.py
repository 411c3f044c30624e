"""Files of this machine, written whole or not at all; and hashes of bytes. Knows nothing of what is written."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.disk_errors import WRITING
from pipeline.core.errors import NightshiftError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, a file or a folder for the caller to write, which takes its place on success.

    A killed process leaves the old file or the new, never half of one. A folder's old version is gone for the
    instant between two renames.
    """
    make_folder(path.parent)
    # A folder of its own keeps the file's name and ending, which some writers look at.
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
        if error.errno in WRITING and error.filename is None:  # writing, unlike opening, does not say where
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that a power cut does not take them away with what is in them."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync_tree(path: Path) -> None:
    """`sync` of a file, or of a folder and everything in it."""
    for one in [path] if path.is_file() else [*path.rglob("*"), path]:
        if one.is_file() or (one.is_dir() and not one.is_symlink()):
            sync(one)


def sync(path: Path) -> None:
    """Ask the disk to keep a file's bytes, or a folder's names.

    Without it a rename can outlive the bytes it names in a power cut.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole."""
    with replacing(path) as beside:
        beside.write_bytes(as_json(value))


def as_json(value: Any) -> bytes:
    """`value` as indented JSON in UTF-8, as it stands in files for people."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """The value written by `write_json`."""
    return json.loads(path.read_bytes())


def sha256(data: bytes) -> str:
    """SHA-256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits; reads in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_validated(file: Path, expected: str) -> bytes:
    """The bytes of a dataset's file whose SHA-256 is known. Raises NightshiftError when they are others by now."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        data = b""
    if sha256(data) != expected:
        raise NightshiftError(f"{file} has changed since it was validated. Run `dvc repro` again.")
    return data
