"""Images of a source that data/raw holds under another label: the new label counts, and the image moves there.

An image is its content. Only images of equal size are read to compare them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.core.terminal import progress_bar
from pipeline.core.text import named, shown
from pipeline.data import labels
from pipeline.sources.import_plan import ImportingError, Placed
from pipeline.sources.layout import Item
from pipeline.sources.source import Source
from pipeline.storage.files import sha256_of_file
from pipeline.storage.listing import Listed

PIECE = 1 << 20  # bytes read at once
Moves = Mapping[str, tuple[str, ...]]  # path that an image gets -> the paths it has under other labels; below data/raw


@dataclass(frozen=True, slots=True)
class Moved:
    """An image that has another label now."""

    before: str  # path below data/raw
    now: str


def find_moves(placed: Placed, source: Source, raw: Path, ours: Iterable[Listed]) -> Moves:
    """The images of `placed` that are in `ours`, the images of data/raw, under another label.

    Raises ImportingError when the source itself has such an image under both labels.
    """
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for listed in ours:
        by_size[listed.bytes].append(listed.path)

    def others(item: Item) -> list[str]:
        return [path for path in by_size.get(item.file.bytes or -1, []) if _label(path) != item.label]

    paths = {id(item): path for path, item in placed.items()}
    doubtful = [item for item in placed.values() if others(item)]
    given = progress_bar(
        source.visit(doubtful, sha256_of), "compare", len(doubtful), unit="image", disable=not doubtful
    )
    digests = {paths[id(item)]: digest for item, digest in given}
    known: dict[str, str] = {}
    moves: dict[str, tuple[str, ...]] = {}
    for path, digest in sorted(digests.items()):
        for other in others(placed[path]):
            if other not in known:
                known[other] = sha256_of_file(raw / other)
        if same := tuple(sorted(other for other in others(placed[path]) if known[other] == digest)):
            moves[path] = same
    _refuse_two_labels(moves, placed, digests)
    free = {path for same in moves.values() for path in same}
    first: dict[str, tuple[str, ...]] = {}
    for path, same in moves.items():  # of several copies in the source the first one takes its place
        if mine := tuple(other for other in same if other in free):
            first[path] = mine
            free -= set(mine)
    return first


def _refuse_two_labels(moves: Moves, placed: Placed, digests: Mapping[str, str]) -> None:
    of: dict[str, str] = {}
    for path in moves:
        rivals = [other for other in moves[path] if other in placed]
        rival = of.setdefault(digests[path], path)
        if placed[rival].label != placed[path].label:
            rivals.append(rival)
        if rivals:
            raise ImportingError(
                f"The source has the same image under two labels: {shown(placed[path].file.path)} "
                f"({shown(placed[path].label)}) and {shown(placed[rivals[0]].file.path)} "
                f"({shown(placed[rivals[0]].label)}). Decide which is right and delete the other; nothing was copied."
            )


def move(moves: Moves, raw: Path) -> list[Moved]:
    """Move each image to its new path; where that has the image already, delete the old ones."""
    done = []
    for now, before in moves.items():
        for path in before:
            if (raw / now).exists():
                (raw / path).unlink()
            else:
                (raw / now).parent.mkdir(parents=True, exist_ok=True)
                if (raw / path).is_symlink():  # into DVC's cache; it may be relative
                    (raw / now).symlink_to((raw / path).resolve())
                    (raw / path).unlink()
                else:
                    (raw / path).rename(raw / now)
            done.append(Moved(path, now))
            for folder in (raw / path).parents:
                if folder == raw:
                    break
                with suppress(OSError):  # it holds other images
                    folder.rmdir()
    return done


def moved_lines(moved: Iterable[Moved]) -> list[str]:
    """What moved, in one line; none where nothing did."""
    every = list(moved)
    if not every:
        return []
    names = named(f"{one.before} -> {one.now}" for one in every)
    images = "1 image that has" if len(every) == 1 else f"{len(every):,} images that have"
    return [f"Moved {images} another label now: {names}"]


def _label(path: str) -> str:
    return labels.of_folder(path.split("/", 1)[0])


def sha256_of(item: Item, stream: BinaryIO) -> str:
    """SHA-256 of an image's bytes."""
    found = hashlib.sha256()
    while piece := stream.read(PIECE):
        found.update(piece)
    return found.hexdigest()
