"""A limit on the pixels that all threads of a process decode at a time. Decodes nothing itself.

A large picture takes hundreds of megabytes while it is decoded, and a machine may have 64 threads. Each picture claims
its pixels before memory is allocated; while too many are claimed, others wait.
"""

import threading
import time

MOST = 400_000_000  # pixels, of some 6 bytes while they become RGB; one larger picture may be decoded alone
PATIENCE = 20.0  # seconds to wait at most: a decoder that hangs must not stop the others, whose files have a timeout


class Pixels:
    """The pixels that threads are decoding."""

    def __init__(self, most: int = MOST, patience: float = PATIENCE) -> None:
        """most: pixels at a time."""
        self._most, self._patience = most, patience
        self._used, self._free, self._mine = 0, threading.Condition(), threading.local()

    @property
    def used(self) -> int:
        """The pixels that are claimed now."""
        return self._used

    def claim(self, pixels: int) -> None:
        """Claim so many in all for this thread's picture; wait while others use them."""
        with self._free:
            mine, until = self._claimed, time.monotonic() + self._patience
            more = max(0, pixels - mine)
            while more and self._used > mine and self._used + more > self._most:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._free.wait(left)
            self._used += more
            self._mine.pixels = mine + more

    def release(self) -> None:
        """Give back what this thread has claimed."""
        with self._free:
            self._used -= self._claimed
            self._mine.pixels = 0
            self._free.notify_all()

    @property
    def _claimed(self) -> int:
        return int(getattr(self._mine, "pixels", 0))


IN_FLIGHT = Pixels()
