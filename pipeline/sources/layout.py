"""Label the files of a source by their folders. Pure: knows paths, opens nothing.

Two layouts are valid: `<class>/**/<image>`, and the same below folders named after splits: `train/<class>/**/<image>`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.core.errors import NightshiftError
from pipeline.core.text import named
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
class Item:
    """An image with its label, and the other facts from its source."""

    label: str
    below: str  # its path below the label's folder
    file: Found
    known: tuple[tuple[str, str], ...] = ()  # columns of the side table: split, group, and any other

    @property
    def split(self) -> str:
        """`train`, `val`, `test`, or an empty text."""
        return dict(self.known).get("split", "")


def without_enclosing(files: Sequence[Found]) -> list[Found]:
    """The same files without the folders that enclose all of them, as in archives: `flowers/` in `flowers/rose/1.jpg`.

    A folder with images directly in it is a class, and a folder with a split's name is a split: both are kept.
    """
    stripped = list(files)
    while stripped:
        tops = {file.path.split("/")[0] for file in stripped}
        shallow = any(file.path.count("/") < 2 for file in stripped)
        if len(tops) > 1 or shallow or tops.pop().casefold() in SPLIT_OF:
            break
        stripped = [replace(file, path=file.path.split("/", 1)[1]) for file in stripped]
    return stripped


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
        return [Item(label_of(names[0]), "/".join(names[1:]), file) for file, names in parts]
    if stray := [file.path for file, names in parts if len(names) == 2]:
        raise SourceError(
            f"{len(stray):,} images of {source} are directly in a split's folder, without a class: {named(stray)}. "
            "The layout must be <split>/<class>/<image>. Move each into a folder named after its label; if "
            f"{splits[0]}/ itself is a class, name a table with the columns path and label instead."
        )
    items = []
    for file, (top, label, *below) in parts:
        split = SPLIT_OF[top.casefold()]
        items.append(Item(label_of(label), "/".join([split, *below]), file, (("split", split),)))
    return items
