"""The signs of life of a source's collector: for its folder, and for whoever started it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.collect.gaps import Gap
from pipeline.collect.kept import Kept
from pipeline.collect.state import State, write_state

BEAT = timedelta(minutes=1)  # between two in the folder


@dataclass(frozen=True, slots=True)
class Told:
    """What a collector tells whoever started it."""

    state: State
    kept: Kept | None = None  # a picture that was kept
    begun: Gap | None = None  # a gap that has begun


class Signs:
    """The state of a source as its collector sees it."""

    def __init__(self, folder: Path, now: datetime, tell: Callable[[Told], None]) -> None:
        """Tell gets every change."""
        self._folder, self._tell = folder, tell
        self._state, self._written = State(alive=now), datetime.min.replace(tzinfo=now.tzinfo)

    @property
    def state(self) -> State:
        """As of now."""
        return self._state

    def alive(self, now: datetime, *, at_once: bool = False) -> None:
        """The collector is at work. at_once: write it now, as it ends or begins."""
        self._change(alive=now)
        if at_once or now - self._written >= BEAT:
            self._written = now
            write_state(self._folder, self._state)
        self._tell(Told(self._state))

    def picture(self, at: datetime | None) -> None:
        """There was a new picture."""
        self._change(picture=at, fine=at, trouble="", again=None)

    def fine(self, at: datetime) -> None:
        """No new picture came, which does not count as a gap."""
        self._change(fine=at)

    def resume(self, before: State) -> None:
        """Begin with what the last collector of the source saw."""
        self._change(picture=before.picture, fine=before.fine)

    def kept(self, kept: Kept) -> None:
        """A picture was kept."""
        self._change(kept=self._state.kept + 1)
        self._tell(Told(self._state, kept=kept))

    def say(self, words: str, again: datetime | None = None) -> None:
        """Say why pictures are missing, and when the collector asks the source again."""
        if (self._state.trouble, self._state.again) != (words, again):
            self._change(trouble=words, again=again)
            self._tell(Told(self._state))

    def begun(self, gap: Gap) -> None:
        """A gap has begun."""
        self._tell(Told(self._state, begun=gap))

    def _change(self, **values: object) -> None:
        self._state = self._state.model_copy(update=values)
