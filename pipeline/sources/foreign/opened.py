"""Open a file, a folder or an archive with labels of another tool as images with labels. Decides not where they go.

The images are beside the file, in a folder that a person names, in data/raw, or at the addresses themselves.
"""

import io
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.core.parallel import ordered_map
from pipeline.core.paths import RAW
from pipeline.core.text import counted, named, shown
from pipeline.data import labels
from pipeline.data.label_folders import folder_of
from pipeline.sources.foreign import camtrap_dp, camtrap_package, hugging_face
from pipeline.sources.foreign.content import Content, opened
from pipeline.sources.foreign.entries import Entry, Told, settled
from pipeline.sources.foreign.formats import FORMATS, format_of
from pipeline.sources.foreign.places import Images, placed
from pipeline.sources.layout import SPLIT_OF, Found, Item, SourceError
from pipeline.sources.source import THREADS, Files, below_common, look
from pipeline.storage.addresses import AddressError, is_address
from pipeline.storage.listing import in_dvc_cache, list_images

ENDINGS = (".json", ".jsonl", ".ndjson", ".manifest")  # of files that are nothing else


@dataclass(frozen=True, slots=True)
class Hints:
    """What a person has said of a file of labels, and where the project's own images are."""

    images: str = ""  # the folder that has them
    field: str = ""  # the question, column or job whose answers are the labels
    raw: Path = RAW


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Shelf:
    """What stands beside a file of labels."""

    open: Callable[[str], BinaryIO]  # by its path; raises KeyError or OSError without it
    images: Callable[[], Iterable[Found]]
    place: str  # for messages
    names: Collection[str] = ()  # of files that may be labels
    packed: bool = False  # an archive, which holds all of its images itself

    def content(self, path: str, name: str) -> Content | None:
        """The content of the file at `path`, which messages call `name`."""
        folder = path.rpartition("/")[0]
        at = f"{folder}/" if folder else ""
        return opened(lambda: self.open(path), name, lambda other: self._read(f"{at}{other}"))

    def _read(self, path: str) -> bytes:
        with self.open(path) as stream:
            return stream.read()


@dataclass(frozen=True, slots=True)
class Opened:
    """The images of a file of labels."""

    items: list[Item]
    differing: tuple[Item, ...]
    left_out: int
    notes: tuple[str, ...]


def of_folder(folder: Path, names: Collection[str] = ()) -> Shelf:
    """A folder on this machine; no link leads out of it."""
    root = folder.resolve()

    def open_in(path: str) -> BinaryIO:
        file = folder / path
        if not file.resolve().is_relative_to(root):
            raise KeyError(path)
        return file.open("rb")

    def images() -> list[Found]:
        return [Found(one.path, str(folder / one.path), one.bytes) for one in list_images(folder)]

    return Shelf(open_in, images, shown(str(folder)), names)


def of_bytes(data: bytes) -> Shelf:
    """A file at an address, whose images are at addresses or elsewhere."""
    return Shelf(lambda _: io.BytesIO(data), list, "the folder of the file")


def labels_in_file(shelf: Shelf, file: str, name: str, hints: Hints) -> Files | None:
    """The images of the file `file`, which messages call `name`; None when it is no file of labels of another tool.

    Raises SourceError for JSON that is of no known format, and for a file in which something is wrong.
    """
    content = shelf.content(file, name)
    if content is None:
        return None
    found = format_of(content)
    if found is None:
        if content.kind == "csv":
            return None
        raise SourceError(
            f"{name} is JSON, but its content is not of a format that Nightshift knows: "
            f"{'; '.join(one.title for one in FORMATS)}. Export it as one of these, or as a table with the columns "
            "path and label."
        )
    return _as_files(_located(found.read(content, hints.field), shelf, name, hints))


