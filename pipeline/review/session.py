"""A review at work: what waits, what is judged and by whom, and how far it is. Knows no browser and no HTTP.

`keep` has written every judgement to the disk before the session tells anybody. What others have kept meanwhile (an
import, another server) is read when the file has grown by more than our own lines.
"""

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.core.paths import JUDGEMENTS
from pipeline.data.judgements import Judgement, Judgements, every_judgement, keep, read_judgements
from pipeline.data.labels import clean, sameness
from pipeline.review.classes import why_not
from pipeline.review.clicks import Click
from pipeline.review.opened import Beside, Opened
from pipeline.review.queue import Queue
from pipeline.review.undo import history, name_of, restored
from pipeline.review.waiting import Waiting

PRESENT = 15.0  # seconds after a page's last sign of life in which its reader counts as here
PACE = 200  # of a reader's last judgements, from which the labels a minute are


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of an image, from all its readers."""

    kind: str  # label, reject, cannot_tell, differ
    label: str
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """How far one reader is."""

    name: str
    done: int
    here: bool
    a_minute: float | None  # labels


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the review is."""

    total: int
    done: int
    compared: int  # labelled images with a proposal
    agreed: int  # of them with the model
    differing: int  # images whose readers differ
    left: Mapping[str, int]  # proposed label -> images that wait, perhaps none any more
    readers: tuple[Reader, ...]
    accuracy: str = ""  # what the judgements come to, in words


