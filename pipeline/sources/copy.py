"""Import labelled images from any source into `data/raw/<class>/`: first plan, then copy. Decodes no pixel.

An import never changes its source. It writes the side table before the images, and each image to a temporary file that
it then renames: a killed import leaves no partial image and no image without a row, and the same command completes it.
"""

import codecs
import os
import shutil
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path
from typing import BinaryIO

from pipeline.core.paths import METADATA, RAW
from pipeline.core.terminal import progress_bar
from pipeline.core.text import named, shown
from pipeline.data.labels import of_folder
from pipeline.data.side_table import as_named, merged, moved_rows, read_metadata, write_metadata
from pipeline.images.formats import POINTER_BYTES, what_instead
from pipeline.sources.foreign.opened import Hints
from pipeline.sources.foreign.said import judgements_of, keep_new
from pipeline.sources.import_plan import ImportingError, Placed, State, place, plan_import
from pipeline.sources.layout import Found, Item
from pipeline.sources.open import open_source
from pipeline.sources.project_labels import labels_in
from pipeline.sources.relabelled import Moved, Moves, find_moves, move
from pipeline.sources.source import Source
from pipeline.sources.staging import GB, PIECE, copy_images, link_image, renamed, size_in_words, staging
from pipeline.sources.typed import keep_typed
from pipeline.storage.addresses import local_path
from pipeline.storage.listing import in_dvc_cache, list_images

SETTLED_NS = 60_000_000_000  # more than the difference between two clocks
MAX_GB = 50.0


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import; each `Counter` is by label."""

    new: Counter[str]
    replaced: Counter[str]
    there: Counter[str]
    total: Counter[str]  # all images in data/raw now
    splits: Counter[tuple[str, str]]  # (label, split) of the source's images
    left_aside: int  # files of the source that are not images
    moved: tuple[Moved, ...] = ()  # images that had another label
    notes: tuple[str, ...] = ()  # on what a person may not expect


NOTHING = Imported(Counter(), Counter(), Counter(), Counter(), Counter(), 0)


def import_from(
    address: str, raw: Path = RAW, *, into: str = "", link: bool = False, replace: bool = False,
    new_label: bool = False, names: str = "", max_gb: float = MAX_GB, images: str = "", field: str = "",
) -> Imported:  # fmt: skip
    """Import the images at `address` into `raw`; see `sources` for the valid kinds.

    new_label: whether a review may have labels that the project does not have. names: the encoding of an archive's
    names, where it does not say it. images, field: see `foreign.opened.Hints`.
    Raises SourceError, AddressError, ImportingError, LabelError; nothing was written then, unless disk or
    network failed meanwhile.
    """
    _refuse_itself(address, raw)
    _refuse_encoding(names)
    ours = labels_in(raw)
    hints = Hints(images, field, raw)
    with staging(raw) as room, open_source(address, room, int(max_gb * GB), ours.folders, names, hints) as source:
        new = ours.missing(source.items)
        if source.typed and not new_label:
            ours.refuse_unknown(new, source.items, shown(address))
        said = judgements_of(source)  # while the images are where the source has them
        kept = keep_typed(source.judged, raw)
        done = NOTHING
        if source.items or not source.judged:  # a review may say of each image that it is of no use
            done = import_images(source, raw, room, into=into, link=link, replace=replace, max_gb=max_gb)
        return replaced(done, notes=(*done.notes, *kept, *keep_new(said, raw)))


def import_images(
    source: Source, raw: Path, room: Path, *, into: str = "", link: bool = False, replace: bool = False,
    max_gb: float = MAX_GB,
) -> Imported:  # fmt: skip
    """Import the images of an open source; `room` is a folder from `staging`."""
    if not source.items:
        raise ImportingError(
            " ".join(["There are no images in the source.", *source.notes])
            + " An image needs an image's extension (.jpg, .png, …) or an image's first bytes."
        )
    ours = labels_in(raw)
    new_labels = ours.missing(source.items)
    placed = place(source.items, into, ours.folders)
    plan = plan_import(placed, _states(placed, source, raw), replace)
    moves = find_moves(placed, source, raw, list_images(raw, in_dvc_cache) if raw.is_dir() else ())
    new_paths = [path for path in plan.new if path not in moves]
    todo = {path: placed[path] for path in (*new_paths, *plan.replaced)}
    _refuse_pointers(todo, source)
    if link:
        _check_links(todo, source, room)
    else:
        _check_room(todo, room, max_gb)
    rows = {path: dict(item.known) for path, item in placed.items() if item.known}
    _write_rows(rows, moves, raw, room)
    moved = move({now: before for now, before in moves.items() if now in plan.new}, raw)
    if link:
        for path, item in progress_bar(todo.items(), "link", unit="image"):
            link_image(Path(item.file.place), raw / path, room)
    else:
        copy_images(todo, source, raw, room, int(max_gb * GB))
    moved += move({now: before for now, before in moves.items() if now not in plan.new}, raw)
    new, replaced, there = (Counter(placed[path].label for path in paths)
                            for paths in (new_paths, plan.replaced, plan.there))  # fmt: skip
    return Imported(
        new,
        replaced,
        there,
        total=Counter(of_folder(listed.path.split("/")[0]) for listed in list_images(raw, in_dvc_cache)),
        splits=Counter((item.label, item.split) for item in placed.values() if item.split),
        left_aside=source.left_aside,
        moved=tuple(moved),
        notes=(*ours.said_of_new(new_labels, source.items), *source.notes),
    )


def _refuse_itself(address: str, raw: Path) -> None:
    folder = local_path(address)
    if folder is not None and folder.is_dir():
        source, target = folder.resolve(), raw.resolve()
        if source.is_relative_to(target) or target.is_relative_to(source):
            raise ImportingError(
                f"One of {shown(address)} and {raw} is inside the other. Images in {raw} are already the "
                "project's; to import others, name a folder outside of it."
            )


def _refuse_encoding(names: str) -> None:
    try:
        codecs.lookup(names or "utf-8")
    except LookupError:
        raise ImportingError(
            f"--names {shown(names)} is not an encoding that Python knows. Usual ones: gbk, shift_jis, big5, euc_kr, "
            "cp437, cp850, cp1251, cp1252."
        ) from None


def _states(placed: Placed, source: Source, raw: Path) -> dict[str, State]:
    """Which images exist already: compared by size, then, if the sizes are equal, by content."""
    states: dict[str, State] = {}
    alike: list[Item] = []
    paths = {id(item): path for path, item in placed.items()}
    for path, item in placed.items():
        file = raw / path
        try:
            about = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(about.st_mode):
            raise ImportingError(
                f"{file} is a folder, but an image of the source has the same name. Rename one of them."
            )
        if item.file.bytes is not None and item.file.bytes != about.st_size:
            states[path] = "other"
        elif is_settled(item.file, about):
            states[path] = "same"
        else:
            alike.append(item)
    if alike:
        compared = source.visit(alike, lambda item, stream: _has_content(raw / paths[id(item)], stream))
        for item, same in progress_bar(compared, "compare", len(alike), unit="image"):
            states[paths[id(item)]] = "same" if same else "other"
    return states


def is_settled(far: Found, about: os.stat_result) -> bool:
    """Whether a remote file has the size and time that an earlier import recorded here.

    False if it was written shortly before it was copied: servers report whole seconds, which can hide a second change.
    """
    same = (far.bytes, far.modified_ns) == (about.st_size, about.st_mtime_ns)
    return same and about.st_ctime_ns - about.st_mtime_ns > SETTLED_NS


def _has_content(file: Path, stream: BinaryIO) -> bool:
    with file.open("rb") as ours:
        while True:
            expected = ours.read(PIECE)
            given = _read_exactly(stream, len(expected) or 1)
            if given != expected:
                return False
            if not expected:
                return True


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or all there are: one read from a network may return fewer."""
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _refuse_pointers(todo: Placed, source: Source) -> None:
    """Refuse the small texts that Git LFS leaves where a clone did not fetch the files."""
    small = [item for item in todo.values() if item.file.bytes is not None and item.file.bytes < POINTER_BYTES]
    words = dict(source.visit(small, lambda _, stream: what_instead(_read_exactly(stream, POINTER_BYTES))))
    said = [(item, word) for item, word in words.items() if "pointer" in word]
    if said:
        what = said[0][1].removeprefix("not an image, but ")
        raise ImportingError(
            f"{len(said):,} of {len(todo):,} images are each {what} (for example {shown(said[0][0].file.path)}). "
            "Then run the same command again; nothing was copied."
        )


