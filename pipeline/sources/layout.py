"""Label the files of a source by their folders. Pure: knows paths, opens nothing.

Two layouts are valid: `<class>/**/<image>`, and the same below folders named after splits: `train/<class>/**/<image>`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pipeline.core.errors import NightshiftError
from pipeline.core.text import EXAMPLES, named, shown
from pipeline.data import labels
from pipeline.data.label_folders import label_of

SPLIT_OF = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


class SourceError(NightshiftError):
    """A source of images is not valid; the message says what we found, what we expected, and what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image file of a source, as it was when listed."""

    path: str  # below the source, `/` between the parts
    place: str  # how the source opens it: a file, an address, a member of an archive
    bytes: int | None = None  # None: unknown until it is read
    modified_ns: int | None = None  # of remote files, if the server reports it


@dataclass(frozen=True, slots=True)
class Said:
    """What a person has said of an image in another tool, and when."""

    reader: str  # `label-studio:3`
    at: datetime
    label: str
    seconds: float | None = None  # that it took


@dataclass(frozen=True, slots=True)
class Item:
    """An image with its label, and the other facts from its source."""

    label: str
    below: str  # its path below the label's folder
    file: Found
    known: tuple[tuple[str, str], ...] = ()  # columns of the side table: split, group, and any other
    said: tuple[Said, ...] = ()

    @property
    def split(self) -> str:
        """`train`, `val`, `test`, or an empty text."""
        return dict(self.known).get("split", "")


@dataclass(frozen=True, slots=True)
class LaidOut:
    """The images of a source with their labels, and what a person should know of how they were found."""

    items: list[Item]
    notes: tuple[str, ...] = ()


def lay_out(files: Sequence[Found], source: str, known: Collection[str] = ()) -> LaidOut:
    """The images with the labels and splits from their folders.

    known: the project's labels; a folder that encloses all others and has one of these names is a class.
    Raises SourceError when the folders are no such layout, LabelError when two of them are one label.
    """
    inner, enclosing = without_enclosing(files, known)
    items = by_folders(inner, source)
    notes = [_said_of(enclosing, source)] if enclosing else []
    return LaidOut(items, (*notes, *_nested(items)))


def without_enclosing(files: Sequence[Found], known: Collection[str] = ()) -> tuple[list[Found], str]:
    """The same files without the folders that enclose all of them, and the path of these: `flowers/` for `rose/1.jpg`.

    A folder with images directly in it is a class, and a folder with a split's name is a split: both are kept. So is
    one that is named as a label of `known`, unless the folders in it are as well.
    """
    ours = {labels.sameness(label) for label in known}
    stripped, enclosing = list(files), ""
    while stripped:
        tops = {file.path.split("/")[0] for file in stripped}
        shallow = any(file.path.count("/") < 2 for file in stripped)
        if len(tops) > 1 or shallow:
            break
        (top,) = tops
        below = {labels.sameness(label_of(file.path.split("/")[1])) for file in stripped}
        is_class = labels.sameness(label_of(top)) in ours and not below & ours
        if top.casefold() in SPLIT_OF or is_class:
            break
        stripped = [replace(file, path=file.path.split("/", 1)[1]) for file in stripped]
        enclosing += f"{top}/"
    return stripped, enclosing


def _said_of(enclosing: str, source: str) -> str:
    return (
        f"All images of {source} are in {shown(enclosing)}, so the folders in there are the classes. If "
        f"{shown(enclosing.rstrip('/').rpartition('/')[2])} itself is a class, give a table with the columns path and "
        "label instead."
    )


def _nested(items: Sequence[Item]) -> list[str]:
    """What to know of classes whose images are in several folders of their own. Raises SourceError for a second tree.

    An archive unpacked inside itself, as on Kaggle: `PV/cat/1.jpg` beside `PV/PV/cat/1.jpg`.
    """
    below: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        parts = item.below.split("/")[1 if item.split else 0 :]
        below[item.label].add(parts[0] if len(parts) > 1 else "")
    notes, several = [], []
    for label, folders in sorted(below.items()):
        others = {labels.sameness(other) for other in below if other != label}
        again = sorted(folder for folder in folders if labels.sameness(label_of(folder)) in others and folder)
        if again and len(again) == len(others):
            raise SourceError(
                f"The folder {shown(label)} holds the same classes again as stand beside it: {named(again)}. It is "
                "probably a second copy of them all, not a class. Move it away, or import that folder alone; nothing "
                "was copied."
            )
        if again:
            notes.append(
                f"The class {shown(label)} has folders named as other classes: {named(again)}. All images in there "
                f"are {shown(label)} now; if that is wrong, move them in data/raw."
            )
        elif len(folders - {""}) > 1:
            several.append(f"{shown(label)} of {len(folders - {''})} folders ({named(sorted(folders - {''}))})")
    if several:
        words = "; ".join(several[:EXAMPLES]) + (f"; and {len(several) - EXAMPLES} more" * (len(several) > EXAMPLES))
        notes.append(
            f"Classes that consist of several folders: {words}. If the folders are classes themselves, import the one "
            "around them alone."
        )
    return notes


def by_folders(files: Iterable[Found], source: str) -> list[Item]:
    """The images with the labels and splits from their folders.

    Raises SourceError when an image is outside every class folder, or folders are splits and classes at once.
    """
    parts = [(file, file.path.split("/")) for file in files]
    if stray := [file.path for file, names in parts if len(names) == 1]:
        raise SourceError(
            f"{len(stray):,} images are directly in {source}: {named(stray)}. Move each into a folder named after its "
            "label, or give a table with the columns path and label instead."
        )
    tops = sorted({names[0] for _, names in parts})
    splits = [top for top in tops if top.casefold() in SPLIT_OF]
    if len(splits) < len(tops):
        if len(splits) > 1:
            others = [top for top in tops if top not in splits]
            raise SourceError(
                f"{source} holds folders named after splits ({named(splits)}) beside others ({named(others)}). It must "
                "have either splits with a folder for each class in them, or a folder for each class. Move the others "
                "away, or give a table with the columns path, label and split instead."
            )
        labels.refuse_lookalikes(map(label_of, tops), source)
        return [Item(labels.of_folder(names[0]), "/".join(names[1:]), file) for file, names in parts]
    if stray := [file.path for file, names in parts if len(names) == 2]:
        raise SourceError(
            f"{len(stray):,} images of {source} are directly in a split's folder, without a class: {named(stray)}. "
            "The layout must be <split>/<class>/<image>. Move each into a folder named after its label; if "
            f"{splits[0]}/ itself is a class, name a table with the columns path and label instead."
        )
    labels.refuse_lookalikes({label_of(names[1]) for _, names in parts}, source)
    items = []
    for file, (top, label, *below) in parts:
        split = SPLIT_OF[top.casefold()]
        items.append(Item(labels.of_folder(label), "/".join([split, *below]), file, (("split", split),)))
    return items
