"""The log file of a command: all that libraries say to standard error while it runs, and its own lines with times.

`.nightshift/logs/` keeps the newest ones. A process that a command starts writes into that command's file.
"""

import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from pipeline.core import terminal
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import PARAMS
from pipeline.core.surroundings import Outliving
from pipeline.core.text import without_password

FOLDER = Path(".nightshift/logs")
PATTERN = "command-*.log"
GIVEN = "NIGHTSHIFT_LOG"  # environment variable: the log file of the command that started this process
VERBOSE = "NIGHTSHIFT_VERBOSE"  # environment variable, also set by --verbose: show the log file as it is written
KEPT = 20  # files
LARGEST = 50_000_000  # bytes of all of them, the newest not counted
POLL = 0.2  # seconds between two looks into the file
STANDARD_ERROR = 2  # the number of its file
FORMAT = "%(asctime)s %(levelname)-7s %(message)s"

_now: Path | None = None


def current() -> Path | None:
    """The log file of this process, if it has one."""
    return _now


def environment() -> dict[str, str]:
    """For a process that this one starts: where it logs."""
    return {GIVEN: str(_now.absolute())} if _now else {}


@contextmanager
def opened(name: str) -> Iterator[None]:
    """Write what libraries and this process's log say in this block into a log file; `name`: of the command.

    Outside a project, or where it cannot be written, what libraries say is dropped. A file that stays empty is deleted.
    """
    global _now
    if given := os.environ.get(GIVEN):
        path, header, file = Path(given), 0, _open(Path(given))
    else:
        path = FOLDER / f"command-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}-{name}-{os.getpid()}.log"
        header, file = _begin(path)
    _now = path if file else None
    ours, restore = _taken(file)
    terminal.give(ours)
    follower = _Follower(path, ours) if file and header and os.environ.get(VERBOSE, "0") not in ("", "0") else None
    terminal.follow_log(follower is not None)
    try:
        with _logging_to(file):
            yield
    except Exception as error:
        if file and (not isinstance(error, NightshiftError) or os.fstat(file.fileno()).st_size > header):
            traceback.print_exception(error, file=file)
        raise
    finally:
        if follower:
            follower.end()
        terminal.follow_log(False)
        restore()
        if file:
            if header and os.fstat(file.fileno()).st_size == header:
                path.unlink(missing_ok=True)
                _now = None
            file.close()


@contextmanager
def _logging_to(file: TextIO | None) -> Iterator[None]:
    """The project's log on the terminal and, with more detail, in the file."""
    handlers: list[logging.Handler] = [_ToTerminal()]
    if file:
        handlers.append(logging.StreamHandler(file))
        handlers[-1].setFormatter(logging.Formatter(FORMAT))
    level, propagates = log.level, log.propagate
    log.setLevel(logging.DEBUG)
    log.propagate = False  # Prefect would print every line a second time
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagates


class _ToTerminal(logging.Handler):
    """Says each message as the command's own."""

    def emit(self, record: logging.LogRecord) -> None:
        terminal.say(record.levelno, self.format(record))


def _taken(file: TextIO | None) -> tuple[TextIO, Callable[[], None]]:
    """Let standard error lead into `file`, or nowhere; returns where it led before, and what to do at the end."""
    sink = file or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends
    before = sys.stderr
    if not _is_standard_error(before):
        sys.stderr = sink  # a caller in this process reads what standard error is

        def restore() -> None:
            sys.stderr = before
            terminal.give(None)

        return before, restore
    raw = io.BufferedWriter(Outliving(os.dup(STANDARD_ERROR), "w"))
    ours = io.TextIOWrapper(raw, encoding=before.encoding, errors="backslashreplace", line_buffering=True)
    before.flush()
    os.dup2(sink.fileno(), STANDARD_ERROR)  # for what is not written in Python too, up to the end of the process

    def show() -> None:
        sys.stderr.flush()
        sys.stderr = ours

    return ours, show


def _is_standard_error(stream: TextIO) -> bool:
    try:
        return stream.fileno() == STANDARD_ERROR
    except (OSError, ValueError):
        return False


def _begin(path: Path) -> tuple[int, TextIO | None]:
    """Begin a log file, and delete old ones; returns the length of its first line too. None: it cannot be written."""
    if not PARAMS.is_file():
        return 0, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
    except OSError:
        return 0, None
    if not (file := _open(path)):
        return 0, None
    words = without_password(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    file.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {words}\n")
    file.flush()
    return os.fstat(file.fileno()).st_size, file


def _open(path: Path) -> TextIO | None:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # libraries may say what is secret
    except OSError:
        return None
    raw = io.BufferedWriter(_Log(number, "w"))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Log(Outliving):
    """A file that takes what its disk has room for: a log never makes a command fail, nor hides why it fails."""

    FAULT = OSError


def _tidy(folder: Path) -> None:
    """Delete the oldest log files of commands: all but the newest few, and fewer where they are large."""
    kept = size = 0
    for file in sorted(folder.glob(PATTERN), key=lambda file: file.stat().st_mtime, reverse=True):
        kept, size = kept + 1, size + file.stat().st_size
        if kept >= KEPT or size > LARGEST:
            file.unlink(missing_ok=True)


class _Follower(threading.Thread):
    """Shows a log file as it is written."""

    def __init__(self, path: Path, to: TextIO) -> None:
        super().__init__(name="log", daemon=True)
        self._path, self._to, self._over = path, to, threading.Event()
        self.start()

    def run(self) -> None:
        with self._path.open(encoding="utf-8", errors="replace") as file:
            while True:
                over = self._over.is_set()
                if text := file.read():
                    self._to.write(text)
                    self._to.flush()
                elif over:
                    return
                self._over.wait(POLL)

    def end(self) -> None:
        """Show the rest."""
        self._over.set()
        self.join(timeout=5)
