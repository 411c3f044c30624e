"""Looks every half minute for nights that were killed, and whether supervisord lives; tells people. Mends nothing.

A night that is killed with its worker, or that ran without Prefect, can tell nobody itself, and the next one may begin
only a day later.
"""

import os
import threading
import time
from pathlib import Path

from flows.services.configuration import WORKER, log_file
from pipeline.core.log import log
from pipeline.night import at_work
from pipeline.notices import messages, when_a_run_ends
from pipeline.notices.send import tell

PERIOD = 30.0  # seconds


class Watch:
    """What is told once is not told again."""

    def __init__(self, supervisor: int) -> None:
        """supervisor: its process id, this process's parent."""
        self._supervisor = supervisor
        self._seen: set[str] = set()  # killed runs, by output and claim
        self._known: set[str] = set()  # killed runs that people got a message about

    def look(self, parent: int) -> None:
        """Tell people of what is new since the last look. parent: the id of this process's parent now."""
        if parent != self._supervisor:
            self._supervisor = parent
            log.warning("supervisord is gone: a service that dies now stays dead until `nightshift up`.")
            tell(messages.of_lost_supervisor)
        self._tell_of_killed()

    def _tell_of_killed(self) -> None:
        for night in at_work.unfinished():
            if not night.killed or (key := f"{night.output} {night.killed.token}") in self._known:
                continue
            # At the second look: a run that goes on with it, or the worker whose run it was, may tell it itself.
            if key in self._seen:
                self._known.add(key)
                words = messages.was_killed(night.killed.name)
                log.warning("Night %s: %s", night.output, words)
                when_a_run_ends.of_crashed(night.output, words)
            self._seen.add(key)


def begin_watch() -> None:
    """Watch from now on, beside what this process does."""
    supervisor = os.getppid()
    watch = Watch(supervisor)

    def look() -> None:
        try:
            watch.look(os.getppid())
        except Exception:  # noqa: BLE001 - a look that fails must not be the last one
            log.exception("Could not look for nights that were killed.")

    def go_on() -> None:
        next_look, is_lost = 0.0, False
        while True:
            if not is_lost and os.getppid() != supervisor:
                is_lost, next_look = True, 0.0
                write_to(log_file(WORKER))
            if time.monotonic() >= next_look:
                look()
                next_look = time.monotonic() + PERIOD
            time.sleep(1)

    threading.Thread(target=go_on, daemon=True, name="watch").start()


def write_to(file: Path) -> None:
    """Write this process's output to a file: the pipe to a supervisord that is gone ends who writes into it."""
    number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(number, stream)
    os.close(number)
