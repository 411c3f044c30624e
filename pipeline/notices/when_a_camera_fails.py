"""Sends a message when a camera gives no pictures, while it does: at most one an hour for each. Knows no service."""

import threading
import time

from pipeline.collect.gaps import Gap
from pipeline.core.log import log
from pipeline.notices import messages
from pipeline.notices.send import tell

AT_MOST = 3600.0  # seconds between two messages about one camera: one with a loose plug has a gap every minute


class Watchman:
    """Remembers which camera people have heard of, and when."""

    def __init__(self) -> None:
        """Of none yet."""
        self._last: dict[str, float] = {}

    def gap(self, source: str, gap: Gap) -> None:
        """A gap of a source has begun. Sends in another thread: a mail server that hangs must not stop the cameras."""
        now = time.monotonic()
        if source in self._last and now - self._last[source] < AT_MOST:
            log.debug("%s: no message, as there was one within the hour.", source)
            return
        self._last[source] = now
        threading.Thread(target=tell, args=(lambda: messages.of_gap(source, gap),), name="message", daemon=True).start()
