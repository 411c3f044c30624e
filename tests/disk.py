"""A small disk of its own, in memory, for a test to fill up or to make read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.project import NIGHTSHIFT, environment

PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes; what a file takes at least


class Disk:
    """Mounted at `place` for the commands that run here, and for nobody else; gone with the process that keeps it."""

    def __init__(self, place: Path, size: int) -> None:
        place.mkdir()
        self.place = place
        root = os.geteuid() == 0
        mount = f"mount -t tmpfs -o size={size} tmpfs '{place}' && echo mounted && exec sleep infinity"
        self.keeper = subprocess.Popen(
            ["unshare", *([] if root else ["--map-root-user"]), "--mount", "sh", "-c", mount],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.keeper.stdout
        assert self.keeper.stdout.readline() == "mounted\n", "a disk must be mounted: by root, or in a user namespace"
        self.enter = ["nsenter", f"--target={self.keeper.pid}", "--mount"]
        self.enter += [] if root else ["--user", "--preserve-credentials"]
        self.seen = Path(f"/proc/{self.keeper.pid}/root{place}")  # from outside

    def start(self, *words: str, cwd: Path, **env: str) -> subprocess.Popen[str]:
        """A `nightshift` command that sees the disk, in a process group of its own."""
        there = ["sh", "-c", 'cd "$0" && exec "$@"', str(cwd)]
        return subprocess.Popen(
            [*self.enter, *there, str(NIGHTSHIFT), *words], env=environment(**env), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    @property
    def pages(self) -> int:
        """Free ones."""
        about = os.statvfs(self.seen)
        return about.f_bavail * about.f_frsize // PAGE

    def fill(self, leave: int) -> None:
        """Leave so many pages free."""
        with (self.seen / "ballast").open("wb") as ballast:
            for _ in range(self.pages - leave):
                ballast.write(bytes(PAGE))
        assert self.pages == leave

    def free(self) -> None:
        """Take `fill` back."""
        (self.seen / "ballast").unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`."""
        subprocess.run([*self.enter, "mount", "-o", f"remount,{how}", str(self.place)], check=True)

    def freeze(self, folder: str) -> None:
        """Make one folder read-only although files on the disk are open for writing."""
        place = str(self.place / folder)
        subprocess.run([*self.enter, "mount", "--bind", place, place], check=True)
        subprocess.run([*self.enter, "mount", "-o", "remount,bind,ro", place], check=True)

    def thaw(self, folder: str) -> None:
        """Take `freeze` back."""
        subprocess.run([*self.enter, "umount", str(self.place / folder)], check=True)


@contextmanager
def disk(place: Path, size: int) -> Iterator[Disk]:
    """A new one of `size` bytes."""
    mounted = Disk(place, size)
    try:
        yield mounted
    finally:
        mounted.keeper.kill()
        mounted.keeper.communicate()
