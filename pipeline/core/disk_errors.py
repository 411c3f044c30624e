"""What a disk's errors mean (full, read-only, no permission), and what a person can do. Writes nothing itself."""

import errno
import getpass
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import NightshiftError

AGAIN = "and run the same command again; what is done is kept."
REFUSALS = {  # what happened, what to do
    errno.ENOSPC: ("The disk at {mount} is full: {path} could not be written.", "Free some space"),
    errno.EDQUOT: ("{user}'s quota on the disk at {mount} is used up: {path} could not be written.", "Free some space"),
    errno.EROFS: (
        "The disk at {mount} is read-only: {path} could not be written.",
        "Mount it for writing, or name a folder on another disk,",
    ),
    errno.EFBIG: (
        "{path} reached the file size that its disk, {mount}, or this shell (`ulimit -f`) allows.",
        "Raise the limit",
    ),
    errno.EIO: ("The disk at {mount} failed: input/output error at {path}.", "Check the disk"),
    errno.EACCES: ("{user} may not use {path}: permission denied.", "Give {user} the permission"),
    errno.EPERM: ("{user} may not use {path}: operation not permitted.", "Give {user} the permission"),
}
NO_INODES = ("The disk at {mount} has no free inodes: {path} could not be written.", "Delete some files")
WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})  # errors that reading never raises


class DiskError(NightshiftError):
    """A disk is full, read-only or failing, or a permission is missing."""


def disk_error(error: OSError, path: Path | None = None) -> DiskError | None:
    """The error with a message for a person; None if it is not a disk's. path: used if the error names no file."""
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    if place and error.errno in (errno.EEXIST, errno.ENOTDIR) and error.filename2 is None:
        return _in_the_way(place)
    if error.errno not in REFUSALS or place is None:
        return None
    mount = _mount(place)
    what, remedy = REFUSALS[error.errno]
    if error.errno == errno.ENOSPC and _without_inodes(mount):
        what, remedy = NO_INODES
    return DiskError(f"{what} {remedy} {AGAIN}".format(mount=mount, path=place, user=getpass.getuser()))


def _in_the_way(place: Path) -> DiskError | None:
    """The error for a file in the place of a folder, which `place` is or lies in; None where there is none."""
    for one in (place, *place.parents):
        if os.path.lexists(one) and not os.path.isdir(one):  # noqa: PTH112 - Path.is_dir raises below a closed folder
            return DiskError(f"{one} is in the way: a folder must be there. Rename it or move it away, {AGAIN}")
    return None


def require_room(folder: Path, needed: int, what: str) -> None:
    """Raise DiskError when the disk of `folder`, which need not exist yet, has less than `needed` bytes free."""
    mount = _mount(folder)
    free = shutil.disk_usage(mount).free
    if free < needed:
        raise DiskError(
            f"The disk at {mount} has {free / 1e6:.0f} MB free, and {what} takes about {needed / 1e6:.0f} MB in "
            f"{folder}. Free some space, or name a folder on another disk."
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise a disk's errors as DiskError. path: used if the error names no file."""
    try:
        yield
    except OSError as error:
        if meant := disk_error(error, path):
            raise meant from error
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def refusal_in(text: str) -> int | None:
    """The errno of a failed write in another library's message, as in `[Errno 28] No space left`; None without one."""
    numbers = map(int, re.findall(r"\[Errno (\d+)\]", text))
    return next((number for number in numbers if number in WRITING), None)


def _mount(path: Path) -> Path:
    """The mount point of `path`, as far as this user may look: below a folder that is closed, nothing is known."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if os.path.ismount(folder))


def _without_inodes(mount: Path) -> bool:
    try:
        about = os.statvfs(mount)
    except OSError:
        return False
    return about.f_files > 0 and about.f_favail == 0 and about.f_bavail > 0
