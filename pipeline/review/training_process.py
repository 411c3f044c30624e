"""A training as a process of its own, which outlives the page and its server. Knows no page, and not what it says.

The command is the one that a person types; who serves the page hands it in. One at a time: the record of the last one
says whether it still runs, and images_lock whether another command is at work.
"""

import os
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from pipeline.core import log_file, terminal
from pipeline.core.disk_errors import explained
from pipeline.core.errors import NightshiftError
from pipeline.core.text import shown
from pipeline.storage import images_lock
from pipeline.storage.files import read_json, write_json
from pipeline.storage.process import Process, process_of, this_process
from pipeline.storage.training_record import last_training

STARTED = Path(".nightshift/training.json")
SAID = Path(".nightshift/logs/training.log")  # what the last one said to a person; its own log file is beside it
LOCK = Path(".nightshift/training.lock")  # while one is being started

_watched: set[int] = set()  # processes whose end this server notes: until it has, it is not known how they ended


class Busy(NightshiftError):  # noqa: N818 - a state, not a fault
    """Another command works with the images; says which."""


@dataclass(frozen=True, slots=True)
class Command:
    """What trains: the words of a command, and the environment variables that are not for it."""

    words: tuple[str, ...]
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Started:
    """A training that a page has started."""

    process: Process  # as of its start
    reader: str
    status: int | None = None  # with which it ended, or minus the signal; None: nobody has seen its end
    seconds: float | None = None  # that it took; None: nobody has seen its end

    @property
    def is_at_work(self) -> bool:
        """Whether it still runs, as far as this server knows."""
        return self.status is None and (self.process.number in _watched or self.process.is_alive)


class Trainer:
    """Starts trainings with one command."""

    def __init__(self, command: Command) -> None:
        """command: to run in the project's folder."""
        self._command = command

    def start(self, reader: str) -> None:
        """Start a training in the background. Raises Busy, DiskError."""
        with explained(STARTED):
            SAID.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(LOCK):
                if words := at_work():
                    raise Busy(f"{words}. Nothing was started: only one command at a time works with the images.")
                process, began = self._begin(), time.time()
                _watched.add(process.pid)
                me = this_process()
                started = Started(Process(process.pid, me.host, me.folder, began), reader)
                write_json(STARTED, asdict(started))
        threading.Thread(target=_wait, args=(process, started), name="training", daemon=True).start()

    def _begin(self) -> "subprocess.Popen[bytes]":
        with SAID.open("wb") as said:
            return subprocess.Popen(
                self._command.words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                env=self._environment(os.environ),
            )  # fmt: skip

    def _environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """As a person's shell has it; the command marks what it says to a person, so that its errors can be told."""
        without = {*self._command.without, log_file.GIVEN, log_file.VERBOSE}
        return {name: value for name, value in ours.items() if name not in without} | {terminal.MARKED: "lines"}


def last_started() -> Started | None:
    """The last training that a page of this project has started."""
    try:
        found = read_json(STARTED)
        status, seconds = found["status"], found["seconds"]
        return Started(
            process_of(found["process"]), str(found["reader"]), None if status is None else int(status),
            None if seconds is None else float(seconds),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def at_work() -> str:
    """Who trains now, or works with the images otherwise, in words; empty where nobody does."""
    started, working, record = last_started(), images_lock.at_work(), last_training()
    if started and started.is_at_work:
        return f"A training of {shown(started.reader)} runs since {_clock(started.process.seen)}"
    if working:
        return f"{working} works with the images"
    if record and record.process.is_alive:
        return f"A training ({record.process.name}) runs since {_clock(record.began)}"
    return ""


def said() -> list[terminal.Said]:
    """What the last started training has said to a person so far."""
    try:
        lines = SAID.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            one = terminal.heard(line)
        except ValueError:  # half a line, of one that was killed
            continue
        found += [one] if one else []
    return found


def _wait(process: "subprocess.Popen[bytes]", started: Started) -> None:
    """Note how it ends: while this server is there, nobody else can."""
    status = process.wait()
    ended = replace(started, status=status, seconds=time.time() - started.process.seen)
    with suppress(OSError):  # the page then knows a little less
        if last_started() == started:  # no other one meanwhile
            write_json(STARTED, asdict(ended))
    _watched.discard(process.pid)


def _clock(when: float) -> str:
    return time.strftime("%H:%M", time.localtime(when))
