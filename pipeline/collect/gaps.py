"""Gaps: the times without a new picture of a source, as rows of gaps.csv, and in words. Takes no picture.

Time outside of a source's hours is never a gap. A gap that goes on has no end in the file.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path

from pipeline.collect.address import Kind, kind_of
from pipeline.collect.hours import Span, spans
from pipeline.core.log import log
from pipeline.params.collect import Collect, Source
from pipeline.storage.files import replacing

GAPS_CSV = "gaps.csv"
GAP_COLUMNS = ("from", "to", "reason")
NAMED = 5  # gaps of a source in words; the file has all


class Reason(StrEnum):
    """Why there is no new picture."""

    NO_ANSWER = "no answer"
    REFUSED = "refused login"
    DAMAGED = "damaged stream"
    FROZEN = "frozen"  # the same picture again
    BLACK = "black"
    DISK_FULL = "disk full"
    NOT_RUNNING = "not running"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a new picture."""

    start: datetime  # of the last new picture, or when the hours began; aware
    end: datetime | None  # None: it goes on
    reason: str

    def within(self, start: datetime, end: datetime) -> "Gap | None":
        """The part of it between two times; without an end where it goes on after the second."""
        if self.start >= end or (self.end and self.end <= start):
            return None
        return Gap(max(self.start, start), self.end if self.end and self.end <= end else None, self.reason)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is a gap of a source."""

    least: timedelta  # so long without a new picture
    window: tuple[time, time] | None = None  # its hours; None: always
    zone: tzinfo | None = None  # of these; None: this machine's
    waits: bool = False  # whether what it has waits for a collector: clips, which carry their own time

    def hours(self, start: datetime, end: datetime) -> list[Span]:
        """The parts of the time between that lie within the hours."""
        return spans(self.window, start, end, self.zone)

    def without_collector(self, since: datetime, now: datetime) -> list[Gap]:
        """The gaps of a time in which no collector ran and no picture came."""
        if self.waits:
            return []
        found = [one for one in self.hours(since, now) if one.end - one.start >= self.least]
        return [Gap(one.start, one.end, Reason.NOT_RUNNING) for one in found]


def rules_of(collect: Collect, source: Source) -> Rules:
    """What is a gap of a source: never less than the time between two pictures that are looked at."""
    waits = kind_of(source.address, os.environ) in (Kind.FOLDER, Kind.CLIP)
    return Rules(timedelta(seconds=max(collect.gap_of(source), 2 * source.spacing)), source.window, waits=waits)


class Gaps:
    """The gaps of a source as they come, and their file."""

    def __init__(self, file: Path, rules: Rules, now: datetime) -> None:
        """Read `file` where there is one. now: from here on, time without a picture counts."""
        self._file, self._rules = file, rules
        self._rows, self._saved = read_gaps(file), True
        self._since, self._reason = now, ""

    @property
    def open(self) -> Gap | None:
        """The gap that goes on."""
        return self._rows[-1] if self._rows and self._rows[-1].end is None else None

    def resume(self, alive: datetime, fine: datetime | None, now: datetime) -> None:
        """Write the gap that the collector's own absence was.

        alive: when a collector was last at work; fine: when it last had a picture, or needed none; None: never.
        """
        if self.open:
            self._close(max(alive, self.open.start))
            absent = replace(self._rules, least=timedelta()).without_collector(alive, now)
        else:
            absent = self._rules.without_collector(max(fine, self._last_end()) if fine else alive, now)
        self._rows += absent
        self._saved = self._saved and not absent
        self._since = now if absent or fine is None or self._rules.waits else fine
        self.save()

    def picture(self, at: datetime) -> None:
        """There is a new picture, which ends a gap."""
        if self.open:
            self._close(at)
        self._since, self._reason = at, ""

    def trouble(self, at: datetime, reason: str) -> Gap | None:
        """There is none, and this is why; returns the gap that begins with it, or goes on for another reason."""
        self._reason = reason
        return self.check(at)

    def check(self, at: datetime) -> Gap | None:
        """Whether a gap has begun meanwhile, and which."""
        reason, begun = self._reason or Reason.NO_ANSWER, None
        if self.open and self.open.reason != reason:
            self._close(at)
            begun = Gap(at, None, reason)
        elif not self.open and at - self._since >= self._rules.least:
            begun = Gap(self._since, None, reason)
        if begun:
            self._rows.append(begun)
            self._saved = False
        self.save()
        return begun

    def pause(self, at: datetime) -> None:
        """The hours of the source have ended, and a gap with them."""
        if self.open:
            self._close(max(at, self.open.start))

    def wake(self, at: datetime) -> None:
        """The hours of the source begin."""
        self._since, self._reason = at, ""

    def save(self) -> None:
        """Write the file if it lacks something. One that cannot be written now is written at the next look."""
        if self._saved:
            return
        try:
            write_gaps(self._file, self._rows)
        except OSError as error:  # the gap itself may be a full disk
            log.debug("%s could not be written: %s", self._file, error)
            return
        self._saved = True

    def _close(self, at: datetime) -> None:
        last = self._rows.pop()
        if at > last.start:
            self._rows.append(Gap(last.start, at, last.reason))
        self._saved = False
        self.save()

    def _last_end(self) -> datetime:
        return max((one.end for one in self._rows if one.end), default=datetime.min.replace(tzinfo=self._since.tzinfo))


def read_gaps(file: Path) -> list[Gap]:
    """The gaps in a gaps.csv, in its order; none where it is missing. A row that is none is left out with a warning."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        try:
            end = _moment(row["to"]) if row["to"] else None
            found.append(Gap(_moment(row["from"]), end, row["reason"]))
        except (KeyError, TypeError, ValueError) as error:
            log.warning("A row of %s is not a gap (%s): it is left out.", file, error)
    return found


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def write_gaps(file: Path, gaps: Iterable[Gap]) -> None:
    """Write gaps.csv, whole."""
    with replacing(file) as beside, beside.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(GAP_COLUMNS)
        writer.writerows((_text(one.start), _text(one.end) if one.end else "", one.reason) for one in gaps)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def in_words(source: str, gaps: Sequence[Gap], zone: tzinfo | None = None) -> str:
    """A source's gaps in a sentence, with local times: `gate-2: no picture from 01:10 to 03:40 (no answer)`."""
    parts = [_one_in_words(one, zone) for one in gaps[:NAMED]]
    more = f", and {len(gaps) - NAMED} more times" if len(gaps) > NAMED else ""
    return f"{source}: no picture {', '.join(parts)}{more}"


def _one_in_words(gap: Gap, zone: tzinfo | None) -> str:
    start = gap.start.astimezone(zone)
    if gap.end is None:
        return f"since {start:%Y-%m-%d %H:%M} ({gap.reason})"
    end = gap.end.astimezone(zone)
    if end - start >= timedelta(days=1):
        return f"from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({gap.reason})"
    return f"from {start:%H:%M} to {end:%H:%M} ({gap.reason})"
