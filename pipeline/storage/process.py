"""The process that a file of the project names, and whether it still runs. Starts and ends none."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLACK = 60.0  # seconds by which the clocks of two machines, or one clock at two times, may differ
BELIEVED = 600.0  # seconds: a process of another machine runs if it wrote its file so lately


@dataclass(frozen=True, slots=True)
class Process:
    """A process at work in a project; its files may outlive it, and be copied with the project."""

    number: int
    host: str
    folder: str  # the project's, absolute
    seen: float  # when it wrote this, in seconds since 1970

    @property
    def name(self) -> str:
        """For a person on this machine."""
        return f"process {self.number}" + ("" if self.host == socket.gethostname() else f" on {self.host}")

    @property
    def is_alive(self) -> bool:
        """Whether it still works in the project of the current folder."""
        if self.folder != str(Path.cwd()):
            return False
        if self.host == socket.gethostname():
            return lives_since(self.number, self.seen)
        return time.time() - self.seen < BELIEVED


def this_process() -> Process:
    """The one that runs this, as of now."""
    return Process(os.getpid(), socket.gethostname(), str(Path.cwd()), time.time())


def process_of(values: Mapping[str, Any]) -> Process:
    """The process with these fields, as read from JSON. Raises KeyError, TypeError or ValueError."""
    return Process(int(values["number"]), str(values["host"]), str(values["folder"]), float(values["seen"]))


def lives_since(number: int, seen: float) -> bool:
    """Whether the process with this number is the one that was seen then: a later one has its number by chance.

    When it was seen alone would not do: a machine that slept for an hour has written nothing, and goes on.
    """
    import psutil

    try:
        one = psutil.Process(number)
        return bool(one.create_time() < seen + SLACK and one.status() != psutil.STATUS_ZOMBIE)  # which has ended
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # there, and another user's
        return True
