"""Events of a night: pictures that one camera took shortly after another have one answer, a row of events.csv.

Knows rows of predictions.csv only, so that the same rows give the same events. An event's answer is the mean of its
images' probabilities (`model/ranked.py`). Its status:

  ok             a promise: it is at or above the threshold that is certified for events; of one image: that image's
  unsure         not that, or at least half of its images are outliers
  not_certified  a label, and no promise: several images, and the model has no certified threshold for events, or one is
                 a file of several frames, whose means that threshold was not measured on
  unreadable     no image of it could be read
"""

import csv
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.core.cells import frame_in, guarded, listed_path, unguarded
from pipeline.data.bursts import Clock, camera_of, moment_of
from pipeline.model.certificate import EventRule
from pipeline.model.doubt import LOW_CONFIDENCE, NOT_CERTIFIED, OUTLIER, REASONS
from pipeline.model.ranked import DIGITS, MeanAnswer
from pipeline.night.event_counts import EventCounts
from pipeline.night.rows import Row
from pipeline.storage.folders import Folder

EVENTS_CSV = "events.csv"
EVENT_COLUMNS = (
    "event", "start", "end", "camera", "images", "unreadable", "status", "label", "confidence", "flags", "best_image",
    "best_sha256",
)  # fmt: skip
EVENT_TEXTS = ("event", "camera", "label")  # any text; guarded in the CSV
EVENT_STATUSES = ("ok", "unsure", NOT_CERTIFIED, "unreadable")
SHOWN = 8  # on the morning page
_RANKS = ("", "_2", "_3")

_Best = tuple[float, str, str]  # probability, path, SHA-256


@dataclass(slots=True)
class _Burst:
    """Pictures of one clock so far. A time is a pair: seconds on that clock, and the text in the row."""

    start: tuple[float, str]
    end: tuple[float, str]
    mean: MeanAnswer
    images: int = 1
    outliers: int = 0
    is_of_frames: bool = False  # whether one of them is a file of several frames
    status: str = ""  # of its first readable image
    flags: str = ""
    best: dict[int, _Best] = field(default_factory=dict)  # class -> the image that shows it most surely

    def merge(self, other: "_Burst") -> None:
        """Take the pictures of `other` into account, which come later in the listing."""
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.mean.merge(other.mean)
        self.images += other.images
        self.outliers += other.outliers
        self.is_of_frames |= other.is_of_frames
        if not self.status:
            self.status, self.flags = other.status, other.flags
        for number, one in other.best.items():
            if number not in self.best or one[0] > self.best[number][0]:
                self.best[number] = one


