"""What the file of another tool says of images, in one shape for all formats. Reads no file, finds no image."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.core.text import counted, named, shown
from pipeline.data import labels
from pipeline.sources.layout import SPLIT_OF, Said, SourceError

KEPT = 200  # characters of a value that a message shows
LONGEST = 86_400.0  # seconds at one image that can be meant


@dataclass(frozen=True, slots=True)
class Entry:
    """An image as the file names it, and what the file says of it."""

    path: str  # as written: relative, absolute or an address
    labels: tuple[str, ...] = ()  # more than one: of several objects, or of readers who differ
    split: str = ""  # train, val, test
    known: tuple[tuple[str, str], ...] = ()  # what else the file knows, as columns of the side table
    said: tuple[Said, ...] = ()
    others: tuple[str, ...] = ()  # what the image's file may be called instead


@dataclass(frozen=True, slots=True)
class Told:
    """All that the file of another tool says."""

    entries: Sequence[Entry]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """The images with one label each, those on which readers differ, and what a person should know of the others."""

    labelled: list[Entry]
    differing: list[Entry]
    left_out: int
    notes: list[str] = field(default_factory=list)


def settled(told: Told, name: str) -> Settled:
    """The images of a file by their label. Raises SourceError for one in two splits, LabelError for look-alikes."""
    merged = _merged(told.entries, name)
    labels.refuse_lookalikes({label for entry in merged for label in entry.labels}, name)
    without = [entry for entry in merged if not entry.labels]
    several = [entry for entry in merged if len(entry.labels) > 1]
    differing = [entry for entry in several if len({one.label for one in entry.said}) > 1]
    notes = [*told.notes]
    if without:
        notes.append(
            f"{counted(len(without), 'image')} of {name} without a label {'was' if len(without) == 1 else 'were'} left "
            f"out: {named(entry.path for entry in without)}."
        )
    if several:
        with_labels = [f"{entry.path} ({', '.join(entry.labels)})" for entry in several]
        notes.append(
            f"{counted(len(several), 'image')} of {name} {'has' if len(several) == 1 else 'have'} several labels: "
            f"{named(with_labels)}. Nightshift learns one label an image, so they were left out; give each one label "
            "there, or judge them here, and import again."
        )
    return Settled([entry for entry in merged if len(entry.labels) == 1], differing, len(without) + len(several), notes)


def _merged(entries: Iterable[Entry], name: str) -> list[Entry]:
    """Each image once, with all its labels."""
    by_path: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_path[entry.path].append(entry)
    if divided := [path for path, same in by_path.items() if len({entry.split for entry in same}) > 1]:
        raise SourceError(
            f"{name} has {counted(len(divided), 'image')} in two splits: {named(divided)}. An image must be in one. "
            "Correct the file; nothing was copied."
        )
    return [
        Entry(
            path,
            tuple(dict.fromkeys(one for entry in same for label in entry.labels if (one := labels.clean(label)))),
            same[0].split,
            same[0].known,
            tuple(one for entry in same for one in entry.said),
            tuple(dict.fromkeys(other for entry in same for other in entry.others)),
        )
        for path, same in by_path.items()
    ]


@dataclass(frozen=True, slots=True)
class At:
    """A place in a file, which messages name; takes values of the type that the format has there."""

    place: str  # `export.json, task 3`

    def refused(self, what: str) -> SourceError:
        """The error that says what is wrong here."""
        return SourceError(f"{self.place}: {what}. Correct it, or export the file again; nothing was copied.")

    def mapping(self, value: object, what: str) -> Mapping[str, object]:
        """`value`, which must be a JSON object."""
        if isinstance(value, dict):
            return value
        raise self._wrong(value, what, "an object")

    def sequence(self, value: object, what: str) -> Sequence[object]:
        """`value`, which must be a JSON list; null is an empty one."""
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self._wrong(value, what, "a list")

    def text(self, value: object, what: str) -> str:
        """`value`, which must be a text that is not empty."""
        if isinstance(value, str) and value:
            return self._unicode(value, what)
        raise self._wrong(value, what, "a text")

    def label(self, value: object, what: str) -> str:
        """`value`, which must be a text or a number; empty for null."""
        if value is None:
            return ""
        if isinstance(value, str):
            return self._unicode(value, what)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise self._wrong(value, what, "a text")

    def _unicode(self, value: str, what: str) -> str:
        if is_unicode(value):
            return value
        raise self.refused(f"{what} is {shown(value)[:KEPT]}, which is half a character of UTF-16")

    def _wrong(self, value: object, what: str, expected: str) -> SourceError:
        found = "missing" if value is None else f"{shown(repr(value)[:KEPT])}, but must be {expected}"
        return self.refused(f"{what} is {found}")


def is_unicode(text: str) -> bool:
    """Whether a text can be written: JSON can name a half of a pair of UTF-16 alone."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def said(reader: str, when: datetime | None, labels: Sequence[str], seconds: object = None) -> Said | None:
    """What a person has said, where it is one label, and it is known who said it and when."""
    if not (when and len(labels) == 1 and labels[0] and is_unicode(reader)):
        return None
    known = isinstance(seconds, int | float) and 0 <= seconds <= LONGEST
    return Said(reader, when, labels[0], float(seconds) if known else None)  # type: ignore[arg-type]


def time_of(value: object) -> datetime | None:
    """A time as the formats write it; one without a zone is UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def split_of(word: object) -> str:
    """The split that a word names; empty for any other."""
    return SPLIT_OF.get(word.casefold(), "") if isinstance(word, str) else ""


def chosen_field(found: Iterable[str], wanted: str, name: str, what: str) -> str:
    """The one of several questions, columns or jobs whose answers are the labels.

    wanted: the one that a person has named, or empty. Raises SourceError where it is not there, or nothing says which.
    """
    names = sorted(set(found))
    if wanted and wanted not in names:
        raise SourceError(f"{name} has no {what} {shown(wanted)}; it has {named(names) or 'none'}. Name one of these.")
    if wanted or not names:
        return wanted
    if len(names) > 1:
        raise SourceError(
            f"{name} has several {what}s: {named(names)}. Name the one whose answers are the labels with "
            "--label-field; nothing was copied."
        )
    return names[0]


def columns_of(values: Mapping[str, object], without: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The texts and numbers of `values` as columns of the side table."""
    left = {"path", "label", "split", "", *without}
    return tuple(
        (key, str(value))
        for key, value in values.items()
        if key not in left and isinstance(value, str | int | float) and not isinstance(value, bool)
        if is_unicode(key + str(value))
    )
