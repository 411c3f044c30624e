"""What the errors of a disk that takes nothing more mean, and what a person can do. Writes nothing itself."""

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
        "Mount it for writing, or name a folder elsewhere,",
    ),
    errno.EFBIG: (
        "{path} grew larger than its disk, {mount}, or this shell (`ulimit -f`) allows a file to be.",
        "Raise the limit",
    ),
    errno.EIO: ("The disk at {mount} failed: input/output error at {path}.", "Check the disk"),
    errno.EACCES: ("{user} may not use {path}: permission denied.", "Give {user} the right to it"),
    errno.EPERM: ("{user} may not use {path}: operation not permitted.", "Give {user} the right to it"),
}
NO_INODES = ("The disk at {mount} has no room for one more file: {path} could not be written.", "Delete some files")
WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})  # never the error of a reader


class DiskError(NightshiftError):
    """A disk that is full, read-only or failing, or a right that is missing."""


def disk_error(error: OSError, path: Path | None = None) -> DiskError | None:
    """What the error means, in words; None when it is no disk's. `path`: where, if the error does not say."""
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    if error.errno not in REFUSALS or place is None:
        return None
    mount = _mount(place)
    what, remedy = REFUSALS[error.errno]
    if error.errno == errno.ENOSPC and _without_inodes(mount):
        what, remedy = NO_INODES
    return DiskError(f"{what} {remedy} {AGAIN}".format(mount=mount, path=place, user=_user()))


def require_room(folder: Path, needed: int, what: str) -> None:
    """Raises DiskError where the disk of `folder`, which need not be there yet, has less than `needed` bytes free."""
    mount = _mount(folder)
    free = shutil.disk_usage(mount).free
    if free < needed:
        raise DiskError(
            f"The disk at {mount} has {free / 1e6:.0f} MB free, and {what} takes about {needed / 1e6:.0f} MB in "
            f"{folder}. Free some space, or name a folder elsewhere."
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise a disk's errors as DiskError; `path`: where, if they do not say."""
    try:
        yield
    except OSError as error:
        if meant := disk_error(error, path):
            raise meant from error
        raise


def refusal_in(text: str) -> int | None:
    """The number of a disk's refusal that another library has made text of, as in `[Errno 28] No space left`."""
    numbers = map(int, re.findall(r"\[Errno (\d+)\]", text))
    return next((number for number in numbers if number in WRITING), None)


def _mount(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_mount())


def _without_inodes(mount: Path) -> bool:
    about = os.statvfs(mount)
    return about.f_files > 0 and about.f_favail == 0 and about.f_bavail > 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return f"user {os.getuid()}"
