"""List the image files in a folder, in a fixed order. Reads names and first bytes, never pixels.

The listing has regular files with a known image extension, or with the first bytes of an image. It skips hidden files,
and what disks and NAS keep for themselves (`core/hidden`). It follows a link only to a regular file inside the folder,
so no link leads in a circle or out of the folder. It never opens pipes, sockets and devices. What it leaves aside it
says: other files, links that it does not follow, folders that it may not read.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.core.errors import NightshiftError
from pipeline.core.hidden import is_hidden
from pipeline.images.formats import MAGIC_BYTES, begins_like_image, has_image_extension


class ListingError(NightshiftError):
    """The folder cannot be listed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file, as it was when listed."""

    path: str  # relative to the folder, `/` between the parts; bytes that are not text as surrogate escapes
    bytes: int
    modified_ns: int
    changed_ns: int  # last change of content, name or rights; unlike the modification time nobody can set it back


@dataclass(frozen=True, slots=True)
class Aside:
    """Something below a folder that is not hidden, and not listed as an image."""

    path: str
    kind: Literal["file", "link", "folder"]  # not an image; not followed; may not be read


Trusted = Callable[[Path], bool]  # whether a link may lead to this place outside the folder


def nowhere(_: Path) -> bool:
    """No link may lead out of the folder."""
    return False


def in_dvc_cache(place: Path) -> bool:
    """Whether a file is an object in a DVC cache, to which DVC links the files of data/raw (`cache.type symlink`).

    Its name is its content's hash, so the place says it: `files/md5/ab/cdef…`; in the older layout `cache/ab/cdef…`.
    """
    *_, layout, kind, start, rest = ("", "", "", "", *place.parts)
    in_cache = (layout, kind) == ("files", "md5") or kind == "cache"
    return in_cache and re.fullmatch(r"[0-9a-f]{32}", start + rest) is not None


def order_of(path: str) -> bytes:
    """The key by which listings are sorted, here and in a store: depth first, each folder's names by their bytes."""
    return os.fsencode(path).replace(b"/", b"\0")  # `/` below all other bytes


def list_images(folder: Path, trusted: Trusted = nowhere) -> Iterator[Listed]:
    """The image files below `folder`, depth first, each folder's entries in the order of their bytes.

    Raises ListingError when `folder` is not a readable folder.
    """
    return (entry for entry in list_files(folder, trusted) if isinstance(entry, Listed))


def list_files(folder: Path, trusted: Trusted = nowhere) -> Iterator[Listed | Aside]:
    """Every image below `folder`, in the order of `list_images`, and between them what the listing skipped.

    Raises ListingError when `folder` is not a readable folder.
    """
    require_folder(folder)
    root = folder.resolve()
    yield from _walk(folder, lambda place: place.is_relative_to(root) or trusted(place))


def require_folder(folder: Path) -> None:
    """Raise ListingError when `folder` is not a folder that this user can reach."""
    try:
        is_folder, is_there = folder.is_dir(), folder.exists()
    except OSError as error:  # it lies below a folder that this user may not search
        raise ListingError(
            f"{folder} cannot be reached: {error.strerror}. Check its mount, and the permissions of "
            "the folders above it."
        ) from error
    if not is_folder:
        what = "is a file" if is_there else "does not exist"
        raise ListingError(f"{folder} {what}; it must be a folder of images.")


def is_image(name: str, first_bytes: Callable[[], bytes]) -> bool:
    """Whether a file is an image: by its extension, else by its first `MAGIC_BYTES` bytes, which are read only then."""
    if name.upper() == "DICOMDIR":  # the index of a disk, which begins as its images do
        return False
    return has_image_extension(name) or begins_like_image(first_bytes())


def _walk(folder: Path, inside: Trusted) -> Iterator[Listed | Aside]:
    levels = [_entries(folder, "")]  # an explicit stack: Python's recursion ends at a thousand levels
    while levels:
        for entry, path in levels[-1]:
            if entry.is_dir(follow_symlinks=False):
                try:
                    levels.append(_entries(Path(entry.path), path + "/"))
                except PermissionError:
                    yield Aside(path, "folder")
                    continue
                break
            if about := _regular(entry, path, inside):
                image = is_image(entry.name, partial(_first_bytes, Path(entry.path)))
                yield about if image else Aside(path, "file")
            else:  # a file that is none: a FIFO, a socket, a device
                yield Aside(path, "link" if entry.is_symlink() else "file")
        else:
            levels.pop()


def _entries(folder: Path, prefix: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """The entries of a folder that are not hidden, and the path of each.

    Raises PermissionError for a folder inside the listed one, and ListingError for any other fault.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    except PermissionError as error:
        if prefix:
            raise
        raise ListingError(_not_listed(folder, error)) from error
    except FileNotFoundError as error:
        if not prefix:
            raise ListingError(_not_listed(folder, error)) from error
        entries = []  # deleted meanwhile
    except OSError as error:
        raise ListingError(_not_listed(folder, error)) from error
    return ((entry, prefix + entry.name) for entry in entries if not is_hidden(entry.name))


def _not_listed(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be listed: {error.strerror}. Check its permissions and its mount."


def _regular(entry: os.DirEntry[str], path: str, inside: Trusted) -> Listed | None:
    """The status of a regular file, or of the file that a link leads to, where that is `inside`; else None."""
    try:
        about = entry.stat()
        followed = not entry.is_symlink() or inside(Path(entry.path).resolve(strict=True))
    except FileNotFoundError:  # deleted meanwhile, or a broken link
        return None
    except (OSError, RuntimeError):
        # A circular link. Or a file that we see only in its folder (access denied, path too long): it exists, and its
        # row will say why it cannot be read.
        return Listed(path, 0, 0, 0) if entry.is_file(follow_symlinks=False) else None
    if not followed or not stat.S_ISREG(about.st_mode):
        return None
    return Listed(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _first_bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAGIC_BYTES)
    except OSError:  # without an image's extension, and unreadable: nothing shows that it is an image
        return b""