def _check_links(todo: Placed, source: Source, room: Path) -> None:
    if not source.local:
        raise ImportingError(
            "--link needs a source whose images are files on this machine; archives and addresses are not. Omit "
            "--link to copy the images."
        )
    disk = room.stat().st_dev
    if far := [item.file.place for item in todo.values() if Path(item.file.place).stat().st_dev != disk]:
        raise ImportingError(
            f"--link needs the images on the disk of the project; {len(far):,} are on another: {named(far)}. Omit "
            "--link to copy the images."
        )


def _check_room(todo: Placed, room: Path, max_gb: float) -> None:
    size = sum(item.file.bytes or 0 for item in todo.values())
    if size > max_gb * GB:
        raise ImportingError(
            f"The images are {size_in_words(size)}; the limit is {size_in_words(max_gb * GB)}. Nothing was copied.",
            "If that is right, set a higher limit with --max-gb.",
        )
    if size > (free := shutil.disk_usage(room).free):
        raise ImportingError(
            f"The images are {size_in_words(size)}; the disk of {room.parent} has {size_in_words(free)} free. "
            "Nothing was copied. Make room.",
            "Or add --link, if they are on the same disk.",
        )


def _write_rows(rows: Mapping[str, Mapping[str, str]], moves: Moves, raw: Path, room: Path) -> None:
    """Update the side table, if the source has anything for it; the row of an image that moves goes with it."""
    if not rows and not moves:
        return
    file = raw / METADATA.name
    before = read_metadata(file)
    paths = {*rows, *(listed.path for listed in list_images(raw, in_dvc_cache))} if len(before) else set(rows)
    after = merged(moved_rows(as_named(before, paths), moves), rows)
    if not after.equals(before):
        with renamed(file, room) as beside:
            write_metadata(beside, after)