class Session:
    """One review; its methods may be called by several threads."""

    def __init__(self, opened: Opened, file: Path = JUDGEMENTS, clock: Callable[[], float] = time.monotonic) -> None:
        """file: of the judgements. Raises JudgementsError, DiskError."""
        self.opened, self.epoch, self.accuracy = opened, secrets.token_hex(4), ""
        self.reading: Callable[[], bool] = lambda: False  # whether further images may still come
        self._file, self._clock, self._alone = file, clock, threading.RLock()
        self._known: dict[str, dict[str, Judgement]] = {}
        self._size = -1
        self._images: dict[str, Waiting] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._changes: list[str] = []
        self._pace: dict[str, deque[float]] = {}
        self._seen: dict[str, tuple[str, float]] = {}  # page -> its reader, when it was last heard of
        self._places: dict[str, str] = {}  # of the images beside
        self._own = {sameness(label): label for label in opened.labels}
        self._added: dict[str, str] = {}  # the same for labels that readers have made
        self.queue = Queue((), clock)
        self.update(opened.waiting)

    def update(self, waiting: Iterable[Waiting]) -> None:
        """Show these images from now on, in this order; what is judged stays judged."""
        with self._alone:
            images: dict[str, Waiting] = {}
            for one in waiting:  # a judgement belongs to the bytes: of equal files the first is shown
                images.setdefault(one.sha256, one)
            self._images = images
            self._places |= {one.sha256: one.place for of in self.opened.beside.values() for one in of}
            self.queue.reorder(images)
            self._size = -1
            self._follow()

    def rearrange(self, waiting: Sequence[Waiting]) -> None:
        """Show the same images in this order from now on."""
        with self._alone:
            self._images |= {one.sha256: one for one in waiting if one.sha256 in self._images}
            self.queue.reorder(dict.fromkeys(one.sha256 for one in waiting if one.sha256 in self._images))

    @property
    def images(self) -> Mapping[str, Waiting]:
        """All images of the review by SHA-256, in their order."""
        return self._images

    @property
    def judgements(self) -> Judgements:
        """All that counts, of these images and others."""
        with self._alone:
            return Judgements({sha256: dict(of) for sha256, of in self._known.items() if of})

    @property
    def labels(self) -> list[str]:
        """The labels to choose from: those that it was opened with, then those that readers have added."""
        return [*self.opened.labels, *self._added.values()]

    def spelled(self, label: str) -> str:
        """The label that a reader meant, as it is written here already; a new one as typed, without blanks around."""
        key = sameness(label)
        return self._own.get(key) or self._added.get(key) or clean(label)

    def add(self, judgements: Sequence[Judgement]) -> None:
        """Keep further judgements, such as those of a class that is renamed, and offer only labels that an image has.

        Raises DiskError.
        """
        with self._alone:
            keep(judgements, self._file)
            self._follow()
            said = (one.label for sha256 in self._images for one in self._known.get(sha256, {}).values() if one.label)
            self._added.clear()
            for label in said:
                if sameness(label) not in self._own:
                    self._added.setdefault(sameness(label), label)

    def place_of(self, sha256: str) -> str | None:
        """Where an image of the review, or one beside, is; None for any other."""
        found = self._images.get(sha256)
        return found.place if found else self._places.get(sha256)

    def show_beside(self, images: Iterable[Beside]) -> None:
        """Let these be shown too."""
        with self._alone:
            self._places |= {one.sha256: one.place for one in images}

    def verdict(self, sha256: str) -> Verdict | None:
        """What is known of an image; None: nothing."""
        return self._verdicts.get(sha256)

    def said(self, sha256: str) -> list[Judgement]:
        """What each reader says of an image; the latest comes last."""
        with self._alone:
            return sorted(self._known.get(sha256, {}).values(), key=lambda one: one.at)

    def judge(self, reader: str, clicks: Sequence[Click]) -> dict[str, str]:
        """Keep what a reader says; it is on the disk when this returns. Returns why, for each click that is refused.

        An empty reason: later, as its image may still come. A click that came before, and whose answer was lost, is
        not kept twice. Raises DiskError, and then none of them counts.
        """
        with self._alone:
            self._follow()
            refused = {one.click: why for one in clicks if (why := self._refusal(one)) is not None}
            new = self._judgements(reader, [one for one in clicks if one.click not in refused])
            keep(new, self._file)
            if self._file.exists():
                self._size = max(self._size, 0) + sum(len(one.line.encode()) for one in new)
                self._size = self._size if self._size == self._file.stat().st_size else -1
            for one in new:
                self._count(one)
            pace = self._pace.setdefault(reader, deque(maxlen=PACE))
            pace.extend(one.seconds for one in new if one.seconds is not None and not one.withdrawn)
            return refused

    def take(self, page: str, reader: str, count: int, skipped: frozenset[str], only: str = "") -> list[Waiting]:
        """The next images for a page, which nobody else gets while it is open.

        only: `differ`, where readers differ; `random`, in the order of the draw that measures.
        """
        with self._alone:
            self._follow()
            self._seen[page] = (reader, self._clock())

            def is_open(sha256: str) -> bool:
                found = self._verdicts.get(sha256)
                return found is None if only != "differ" else found is not None and found.kind == "differ"

            drawn = [one for one in self.opened.drawn if one in self._images]
            orders: dict[str, Iterable[str]] = {"random": drawn, "differ": self._images}
            taken = self.queue.take(page, count, is_open, skipped, orders.get(only))
            if only == "random":
                self._images |= {one: replace(self._images[one], chosen="random") for one in taken}
            return [self._images[image] for image in taken]

    def alive(self, page: str, reader: str) -> None:
        """A page is open; whatever it looks at stays its own."""
        with self._alone:
            self._seen[page] = (reader, self._clock())
            self.queue.alive(page)
            self._follow()

    def changed(self, since: int) -> tuple[list[str], int]:
        """The images about which more is known since a number that this gave, and the number now."""
        with self._alone:
            return list(dict.fromkeys(self._changes[since:])), len(self._changes)

    @property
    def progress(self) -> Progress:
        """How far the review is now."""
        with self._alone:
            waiting = Counter(one.proposed for sha256, one in self._images.items() if sha256 not in self._verdicts)
            left = {one.proposed: waiting[one.proposed] for one in self._images.values()}
            labelled = [(self._images[sha256], of) for sha256, of in self._verdicts.items() if of.kind == "label"]
            compared = [(one.proposed, of.label) for one, of in labelled if one.proposed]
            done = Counter(reader for of in self._verdicts.values() for reader in of.readers)
            return Progress(
                len(self._images), len(self._verdicts), len(compared),
                sum(sameness(proposed) == sameness(label) for proposed, label in compared),
                sum(of.kind == "differ" for of in self._verdicts.values()), left, self._readers(done),
                self.accuracy,
            )  # fmt: skip

    def _readers(self, done: Counter[str]) -> tuple[Reader, ...]:
        now = self._clock()
        here = {reader for reader, last in self._seen.values() if now - last <= PRESENT}
        return tuple(Reader(name, done[name], name in here, self._a_minute(name)) for name in sorted({*done, *here}))

    def _a_minute(self, reader: str) -> float | None:
        pace = self._pace.get(reader)
        return 60 * len(pace) / max(sum(pace), 0.1) if pace else None

    def _refusal(self, click: Click) -> str | None:
        """Why a click cannot be kept; None: it can."""
        if click.sha256 not in self._images:
            return "" if self.reading() else "its image is not in this review"
        return why_not(click.label) if click.label and sameness(click.label) not in self._own else None

    def _judgements(self, reader: str, clicks: Sequence[Click]) -> list[Judgement]:
        """What is new in them, in their order: one may take another of them back."""
        found: list[Judgement] = []
        undone = {one.sha256 for one in clicks if one.undoes}
        every = history(every_judgement(self._file), reader, undone) if undone else {}
        latest = {one.sha256: self._known.get(one.sha256, {}).get(reader) for one in clicks}
        for click in clicks:
            before = latest[click.sha256]
            at = max(datetime.now(UTC), before.at if before else datetime.min.replace(tzinfo=UTC))  # clocks step back
            said = [before] if before else []
            if click.sha256 in undone:
                said = [*every.get(click.sha256, ()), *(one for one in found if one.sha256 == click.sha256)]
            if any(name_of(one) == click.click for one in said) or (click.withdrawn and before is None):
                continue
            one = restored(said, click.undoes, click.click, at) if click.undoes else self._judgement(reader, click, at)
            if one:
                found.append(one)
                latest[click.sha256] = None if one.withdrawn else one
        return found

    def _judgement(self, reader: str, click: Click, at: datetime) -> Judgement:
        image = self._images[click.sha256]
        return Judgement.model_validate({
            "sha256": click.sha256, "path": image.path, "reader": reader, "source": image.source,
            "label": self.spelled(click.label) if click.label else "", "reject": click.reject,
            "cannot_tell": click.cannot_tell, "withdrawn": click.withdrawn, "seconds": click.seconds,
            "folder": image.folder, "model_version": image.model_version, "proposed": image.proposed,
            "chosen": "sweep" if click.swept else image.chosen, "click": click.click, "at": at,
        })  # fmt: skip

    def _follow(self) -> None:
        """Read the file again where somebody else has written into it."""
        size = self._file.stat().st_size if self._file.is_file() else 0
        if size == self._size:
            return
        found = read_judgements(self._file)
        self._size = size
        before, self._known = self._known, {sha256: dict(of) for sha256, of in found.by_image.items()}
        for sha256 in self._images:
            if before.get(sha256) != self._known.get(sha256) or sha256 not in self._verdicts:
                self._settle(sha256)

    def _count(self, one: Judgement) -> None:
        of = self._known.setdefault(one.sha256, {})
        of.pop(one.reader, None)
        if not one.withdrawn:
            of[one.reader] = one
        self._settle(one.sha256)

    def _settle(self, sha256: str) -> None:
        """Note what is known of an image now."""
        before = self._verdicts.pop(sha256, None)
        if of := self._known.get(sha256):
            agreed = Judgements({sha256: of}).agreed(sha256)
            kind = agreed.said[0] if agreed else "differ"
            self._verdicts[sha256] = Verdict(kind, agreed.label if agreed else "", tuple(of))
            for said in of.values():
                if said.label and sameness(said.label) not in self._own:
                    self._added.setdefault(sameness(said.label), said.label)
        if before and sha256 not in self._verdicts:
            self.queue.reopened()
        if before != self._verdicts.get(sha256):
            self._changes.append(sha256)
