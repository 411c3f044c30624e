"""Which pictures are kept: one so often, one when something has changed; none that shows nothing, none twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.collect.gaps import Reason
from pipeline.collect.look import Glance, glance

STANDS = timedelta(minutes=30)  # so long the same but for its clock: longer than any group of pictures of a video
EARLY = 0.25  # seconds: frames come when the camera has them, and must not drift to every second one


@dataclass(frozen=True, slots=True)
class Wish:
    """Which pictures are kept; one of the first two is set."""

    every: float | None  # seconds
    change: float | None  # share of the picture, 0 to 1
    black: float  # mean brightness, 0 to 255, below which a picture shows nothing


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A picture that was looked at."""

    glance: Glance
    useless: Reason | None  # frozen or black
    why: str  # it is kept: every or change; empty: it is not


class Chooser:
    """Looks at the pictures of one source, in their order."""

    def __init__(self, wish: Wish) -> None:
        """Nothing was seen yet."""
        self._wish = wish
        self._before: Glance | None = None
        self._still: tuple[bytes, datetime | None] | None = None  # the middle of the last picture, and since when
        self._kept: Glance | None = None
        self._kept_at: datetime | None = None

    def look(self, pixels: NDArray[np.uint8], at: datetime | None) -> Seen:
        """Look at the next picture, (height, width, 3), RGB, 0..255. at: when it was taken; None: nobody knows."""
        seen, before = glance(pixels), self._before
        self._before = seen
        if seen.brightness < self._wish.black:
            return Seen(seen, Reason.BLACK, "")
        if (before and seen.is_again(before)) or self._stands(seen, at):
            return Seen(seen, Reason.FROZEN, "")
        return Seen(seen, None, self._why(seen, at))

    def keep(self, seen: Seen, at: datetime | None) -> None:
        """It was kept."""
        self._kept, self._kept_at = seen.glance, at

    def _stands(self, seen: Glance, at: datetime | None) -> bool:
        """Whether nothing but a clock at its edge has changed for long."""
        if self._still is None or self._still[0] != seen.middle:
            self._still = (seen.middle, at)
        since = self._still[1]
        return at is not None and since is not None and at - since >= STANDS

    def _why(self, seen: Glance, at: datetime | None) -> str:
        every, change = self._wish.every, self._wish.change
        if self._kept is None:
            return "every" if every else "change"
        if every and self._is_due(every, at):
            return "every"
        return "change" if change and seen.change(self._kept) >= change else ""

    def _is_due(self, every: float, at: datetime | None) -> bool:
        if at is None or self._kept_at is None:
            return self._wish.change is None
        return (at - self._kept_at).total_seconds() >= every - min(EARLY, every / 4)
