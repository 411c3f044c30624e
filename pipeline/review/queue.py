"""Who looks at which image: the order of the images, and leases, so that two readers get different ones.

Leases are in memory only: after a restart of the server everybody takes again what they look at. Opens no file.
"""

import time
from collections.abc import Callable, Iterable

LEASE = 120.0  # seconds after a page's last sign of life in which nobody else gets its images


class Queue:
    """The images in the order in which they are shown, each to one page at a time. Not for several threads at once."""

    def __init__(self, order: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        """order: their SHA-256; clock: seconds."""
        self._order, self._clock = list(order), clock
        self._held: dict[str, tuple[str, float]] = {}  # SHA-256 -> page, until when
        self._first = 0  # all before it have been closed when last looked at

    def reorder(self, order: Iterable[str]) -> None:
        """Show them in another order from now on; leases stay."""
        self._order, self._first = list(order), 0

    def take(
        self, page: str, count: int, is_open: Callable[[str], bool], skipped: frozenset[str],
        order: Iterable[str] | None = None,
    ) -> list[str]:  # fmt: skip
        """The next `count` images for `page`, which holds them from now on and gives up its others.

        is_open: whether an image still waits; skipped: those that this page does not want now; order: another one.
        """
        now, found = self._clock(), list[str]()
        for image in self._order[self._first :] if order is None else order:
            if len(found) == count:
                break
            if is_open(image) and image not in skipped and self._is_free(image, page, now):
                found.append(image)
        while order is None and self._first < len(self._order) and not is_open(self._order[self._first]):
            self._first += 1
        self._held = {image: held for image, held in self._held.items() if held[0] != page and held[1] > now}
        self._held |= dict.fromkeys(found, (page, now + LEASE))
        return found

    def reopened(self) -> None:
        """Look from the beginning again: an image that was closed waits again."""
        self._first = 0

    def alive(self, page: str) -> None:
        """Keep what `page` holds."""
        until = self._clock() + LEASE
        self._held = {image: (who, until if who == page else end) for image, (who, end) in self._held.items()}

    def held_by(self, page: str) -> list[str]:
        """What `page` looks at."""
        now = self._clock()
        return [image for image, (who, until) in self._held.items() if who == page and until > now]

    def _is_free(self, image: str, page: str, now: float) -> bool:
        who, until = self._held.get(image, (page, now))
        return who == page or until <= now