def labels_in_package(shelf: Shelf, name: str, hints: Hints) -> Opened | None:
    """The images of a folder or an archive that has its labels in a file of a fixed name; None without such a file."""
    root = _root(shelf.names)
    inner = replace(shelf, images=lambda: [replace(one, path=one.path.removeprefix(root)) for one in shelf.images()])
    if f"{root}{camtrap_package.PACKAGE}" in shelf.names:
        content = shelf.content(f"{root}{camtrap_package.PACKAGE}", f"{name}/{camtrap_package.PACKAGE}")
        if content is None or not camtrap_dp.recognise(content):
            return None
        return _located(camtrap_dp.read(content, hints.field), inner, name, hints)
    told = []
    for path in sorted(shelf.names):
        folder, _, file = path.removeprefix(root).rpartition("/")
        if path.startswith(root) and file in hugging_face.METADATA and folder.casefold() in ("", *SPLIT_OF):
            content = shelf.content(path, f"{name}/{path}")
            if content and hugging_face.recognise(content) and (hints.field or hugging_face.has_label(content)):
                found = hugging_face.read(content, hints.field)
                told.append(_below(found, folder))
    if not told:
        return None
    every = Told([entry for one in told for entry in one.entries], tuple(note for one in told for note in one.notes))
    return _located(every, inner, name, hints)


def package_files(folder: Path) -> list[str]:
    """The files below `folder` in which labels of its images may be."""
    names = [camtrap_package.PACKAGE, *hugging_face.METADATA]
    splits = [entry.name for entry in folder.iterdir() if entry.name.casefold() in SPLIT_OF]
    paths = [*names, *(f"{split}/{name}" for split in splits for name in hugging_face.METADATA)]
    return [path for path in paths if (folder / path).is_file()]


def _as_files(found: Opened) -> Files:
    return Files(found.items, found.left_out, notes=found.notes, differing=found.differing)


def _root(names: Collection[str]) -> str:
    """The path of the folders that enclose everything: `package/` for `package/datapackage.json`."""
    root, left = "", [name.split("/") for name in names]
    while left and len({parts[0] for parts in left}) == 1 and all(len(parts) > 1 for parts in left):
        if left[0][0].casefold() in SPLIT_OF:
            break
        root += f"{left[0][0]}/"
        left = [parts[1:] for parts in left]
    return root


def _below(told: Told, folder: str) -> Told:
    """The same, with paths below `folder`, which is of a split; of no folder as it is."""
    if not folder:
        return told
    split = SPLIT_OF[folder.casefold()]
    entries = [
        one if is_address(one.path) else replace(one, path=f"{folder}/{one.path}", split=split or one.split)
        for one in told.entries
    ]
    return Told(entries, told.notes)


def _located(told: Told, shelf: Shelf, name: str, hints: Hints) -> Opened:
    """The images of what a file says. Raises SourceError when it has no labels, or none of its images is found."""
    known = settled(told, name)
    entries = [*known.labelled, *known.differing]
    if not known.labelled:
        raise SourceError(" ".join([f"{name} has no image with one label.", *known.notes, "Nothing was copied."]))
    place = shown(hints.images) if hints.images else shelf.place
    found, missing, ambiguous = _found(entries, shelf, name, hints)
    notes = [*known.notes, *_not_found(entries, missing, ambiguous, name, place)]
    if not any(index in found for index in range(len(known.labelled))):
        raise SourceError(
            f"No image of {name} was found in {place}: "
            f"{named(entries[index].path for index in [*missing, *ambiguous])}. Name the folder that has them with "
            "--images FOLDER; nothing was copied."
        )
    items = _items({index: (entries[index], one) for index, one in found.items()}, None if shelf.packed else hints.raw)
    first = len(known.labelled)
    return Opened(
        [items[index] for index in sorted(items) if index < first],
        tuple(items[index] for index in sorted(items) if index >= first),
        known.left_out + len(missing) + len(ambiguous),
        tuple(notes),
    )


