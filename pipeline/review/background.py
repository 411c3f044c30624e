"""Work beside the clicks, on a thread of its own: the number that judgements give a night, and a better order."""

import threading
import weakref

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.review.session import Session

PAUSE = 5.0  # seconds between two looks at the judgements: a night of 10,000 rows is read in a tenth of one


class Background:
    """Runs until it is ended, or nobody has the session any more. A failure is a line in the log."""

    def __init__(self, session: Session) -> None:
        """session: whose order and number it keeps."""
        self._session, self._ended, self._counted = weakref.ref(session), threading.Event(), -1
        self._thread = threading.Thread(target=self._run, name="review", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """End, with the number as the last judgement leaves it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(PAUSE)
        self.count()

    def count(self) -> bool:
        """Say what the judgements so far come to, if there are new ones; whether the session is still there."""
        if (session := self._session()) is None:
            return False
        _, now = session.changed(0)
        if session.opened.accuracy and now != self._counted:
            self._counted = now
            try:
                session.accuracy = session.opened.accuracy(session.judgements)
            except (NightshiftError, OSError, ValueError) as error:
                log.warning("The night's accuracy could not be counted (%s: %s).", type(error).__name__, error)
        return True

    def arrange(self) -> None:
        """Show the images in the order that takes longer to find."""
        if (session := self._session()) is None or session.opened.arranged is None:
            return
        try:
            session.rearrange(session.opened.arranged())
        except (NightshiftError, OSError, ValueError) as error:
            log.warning("The images stay in their first order (%s: %s).", type(error).__name__, error)

    def _run(self) -> None:
        self.count()
        self.arrange()
        while not self._ended.wait(PAUSE) and self.count():
            pass
