"""How a command logs and ends: an error as one message; the log file has the traceback of one that nobody expected."""

import logging
import os
import sys
import traceback
from collections.abc import Callable

from pipeline.core import log_file, terminal
from pipeline.core.disk_errors import disk_error
from pipeline.core.errors import NightshiftError
from pipeline.core.stage_code import require_known_code
from pipeline.core.surroundings import mend


def run(main: Callable[[], None]) -> int:
    """Run a stage's `main` with a log file; returns the exit status."""
    name = main.__module__.rpartition(".")[2]

    def logged() -> None:
        with log_file.opened(name):
            require_known_code()
            main()

    return ended(logged)


def ended(main: Callable[[], None]) -> int:
    """Run `main`, and say the error that ends it; returns the exit status."""
    mend()
    status = 0
    try:
        main()
    except NightshiftError as error:
        _say_error("\n".join([str(error), *_notes(error)]))
        status = error.status
    except Exception as error:  # noqa: BLE001 - the end of the command
        if words := _of_the_system(error):
            _say_error("\n".join([words, *_notes(error)]))
        else:
            _say_unexpected(error)
        status = 1
    if sys.stderr is terminal.stream():
        sys.stderr = sys.__stderr__  # what libraries say while the process ends is for the log file
    return status


def _of_the_system(error: Exception) -> str:
    """The words for an error of the operating system; empty for every other one."""
    if not isinstance(error, OSError) or error.errno is None:
        return ""
    place = f" ({error.filename})" if error.filename else ""
    return str(disk_error(error) or f"{os.strerror(error.errno)}{place}.")


def _notes(error: BaseException) -> list[str]:
    """What was kept and what to do, where whoever tells people about the run has added it."""
    return list(getattr(error, "__notes__", []))


def _say_error(words: str) -> None:
    terminal.say(logging.ERROR, words)
    if (file := log_file.current()) and not terminal.is_marked():
        terminal.say(logging.INFO, f"Log: {file}")


def _say_unexpected(error: Exception) -> None:
    words = f"{type(error).__name__}: {error}".rstrip(". ")
    if log_file.current():
        fault = f"{words}. This is a fault in Nightshift or in a library: the log has where it happened."
        _say_error("\n".join([fault, *_notes(error)]))
    else:
        _say_error("".join(traceback.format_exception(error)))
