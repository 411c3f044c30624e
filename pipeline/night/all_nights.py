"""The page of all nights in predictions/: each with its verdict and a link to its morning page. Judges no image.

It is written again whenever one of these nights draws its morning page, from their summaries and unfinished runs. What
cannot be read is left out: another night's file must not stop this one.
"""

import datetime
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.pages import render
from pipeline.core.paths import PREDICTIONS
from pipeline.core.text import named, shown
from pipeline.night.accuracy import read_accuracy
from pipeline.night.at_work import Unfinished, unfinished
from pipeline.night.neighbours import ALL_NIGHTS, MORNING
from pipeline.night.outputs import is_in_predictions
from pipeline.night.summary import SUMMARY, NightSummary, SummaryError, read_summary
from pipeline.night.verdict import raised
from pipeline.params.night import Batch
from pipeline.storage.files import replacing
from pipeline.storage.folders import folder_at

PAGE = PREDICTIONS / ALL_NIGHTS
TEMPLATE = "night/all_nights.html"
SHOWN = 100  # the newest
GOOD, DOUBT, BAD = "good", "doubt", "bad"  # classes of the page's style


@dataclass(frozen=True, slots=True)
class Entry:
    """A night in a line."""

    began: str  # ISO 8601
    folder: str  # its name in predictions/, which may hold any byte
    kind: str  # GOOD, DOUBT, BAD
    verdict: str
    why: str
    model: str
    done: str  # files
    input: str
    counts: dict[str, int]  # status -> rows; none of an unfinished night
    accuracy: str = ""  # of its `ok` rows, where people have judged enough

    @property
    def name(self) -> str:
        """The folder's name for a person."""
        return shown(self.folder)

    @property
    def address(self) -> str:
        """Where its morning page is, from the page of all nights; empty without one."""
        page = PREDICTIONS / self.folder / MORNING
        return f"{quote(os.fsencode(self.folder))}/{MORNING}" if self.counts and page.is_file() else ""


def write_all_nights(batch: Batch) -> None:
    """Write the page. batch: the limits, as they are now. One that cannot be written is a warning."""
    try:
        if PAGE.is_dir():  # a night that somebody gave this name: it must not be replaced
            raise IsADirectoryError(errno.EISDIR, "it is a folder; rename it", str(PAGE))
        written = page(batch, datetime.datetime.now(datetime.UTC))
        with replacing(PAGE) as beside:
            beside.write_text(written, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError, OverflowError, NightshiftError) as error:
        log.warning("%s could not be written (%s: %s).", PAGE, type(error).__name__, error)


def page(batch: Batch, now: datetime.datetime) -> str:
    """The page of the nights in predictions/ as they are `now`."""
    entries, unread = entries_of(batch)
    return render(
        TEMPLATE,
        project=shown(Path.cwd().name),
        now=now.isoformat(timespec="seconds"),
        entries=entries[:SHOWN],
        nights=len(entries),
        to_look_at=sum(bool(one.counts) and one.kind != GOOD for one in entries),
        unfinished=sum(not one.counts for one in entries),
        unread=named(sorted(unread)),
    )


def entries_of(batch: Batch) -> tuple[list[Entry], list[str]]:
    """The nights in predictions/, the newest first, and the names of folders whose summary cannot be read."""
    finished, unread = _finished()
    entries = [_finished_entry(name, summary, batch) for name, summary in finished.items()]
    entries += [_unfinished_entry(night) for night in _unfinished(finished)]
    entries.sort(key=lambda one: (datetime.datetime.fromisoformat(one.began), one.folder), reverse=True)
    return entries, unread


def _finished() -> tuple[dict[str, NightSummary], list[str]]:
    """The finished nights by their folders' names, and the names of folders whose summary cannot be read."""
    nights, unread = {}, []
    for file in PREDICTIONS.glob(f"*/{SUMMARY}"):
        name = file.parent.name
        if name.startswith("."):  # going: being deleted, or written
            continue
        try:
            if summary := read_summary(folder_at(file.parent)):
                nights[name] = summary
        except (SummaryError, OSError):
            unread.append(name)
    return nights, unread


def _unfinished(finished: dict[str, NightSummary]) -> Iterator[Unfinished]:
    for night in unfinished():
        name = night.output.name
        if not is_in_predictions(night.output) or name.startswith(".") or not (night.run or night.begun):
            continue
        summary = finished.get(name)
        # A night writes its summary, then its pages, and closes its ledger last.
        if not (night.run and summary and summary.started_at == night.run.plan.started_at):
            yield night


def _finished_entry(name: str, summary: NightSummary, batch: Batch) -> Entry:
    alarms = raised(summary, batch)
    kind = GOOD if not alarms else DOUBT if summary.reconciled else BAD
    return Entry(
        summary.started_at, name, kind, "Needs a person" if alarms else "All is well",
        ", ".join(dict.fromkeys(alarm.about for alarm in alarms)),
        f"{summary.model_name} version {summary.model_version}", f"{summary.listed:,}", summary.input, summary.counts,
        found.figures if (found := read_accuracy(folder_at(PREDICTIONS / name), summary)) else "",
    )  # fmt: skip


def _unfinished_entry(night: Unfinished) -> Entry:
    plan = night.run.plan if night.run else None
    began = plan.started_at if plan else night.begun.began if night.begun else ""
    why = "killed" if night.killed else "at work when this page was written" if night.is_at_work else "stopped"
    return Entry(
        began, night.output.name, BAD if night.killed else DOUBT, "Not finished", why,
        f"{plan.model_name} version {plan.model_version}" if plan else "", _progress(night), shown(night.source), {},
    )  # fmt: skip


def _progress(night: Unfinished) -> str:
    if not night.run:
        return ""
    try:
        return f"{night.run.counted():,} of {night.run.plan.files:,}"
    except (NightshiftError, OSError):  # its disk has lost the lists of files
        return f"some of {night.run.plan.files:,}"
