"""What time it is, and waiting, as an argument: a test lets a day pass in a second."""

import threading
from datetime import UTC, datetime
from typing import Protocol

from pipeline.core.errors import NightshiftError


class Stopped(NightshiftError):  # noqa: N818 - what happened
    """Somebody asked the collector to end."""


class Clock(Protocol):
    """The time, and a way to let it pass."""

    def now(self) -> datetime:
        """The time, UTC and aware."""

    def wait(self, seconds: float) -> None:
        """Return after so many seconds. Raises Stopped as soon as somebody asks the collector to end."""


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        """Nobody has asked for the end yet."""
        self.stop = threading.Event()

    def now(self) -> datetime:
        """The time, UTC and aware."""
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or raise Stopped."""
        if self.stop.wait(seconds):
            raise Stopped("The collector was asked to end.")
