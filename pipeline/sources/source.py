"""A source of labelled images: what it answers, and one whose images are separate files, here or at addresses."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import unquote

from pipeline.core.hidden import is_hidden
from pipeline.core.parallel import ordered_map
from pipeline.data.judgements import Judgement
from pipeline.data.label_folders import folder_of
from pipeline.images.formats import MAGIC_BYTES
from pipeline.sources.layout import Found, Item
from pipeline.storage.addresses import explained, filesystem, is_address, modified_ns_of, open_remote, size_of
from pipeline.storage.listing import is_image

T = TypeVar("T")
THREADS = 8  # a server answers several requests as fast as one; for a disk it does not matter


class Source(Protocol):
    """A source of labelled images."""

    @property
    def items(self) -> Sequence[Item]:
        """All images, in a fixed order."""

    @property
    def left_aside(self) -> int:
        """The number of files that are not images."""

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of what was found."""

    @property
    def differing(self) -> Sequence[Item]:
        """Images on which people in another tool differ: not imported, but what they said is kept."""

    @property
    def judged(self) -> Sequence[Judgement]:
        """What a person has typed of images into a review."""

    @property
    def typed(self) -> bool:
        """Whether a person typed each label, so that one the project does not have is rather a slip."""

    @property
    def local(self) -> bool:
        """Whether each image is a local file, with its path as place."""

    def visit(self, items: Iterable[Item], act: Callable[[Item, BinaryIO], T]) -> Iterator[tuple[Item, T]]:
        """Call `act` with each item and its bytes; yields the results as they come, in any order."""


@dataclass(frozen=True)
class Files:
    """Images that are separate files, read by a few threads."""

    items: list[Item]
    left_aside: int
    typed: bool = False
    notes: tuple[str, ...] = ()
    differing: tuple[Item, ...] = ()
    judged: tuple[Judgement, ...] = ()
    local: bool = field(init=False)

    def __post_init__(self) -> None:
        """Find out where the files are."""
        object.__setattr__(self, "local", not any(is_address(item.file.place) for item in self.items))

    def visit(self, items: Iterable[Item], act: Callable[[Item, BinaryIO], T]) -> Iterator[tuple[Item, T]]:
        """Call `act` with each item and its bytes, in order of the items."""

        def one(item: Item) -> tuple[Item, T]:
            place = item.file.place
            with open_remote(place) if is_address(place) else Path(place).open("rb") as stream:
                return item, act(item, stream)

        return ordered_map(one, items, THREADS)


def look(place: str) -> tuple[Found, bool] | None:
    """The file's facts, and whether it is an image; None if it does not exist."""
    name = place.rpartition("/")[2]
    if not is_address(place):
        file = Path(place)
        if not file.is_file():
            return None
        with file.open("rb") as stream:
            image = is_image(name, lambda: stream.read(MAGIC_BYTES))
            return Found(place, place, os.fstat(stream.fileno()).st_size), image
    fs, path = filesystem(place)
    with explained(place):
        try:
            about = fs.info(path)
        except FileNotFoundError:
            return None
        if about["type"] != "file":
            return None
        image = is_image(unquote(name), lambda: start_of(fs, path, size_of(about)))
    return Found(place, place, size_of(about), modified_ns_of(about)), image


def below_common(places: Sequence[str]) -> dict[str, str]:
    """Each file's path below the common folder of all of them; parts that a listing would skip get another name."""
    parts = {}
    for place in places:
        protocol, _, rest = place.partition("://") if is_address(place) else ("file", "", place)
        names = rest.split("/")
        parts[place] = [protocol, *(map(unquote, names) if protocol in ("http", "https") else names)]
    shallow = min((names[:-1] for names in parts.values()), key=len, default=[])
    same = (len({names[depth] for names in parts.values()}) == 1 for depth in range(len(shallow)))
    common = sum(takewhile(bool, same))
    return {
        place: "/".join(folder_of(name) if is_hidden(name) else name for name in names[common:] if name)
        for place, names in parts.items()
    }


def start_of(fs: Any, name: str, size: int | None) -> bytes:
    """The first bytes of a remote file; an empty file has no range to request."""
    return b"" if size == 0 else bytes(fs.cat_file(name, start=0, end=MAGIC_BYTES))
