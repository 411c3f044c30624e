"""One camera for ever: connects, looks at each picture, keeps some, says what is missing, connects again.

It knows neither addresses nor processes: pictures come from a function, and what time it is from a clock.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from pipeline.collect import hours, retry
from pipeline.collect.choose import Chooser, Seen, Wish
from pipeline.collect.clock import Clock
from pipeline.collect.frame import Frame, SourceLost, Why
from pipeline.collect.gaps import GAPS_CSV, Gaps, Reason, Rules
from pipeline.collect.kept import Album, Kept
from pipeline.collect.room import NoRoomError, Room
from pipeline.collect.signs import Signs, Told
from pipeline.collect.state import read_state
from pipeline.core.disk_errors import WRITING
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.text import counted

STEP = 30.0  # seconds waited at a time, between two signs of life
REASONS = {Why.REFUSED: Reason.REFUSED, Why.BROKEN: Reason.DAMAGED}  # of every other: no answer
WORDS = {Reason.FROZEN: "it sends the same picture again and again", Reason.BLACK: "its pictures are black"}
CLOCKS_APART = timedelta(minutes=1)  # between a camera's clock and this machine's, before a warning


class NoPictureError(NightshiftError):
    """A source that was asked for one picture gave none."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the collector of a source works with."""

    album: Album
    rules: Rules
    wish: Wish
    room: Room
    clock: Clock
    tell: Callable[[Told], None]  # gets each change


def begin(tools: Tools, signs: Signs, gaps: Gaps) -> None:
    """Mend what a killed collector left, and write down how long none was at work."""
    now, found = tools.clock.now(), tools.album.recover()
    if found:
        log.info("A collector was killed before it could write %s of collected.csv: written.", counted(found, "line"))
    if before := read_state(tools.album.folder):
        gaps.resume(max(before.alive, before.fine or before.alive), before.fine, now)
        signs.resume(before)
    signs.alive(now, at_once=True)


class Collector:
    """The collector of one live source."""

    def __init__(self, tools: Tools, connect: Callable[[], Iterator[Frame]], random: Random | None = None) -> None:
        """connect: gives the source's pictures; ends, or raises SourceLost."""
        self._tools, self._clock, self._rules = tools, tools.clock, tools.rules
        self._connect, self._random = connect, random or Random()  # noqa: S311 - not a secret
        self._chooser, now = Chooser(tools.wish), tools.clock.now()
        self._signs = Signs(tools.album.folder, now, tools.tell)
        self._gaps = Gaps(tools.album.folder / GAPS_CSV, tools.rules, now)
        self._failures, self._said_clock = 0, False

    def run(self, until: datetime | None = None) -> None:
        """Collect until then; None: for ever. Raises Stopped when somebody asks for the end."""
        begin(self._tools, self._signs, self._gaps)
        try:
            while until is None or self._clock.now() < until:
                self._wait_for_hours(until)
                lost = self._take_all(until)
                if self._is_open(now := self._clock.now()) and (until is None or now < until):
                    self._rest(lost)
        finally:
            self._signs.alive(self._clock.now(), at_once=True)

    def once(self) -> Kept:
        """Keep one picture, whatever the hours. Raises SourceLost or NoPictureError when there is none."""
        self._tools.album.recover()
        for frame in self._connect():
            kept = self._tools.album.keep(frame, "once")
            self._signs.kept(kept)
            return kept
        raise NoPictureError("The source ended the connection before it sent a picture. Check its address.")

    def _is_open(self, now: datetime) -> bool:
        return hours.opens(self._rules.window, now, self._rules.zone) == now

    def _wait_for_hours(self, until: datetime | None) -> None:
        now = self._clock.now()
        opens = hours.opens(self._rules.window, now, self._rules.zone)
        if opens <= now:
            return
        self._signs.say(f"outside of its hours until {opens.astimezone(self._rules.zone):%H:%M}")
        while (now := self._clock.now()) < opens and (until is None or now < until):
            self._clock.wait(min(STEP, (opens - now).total_seconds()))
            self._signs.alive(self._clock.now())
        self._gaps.wake(opens)
        self._signs.say("")

    def _take_all(self, until: datetime | None) -> SourceLost | None:
        """Take pictures until the source is lost, or its hours or `until` are over; returns how it was lost."""
        began, seen, lost = self._clock.now(), False, None
        end = hours.closes(self._rules.window, began, self._rules.zone)
        stop = min([one for one in (end, until) if one], default=None)
        try:
            for frame in self._connect():
                now, seen = self._clock.now(), True
                if stop and now >= stop:
                    break
                self._see(frame, now)
                self._signs.alive(now)
        except SourceLost as found:
            lost = found
        now = self._clock.now()
        if end and now >= end:
            self._gaps.pause(end)
        if seen and (now - began).total_seconds() >= retry.STEADY:
            self._failures = 0
        return lost

    def _see(self, frame: Frame, now: datetime) -> None:
        seen = self._chooser.look(frame.pixels, now)
        if seen.useless:
            self._trouble(now, seen.useless, WORDS[seen.useless])
        elif self._store(frame, seen, now):
            if self._gaps.open:
                log.info("There are pictures again.")
            self._gaps.picture(now)
            self._signs.picture(now)
            self._compare_clocks(frame)

    def _store(self, frame: Frame, seen: Seen, now: datetime) -> bool:
        """Write a picture, if it is kept; says whether there is room for pictures."""
        if not seen.why and not self._gaps.open:
            return True
        try:
            self._tools.room.require(now)
            kept = self._tools.album.keep(frame, seen.why) if seen.why else None
        except (OSError, NoRoomError) as error:
            if isinstance(error, OSError) and error.errno not in WRITING:
                raise
            words = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            self._trouble(now, Reason.DISK_FULL, words)
            return False
        if kept:
            self._chooser.keep(seen, now)
            self._signs.kept(kept)
        return True

    def _compare_clocks(self, frame: Frame) -> None:
        told = frame.source_time
        if told and abs(told - frame.arrived_at) > CLOCKS_APART and not self._said_clock:
            self._said_clock = True
            log.warning(
                "Its clock says %s, this machine's %s. Files are named by this machine's; collected.csv has both. "
                "Let the camera set its clock by NTP.", told.isoformat(timespec="seconds"),
                frame.arrived_at.isoformat(timespec="seconds"),
            )  # fmt: skip

    def _trouble(self, now: datetime, reason: Reason, words: str, again: datetime | None = None) -> None:
        begun = self._gaps.trouble(now, reason)
        self._signs.say(words, again)
        if begun:
            log.warning("No picture since %s: %s.", f"{begun.start.astimezone(self._rules.zone):%H:%M}", words)
            self._signs.begun(begun)

    def _rest(self, lost: SourceLost | None) -> None:
        """Wait before the source is asked again: longer after each failure."""
        self._clock.wait(0)  # the source may have ended because somebody asked for the end
        self._failures += 1
        why, words = (lost.why, lost.reason.rstrip(".")) if lost else (Why.ENDED, "it ended the connection")
        seconds = retry.pause(self._failures, self._random, refused=why is Why.REFUSED)
        if self._failures == 1:
            log.info("%s. It is asked again, in %.0f s at first.", words, seconds)
        again = self._clock.now() + timedelta(seconds=seconds)
        while (now := self._clock.now()) < again:
            self._trouble(now, REASONS.get(why, Reason.NO_ANSWER), words, again)
            self._clock.wait(min(STEP, (again - now).total_seconds()))
            self._signs.alive(self._clock.now())
