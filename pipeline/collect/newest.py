"""A thread reads a live source; whoever takes its frames always gets the newest one. Knows no protocol.

A camera sends whether or not somebody looks. What is not read in time waits in buffers, and every later frame comes
late. So a thread reads all of it, and keeps one item: the newest.
"""

from collections.abc import Callable, Iterator
from threading import Condition, Event, Thread
from time import monotonic
from typing import Generic, TypeVar

from pipeline.collect.address import Address
from pipeline.collect.frame import CHECK, Frame, SourceLost, Timeouts, Why

LOOK = 0.5  # seconds between two looks at `stop`
PARTING = 1.0  # seconds for the thread to end, once it is asked to; its own timeouts end it later

T = TypeVar("T")


class Newest(Generic[T]):
    """What the reading thread hands over: one item, which a newer one replaces."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.changed = Condition()
        self.item: T | None = None
        self.error: BaseException | None = None
        self.heard: float | None = None  # by the monotonic clock
        self.closed = Event()  # nobody takes items any more: the thread must end

    def hear(self) -> None:
        """The source has sent something, if only a part of a picture."""
        self.heard = monotonic()

    def put(self, item: T) -> None:
        """Replace the item."""
        with self.changed:
            self.hear()
            self.item = item
            self.changed.notify()

    def end(self, error: BaseException) -> None:
        """There will be no more."""
        with self.changed:
            self.error = error
            self.changed.notify()


def newest_frames(
    address: Address,
    read: Callable[[Newest[T]], SourceLost],
    frame_of: Callable[[T], Frame | None],
    *,
    every: float,
    timeouts: Timeouts,
    stop: Event | None,
) -> Iterator[Frame]:
    """The newest frames of what `read` puts, at least `every` seconds apart, until `stop` is set.

    read: runs in the thread until the source is lost, and returns why. frame_of: None where the item is damaged; then
    the next one is taken. Raises what `read` returns or raises, and SourceLost when nothing comes within the timeouts.
    """
    newest: Newest[T] = Newest()
    thread = Thread(target=_run, args=(read, newest), name=f"frames of {address}", daemon=True)
    due = started = monotonic()
    thread.start()
    try:
        while not (stop and stop.is_set()):
            item = _wait(newest, address, due, started, timeouts)
            if item is None or (frame := frame_of(item)) is None:
                continue
            taken = monotonic()
            yield frame
            due = next_due(due, taken, every)
    finally:
        newest.closed.set()
        thread.join(PARTING)


def next_due(due: float, taken: float, every: float) -> float:
    """When the next frame is wanted: times on a grid, which begins again where a whole step was missed."""
    return taken + every if taken - due > every else due + every


def _run(read: Callable[[Newest[T]], SourceLost], newest: Newest[T]) -> None:
    try:
        newest.end(read(newest))
    except BaseException as error:  # noqa: BLE001 - raised where the frames are taken
        newest.end(error)


def _wait(newest: Newest[T], address: Address, due: float, started: float, timeouts: Timeouts) -> T | None:
    """The next item that is due; None where there is none yet. Raises SourceLost."""
    with newest.changed:
        now = monotonic()
        if newest.item is not None and now >= due:
            item, newest.item = newest.item, None
            return item
        if newest.error is not None:
            raise newest.error
        silent = started + timeouts.connect if newest.heard is None else newest.heard + timeouts.read
        if now >= silent:
            raise SourceLost(address, Why.SILENT, _silence(newest.heard, timeouts))
        no_picture = due + timeouts.picture
        if now >= no_picture:
            raise SourceLost(
                address, Why.BROKEN, f"it sends data, but no whole picture for {timeouts.picture:g} seconds."
            )
        newest.changed.wait(min(silent, no_picture, now + LOOK, silent if newest.item is None else due) - now)
        return None


def _silence(heard: float | None, timeouts: Timeouts) -> str:
    if heard is None:
        return f"it did not answer within {timeouts.connect:g} seconds. {CHECK}"
    return f"it sent nothing for {timeouts.read:g} seconds. {CHECK}"