def _found(
    entries: Sequence[Entry], shelf: Shelf, name: str, hints: Hints
) -> tuple[dict[int, Found], list[int], list[int]]:
    if hints.images:
        if shelf.packed:
            raise SourceError(f"{name} is an archive, where --images has no place. Unpack it, and import the folder.")
        folder = Path(hints.images).expanduser()
        if is_address(hints.images) or not folder.is_dir():
            raise SourceError(
                f"--images {shown(hints.images)} is not a folder on this machine. Name the images' folder."
            )
        at = placed(entries, Images(of_folder(folder.absolute()).images(), name_is_enough=True), name)
        return dict(at.found), at.missing, at.ambiguous
    at = placed(entries, Images(shelf.images()), name)
    found, missing = dict(at.found), at.missing
    if shelf.packed:
        return found, missing, at.ambiguous
    if missing and hints.raw.is_dir():
        ours = [Found(one.path, str(hints.raw.absolute() / one.path), one.bytes)
                for one in list_images(hints.raw, in_dvc_cache)]  # fmt: skip
        there = placed([entries[index] for index in missing], Images(ours, whole_paths=True), name)
        found |= {missing[index]: one for index, one in there.found.items()}
        missing = [index for index in missing if index not in found]
    remote = [index for index in missing if is_address(entries[index].path)]
    found |= _at_addresses(entries, remote, alone=not found)
    return found, [index for index in missing if index not in found], at.ambiguous


def _at_addresses(entries: Sequence[Entry], indices: Sequence[int], *, alone: bool) -> dict[int, Found]:
    """The images that are nowhere on this machine, where their addresses answer.

    alone: no image was found here. Raises SourceError then, when the server does not let us read.
    """
    paths = [entries[index].path for index in indices]
    try:
        first = [look(path) for path in islice(paths, 1)]  # alone: one server that refuses is asked once
        looked = [*first, *ordered_map(look, paths[1:], THREADS)]
    except AddressError as error:
        if not alone:  # they are named as not found
            return {}
        raise SourceError(
            f"{error} Or fetch the images, and name the folder that has them with --images FOLDER; nothing was copied."
        ) from error
    return {index: found[0] for index, found in zip(indices, looked, strict=True) if found and found[1]}


def _not_found(
    entries: Sequence[Entry], missing: Sequence[int], ambiguous: Sequence[int], name: str, place: str
) -> list[str]:
    notes = []
    for indices, what in ((missing, "not found in {}"), (ambiguous, "left out, since several images of {} fit")):
        if indices:
            verb = "was" if len(indices) == 1 else "were"
            notes.append(
                f"{counted(len(indices), 'image')} of {name} {verb} {what.format(place)}: "
                f"{named(entries[index].path for index in indices)}. To import "
                f"{'it' if len(indices) == 1 else 'them'}, name the folder that has exactly these paths with --images, "
                "and run the same command again."
            )
    return notes


def _items(found: dict[int, tuple[Entry, Found]], raw: Path | None) -> dict[int, Item]:
    """The images with their label. Those of data/raw stay where they are, but for the folder of their label."""
    root = f"{raw.resolve()}{os.sep}" if raw else ""
    ours = {index: _absolute(one.place).removeprefix(root) for index, (_, one) in found.items()
            if root and _absolute(one.place).startswith(root)}  # fmt: skip
    below = below_common([one.place for index, (_, one) in found.items() if index not in ours])
    in_class = all(
        below[one.place].partition("/")[0] == folder_of(entry.labels[0]) and "/" in below[one.place]
        for index, (entry, one) in found.items()
        if index not in ours and len(entry.labels) == 1
    )
    items = {}
    for index, (entry, one) in found.items():
        label = entry.labels[0]
        if raw and index in ours:
            path = _moved(ours[index], label, raw)
        else:
            path = below[one.place].partition("/")[2] if in_class else below[one.place]
        split = (("split", entry.split),) if entry.split else ()
        items[index] = Item(label, path, one, (*split, *entry.known), entry.said)
    return items


def _absolute(place: str) -> str:
    return place if is_address(place) or place.startswith(os.sep) else str(Path(place).absolute())


def _moved(path: str, label: str, raw: Path) -> str:
    """The path below the label's folder of an image of data/raw; it says where it was if the name is taken there."""
    old, _, below = path.partition("/")
    if labels.of_folder(old) == label or not (raw / folder_of(label) / below).exists():
        return below
    name = PurePosixPath(below)
    return str(name.with_name(f"{name.stem} (from {old}){name.suffix}"))
