"""What a command itself says: on standard error, or in marked lines to the command of ours that started it.

Libraries write to standard error too; `log_file` takes that away from them while a command runs.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

MARK = "\x1e"  # the record separator: it begins a line of ours in the output of a process that DVC runs
MARKED = "NIGHTSHIFT_MARKED"  # environment variable: the command that started this process waits for marked lines
CLEAR = "\r\x1b[K"  # to the start of the line, and erase it
COLUMN = 12  # where the second column of a line about a stage begins


@dataclass(slots=True)
class _Screen:
    """Standard error, whatever libraries find there."""

    stream: TextIO | None = None  # None: sys.stderr is ours
    follows_log: bool = False  # --verbose: the log file is shown, which holds all that is said
    bar: bool = False  # whether another process's progress bar is drawn on the last line


_screen = _Screen()


@dataclass(frozen=True, slots=True)
class Said:
    """One marked line: a message with its level, or, with level NOTSET, how a progress bar looks now."""

    level: int
    text: str


def stream() -> TextIO:
    """Where a command's own words go."""
    return _screen.stream or sys.stderr


def give(ours: TextIO | None) -> None:
    """Let a command's own words go to `ours`; None: to sys.stderr."""
    _screen.stream = ours


def is_of_a_command() -> bool:
    """Whether a command runs in this process, with a log file for what others say."""
    return _screen.stream is not None


def follow_log(follows: bool) -> None:
    """Say nothing but errors, as all else is shown with the log file."""
    _screen.follows_log = follows


def is_marked() -> bool:
    """Whether this process speaks to the command that started it, not to a person."""
    return bool(os.environ.get(MARKED))


def shows_bars() -> bool:
    """Whether somebody can see a progress bar move."""
    if is_marked():
        return os.environ[MARKED] == "bars"
    return not _screen.follows_log and stream().isatty()


def environment() -> dict[str, str]:
    """For a process of ours whose output this one reads: it marks its lines, and draws bars for this terminal."""
    return {MARKED: "bars" if shows_bars() else "lines", "COLUMNS": str(shutil.get_terminal_size().columns)}


def say(level: int, text: str) -> None:
    """Say a message: INFO, WARNING or ERROR of `logging`; what is below is for the log file only."""
    if is_marked():
        _write_marked(level, text)
    elif level >= logging.ERROR or (level >= logging.INFO and not _screen.follows_log):
        _clear_bar()
        before = {logging.WARNING: "Warning: ", logging.ERROR: "Error: "}.get(level, "")
        _write(f"{before}{text}")


def _write(text: str) -> None:
    """Write a line above the progress bars; there are none before their library is imported."""
    if bars := sys.modules.get("tqdm"):
        bars.tqdm.write(text, file=stream())
    else:
        stream().write(f"{text}\n")
    stream().flush()


def of_stage(name: str, words: str) -> Said:
    """One line about a stage, such as how long it took."""
    return Said(logging.INFO, f"{name:{COLUMN}}{words}")


def show(said: Said) -> None:
    """Show what another process of ours said."""
    if said.level:
        say(said.level, said.text)
    elif shows_bars() and not is_marked():
        stream().write(f"{CLEAR}{said.text}")
        stream().flush()
        _screen.bar = bool(said.text)


def heard(line: str) -> Said | None:
    """A line of another process's output as what it says; None if it is not one of ours."""
    if not line.startswith(MARK):
        return None
    level, text = json.loads(line[len(MARK) :])
    return Said(level, text)


def _clear_bar() -> None:
    if _screen.bar:
        stream().write(CLEAR)
        _screen.bar = False


def _write_marked(level: int, text: str) -> None:
    stream().write(f"{MARK}{json.dumps([level, text])}\n")
    stream().flush()


class _MarkedBar:
    """A file for tqdm whose lines are marked."""

    encoding = "utf-8"

    def write(self, text: str) -> None:
        if shown := text.strip("\r\n"):
            _write_marked(logging.NOTSET, shown.rstrip())

    def flush(self) -> None:
        """Nothing to do: each line is flushed."""


def progress_bar(
    over: Iterable[Any] | None = None, /, desc: str = "", total: int | None = None, **options: Any
) -> "tqdm[Any]":
    """A progress bar, as tqdm makes it: only where somebody sees it move, and gone when it has ended."""
    from tqdm import tqdm

    hidden, marked = options.pop("disable", False) or not shows_bars(), is_marked()
    return tqdm(
        over, desc, total, leave=False, disable=hidden, file=_MarkedBar() if marked else stream(),
        ncols=shutil.get_terminal_size().columns, mininterval=0.5 if marked else 0.1, **options,
    )  # fmt: skip
