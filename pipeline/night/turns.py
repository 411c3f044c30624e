"""Who may decode: as many at a time as there are processors, while more threads wait for a disk. Decodes nothing."""

import threading
from collections.abc import Hashable


class Turns:
    """So many turns, in the order of asking, but for the one that is let in ahead of the others."""

    def __init__(self, count: int) -> None:
        """count: turns at a time."""
        self._free, self._waiting, self._lock = count, dict[Hashable, threading.Event](), threading.Lock()
        self._first: Hashable = None

    def take(self, who: Hashable) -> None:
        """Wait for a turn."""
        with self._lock:
            if self._free > 0 or who == self._first:
                self._free -= 1
                return
            mine = self._waiting[who] = threading.Event()
        mine.wait()

    def give_back(self) -> None:
        """End a turn."""
        with self._lock:
            self._free += 1
            if self._free > 0 and self._waiting:
                self._let_in(next(iter(self._waiting)))

    def let_in(self, who: Hashable) -> None:
        """Give a turn to `who` as soon as it asks for one, even if none is free."""
        with self._lock:
            self._first = who
            if who in self._waiting:
                self._let_in(who)

    def _let_in(self, who: Hashable) -> None:
        self._free -= 1
        self._waiting.pop(who).set()