class Events:
    """Gathers the rows of a night into events; keeps events in memory, no rows."""

    def __init__(self, class_names: Sequence[str], burst_seconds: float, rule: EventRule | None) -> None:
        """burst_seconds: used where the model has no rule, whose own it is otherwise."""
        self._names, self._rule = class_names, rule
        self._numbers = {name: number for number, name in enumerate(class_names)}
        self.burst_seconds = rule.burst_seconds if rule else burst_seconds
        self._bursts: dict[Clock, list[_Burst]] = {}  # by their starts; no two overlap
        self._starts: dict[Clock, list[float]] = {}
        self._without_time = 0
        self._frames_of = ""  # the file whose frames came last

    def add(self, row: Row) -> None:
        """Take a row into account; one without a time is in no event, and a frame is not a picture of its own."""
        path, frame = frame_in(row["path"])
        if frame:
            self._frames_of = path
            return
        camera = camera_of(row.get("camera", ""), listed_path(row["path"]))
        if (moment := moment_of(row.get("taken_at", ""), camera)) is None:
            self._without_time += 1
            return
        clock, at = moment
        bursts, starts = self._bursts.setdefault(clock, []), self._starts.setdefault(clock, [])
        found, place = self._of_one(row, at), bisect_right(starts, at)
        if place and at - bursts[place - 1].end[0] < self.burst_seconds:
            place -= 1
            bursts[place].merge(found)
        else:
            bursts.insert(place, found)
            starts.insert(place, at)
        after = place + 1
        if after < len(bursts) and starts[after] - bursts[place].end[0] < self.burst_seconds:
            bursts[place].merge(bursts.pop(after))
            starts.pop(after)
        starts[place] = bursts[place].start[0]

    def _of_one(self, row: Row, at: float) -> _Burst:
        when, mean = (at, row["taken_at"]), MeanAnswer(len(self._names))
        if not row["label"]:
            return _Burst(when, when, mean)
        ranked = [
            (self._numbers[row[f"label{rank}"]], float(row[f"confidence{rank}"]))
            for rank in _RANKS
            if row[f"label{rank}"]
        ]
        mean.add(ranked)
        flags = " ".join(flag for flag in row["flags"].split() if flag in REASONS)
        best = {number: (probability, row["path"], row["sha256"]) for number, probability in ranked}
        of_frames = row["path"] == self._frames_of
        return _Burst(when, when, mean, 1, OUTLIER in flags.split(), of_frames, row["status"], flags, best)

    def found(self) -> list[dict[str, str]]:
        """A row, in EVENT_COLUMNS, for each event, by start and camera."""
        every = [(burst.start, clock, burst) for clock, bursts in self._bursts.items() for burst in bursts]
        return [self._row(clock, burst) for _, clock, burst in sorted(every, key=lambda one: one[:2])]

    def _row(self, clock: Clock, burst: _Burst) -> dict[str, str]:
        readable = burst.mean.images
        status, flags, label, confidence, best = "unreadable", "", "", "", ("", "")
        if readable:
            number, mean = burst.mean.answer
            status, flags = self._judged(burst, mean)
            label, confidence, best = self._names[number], f"{mean:.{DIGITS}f}", burst.best[number][1:]
        name = " ".join(filter(None, (clock.camera, burst.start[1])))
        cells = (
            name, burst.start[1], burst.end[1], clock.camera, str(burst.images), str(burst.images - readable), status,
            label, confidence, flags, *best,
        )  # fmt: skip
        return dict(zip(EVENT_COLUMNS, cells, strict=True))

    def _judged(self, burst: _Burst, mean: float) -> tuple[str, str]:
        """Status and flags of an event with an answer."""
        if burst.mean.images == 1:
            return burst.status, burst.flags
        certified = self._rule is not None and self._rule.certificate.certified and not burst.is_of_frames
        low = self._rule is not None and certified and mean < self._rule.unsure_below
        outlier = 2 * burst.outliers >= burst.mean.images
        flags = " ".join([*[OUTLIER] * outlier, *[LOW_CONFIDENCE] * low])
        return "unsure" if flags else "ok" if certified else NOT_CERTIFIED, flags

    def counts(self, rows: Iterable[Row]) -> EventCounts | None:
        """What the summary says of these events; None where no picture has a time."""
        rows = list(rows)
        if not rows:
            return None
        statuses, labels = Counter(row["status"] for row in rows), Counter(row["label"] for row in rows if row["label"])
        several = any(int(row["images"]) > 1 for row in rows)
        words = self._rule.words if self._rule else (
            "Not certified: the model was validated on no event with several images. Train it on images that have "
            "their time."
        )  # fmt: skip
        return EventCounts(
            events=len(rows),
            images=sum(int(row["images"]) for row in rows),
            without_time=self._without_time,
            burst_seconds=self.burst_seconds,
            **{status: statuses[status] for status in EVENT_STATUSES},
            labels=dict(sorted(labels.items())),
            words=words if several else "",
        )


def write_events(output: Folder, rows: Sequence[Row]) -> None:
    """Write events.csv into `output`; without events, remove that of an earlier run."""
    if not rows:
        output.delete(EVENTS_CSV)
        return
    with output.replacing(EVENTS_CSV) as beside, beside.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(EVENT_COLUMNS)
        for row in rows:
            writer.writerow(guarded(row[name]) if name in EVENT_TEXTS else row[name] for name in EVENT_COLUMNS)


def read_events(output: Folder) -> list[dict[str, str]]:
    """The rows of events.csv in `output`; none where it is missing."""
    if not output.exists(EVENTS_CSV):
        return []
    with (output.path / EVENTS_CSV).open(encoding="utf-8", newline="") as source:
        return [
            {name: unguarded(cell) if name in EVENT_TEXTS else cell for name, cell in row.items()}
            for row in csv.DictReader(source)
        ]


def to_show(rows: Iterable[Row]) -> list[Row]:
    """At most SHOWN events for a page, by their start: of each label in turn, rare ones first, the surest."""
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        if row["label"]:
            by_label.setdefault(row["label"], []).append(row)
    turns = []
    for label, events in sorted(by_label.items(), key=lambda one: (len(one[1]), one[0])):
        surest = sorted(events, key=lambda row: (-float(row["confidence"]), -int(row["images"]), row["event"]))
        turns += [(turn, len(events), label, row) for turn, row in enumerate(surest[:SHOWN])]
    shown = [row for *_, row in sorted(turns, key=lambda one: one[:3])[:SHOWN]]
    return sorted(shown, key=lambda row: (row["start"], row["camera"]))


def best_images(events: Iterable[Row]) -> list[Row]:
    """The best images of these events, as `review.thumbnails` takes rows."""
    return [{"path": row["best_image"], "sha256": row["best_sha256"], "status": row["status"]} for row in events]
