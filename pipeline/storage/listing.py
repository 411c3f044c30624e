"""List the image files in a folder, in a fixed order. Reads names and first bytes, never pixels.

The listing has regular files with a known image extension, or with the first bytes of an image. It skips hidden files,
`__MACOSX` and `Thumbs.db`. It follows a link only to a regular file inside the folder, so no link leads in a circle or
out of the folder. It never opens pipes, sockets and devices.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.images.formats import MAGIC_BYTES, begins_like_image, has_image_extension

IGNORED = frozenset({"__MACOSX", "Thumbs.db"})


class ListingError(NightshiftError):
    """The folder cannot be listed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file, as it was when listed."""

    path: str  # relative to the folder, `/` between the parts; bytes that are not text as surrogate escapes
    bytes: int
    modified_ns: int
    changed_ns: int  # last change of content, name or rights; unlike the modification time nobody can set it back


def list_images(folder: Path) -> Iterator[Listed]:
    """The image files below `folder`, depth first, each folder's entries in the order of their bytes.

    Raises ListingError when `folder` is not a readable folder.
    """
    return (listed for listed, image in list_files(folder) if image)


def list_files(folder: Path) -> Iterator[tuple[Listed, bool]]:
    """Every file below `folder` that is not hidden, in the order of `list_images`, and whether it is an image.

    Raises ListingError when `folder` is not a readable folder.
    """
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
    yield from _walk(folder, folder.resolve())


def is_hidden(name: str) -> bool:
    """Whether the listing skips every file or folder of this name."""
    return name.startswith(".") or name in IGNORED


def is_image(name: str, first_bytes: Callable[[], bytes]) -> bool:
    """Whether a file is an image: by its extension, else by its first `MAGIC_BYTES` bytes, which are read only then."""
    return has_image_extension(name) or begins_like_image(first_bytes())


def _walk(folder: Path, root: Path) -> Iterator[tuple[Listed, bool]]:
    levels = [_entries(folder, "")]  # an explicit stack: Python's recursion ends at a thousand levels
    while levels:
        for entry, path in levels[-1]:
            if entry.is_dir(follow_symlinks=False):
                levels.append(_entries(Path(entry.path), path + "/"))
                break
            if about := _regular(entry, path, root):
                yield about, is_image(entry.name, partial(_first_bytes, Path(entry.path)))
        else:
            levels.pop()


def _entries(folder: Path, prefix: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """The entries of a folder that are not hidden, and the path of each."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise ListingError(
            f"{folder} cannot be listed: {error.strerror}. Check its permissions and its mount."
        ) from error
    for entry in entries:
        if not is_hidden(entry.name):
            yield entry, prefix + entry.name


def _regular(entry: os.DirEntry[str], path: str, root: Path) -> Listed | None:
    """The status of a regular file, or of the file inside the root that a link leads to; else None."""
    try:
        about = entry.stat()
        inside = not entry.is_symlink() or Path(entry.path).resolve(strict=True).is_relative_to(root)
    except FileNotFoundError:  # deleted meanwhile, or a broken link
        return None
    except (OSError, RuntimeError):
        # A circular link. Or a file that we see only in its folder (access denied, path too long): it exists, and its
        # row will say why it cannot be read.
        return Listed(path, 0, 0, 0) if entry.is_file(follow_symlinks=False) else None
    if not inside or not stat.S_ISREG(about.st_mode):
        return None
    return Listed(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _first_bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAGIC_BYTES)
    except OSError:  # without an image's extension, and unreadable: nothing shows that it is an image
        return b""
