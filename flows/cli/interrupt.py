"""A signal ends a command: it says at once what is kept and how it goes on, and ends in seconds. Knows no night.

On Ctrl-C the terminal sends the signal to every process of the command. A Prefect server that the command has started
ends with it, and Prefect itself would then try for minutes to reach it.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from pipeline.core.terminal import stream

GRACE = 5.0  # seconds to end in an orderly way
STATUS = 128  # and the signal's number: what shells say of a program that it ended
WORDS = {
    signal.SIGINT: "Interrupted.",
    signal.SIGTERM: "Stopped from outside (SIGTERM).",
    signal.SIGHUP: "Stopped, as its terminal was closed (SIGHUP).",
}
_by_a_person = False


@contextmanager
def interruptible(
    words: Callable[[], str], grace: float = GRACE, tell: Callable[[str], object] = lambda how: None
) -> Iterator[None]:
    """Run a command in this block. After a signal it says `words` and ends, after `grace` seconds in any case.

    A second Ctrl-C ends it at once. What ignores a signal, as `nohup` lets it, goes on doing so. tell: called with how
    it was stopped, unless by Ctrl-C. A flow has its own handler of SIGTERM, which sends the signal again at its end.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread can have handlers
        yield
        return
    asked = 0

    def stop(number: int, _frame: FrameType | None) -> None:
        global _by_a_person
        nonlocal asked
        if asked:
            if number == signal.SIGINT:  # a terminal that closes may send SIGHUP twice
                _end(asked)
            return
        asked, _by_a_person = number, number == signal.SIGINT
        timer = threading.Timer(grace, _end, [number])
        timer.daemon = True
        timer.start()
        with suppress(OSError):  # a terminal that is gone
            after_bar = "\n" if _by_a_person or stream().isatty() else ""
            print(f"{after_bar}{WORDS[signal.Signals(number)]} {words()}", file=stream(), flush=True)
        raise KeyboardInterrupt

    ours = [one for one in WORDS if one is signal.SIGINT or signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, stop) for one in ours}
    try:
        yield
    except BaseException:
        if asked:  # whatever came of it, such as a server that is gone
            if not _by_a_person:
                tell(WORDS[signal.Signals(asked)])
            raise SystemExit(STATUS + asked) from None
        raise
    finally:
        if not asked:
            for one, handler in before.items():
                signal.signal(one, handler)


def is_by_a_person() -> bool:
    """Whether somebody has stopped this command: then nobody needs a message about it."""
    return _by_a_person


def _end(number: int) -> None:
    """End this process and those that it has started. number: the signal's."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.Error:
            continue
    os._exit(STATUS + number)
