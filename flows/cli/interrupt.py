"""Ctrl-C: a command says at once what is kept and how it goes on, and ends within seconds. Knows no night.

The terminal sends the signal to every process of the command. A Prefect server that the command has started ends with
it, and Prefect itself would then try for minutes to reach it.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.core.terminal import stream

GRACE = 5.0  # seconds to end in an orderly way
STATUS = 130  # what shells say of a program that Ctrl-C ended
_by_a_person = False


@contextmanager
def interruptible(words: Callable[[], str], grace: float = GRACE) -> Iterator[None]:
    """Run a command in this block. After Ctrl-C it says `words` and ends, after `grace` seconds in any case.

    A second Ctrl-C ends it at once.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread can have handlers
        yield
        return
    asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        global _by_a_person
        nonlocal asked
        if asked:
            _end()
        asked = _by_a_person = True
        print(f"\nInterrupted. {words()}", file=stream(), flush=True)
        timer = threading.Timer(grace, _end)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except BaseException:
        if asked:  # whatever came of it, such as a server that is gone
            raise SystemExit(STATUS) from None
        raise
    finally:
        if not asked:
            signal.signal(signal.SIGINT, before)


def is_by_a_person() -> bool:
    """Whether somebody has stopped this command: then nobody needs a message about it."""
    return _by_a_person


def _end() -> None:
    """End this process and those that it has started."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.Error:
            continue
    os._exit(STATUS)
