"""The listing of a run in shards, as files in its books: `shards/00000.json` has the paths of the first one."""

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.core.parallel import ordered_map
from pipeline.storage import stores
from pipeline.storage.files import read_json, replacing
from pipeline.storage.lease import LedgerError
from pipeline.storage.listing import Listed
from pipeline.storage.stores import Place


def write(books: Place, listing: Iterable[Listed], shard_size: int) -> tuple[int, int]:
    """Write the listing as shards of at most `shard_size` files; returns how many files and how many shards.

    The listing is not held in memory, whatever its length.
    """
    files = shards = 0
    coming, folder = _shards_of(listing, shard_size), books / "shards"
    if not isinstance(folder, Path):  # one by one, many at once; they count only when the plan is written

        def write_one(shard: tuple[int, list[str]]) -> int:
            stores.write_bytes(folder / _name(shard[0]), _as_json(shard[1]))
            return len(shard[1])

        for count in ordered_map(write_one, coming, stores.THREADS):
            files, shards = files + count, shards + 1
        return files, shards
    with replacing(folder) as beside:
        beside.mkdir()
        for number, shard in coming:
            (beside / _name(number)).write_bytes(_as_json(shard))
            files, shards = files + len(shard), shards + 1
    return files, shards


def copy(books: Place, other: Place) -> None:
    """Give the run with the books `other` the listing of the one with `books`."""
    ours, theirs = books / "shards", other / "shards"
    if isinstance(ours, Path) and isinstance(theirs, Path):
        with replacing(theirs) as beside:
            shutil.copytree(ours, beside)
        return
    for name in stores.names(ours):
        with replacing(theirs / name) as beside:
            beside.write_bytes(stores.read_bytes(ours / name))


def read(books: Place, number: int) -> list[str]:
    """The paths of a shard, as listed. Raises LedgerError when the disk has lost them."""
    file = books / "shards" / _name(number)
    try:
        paths: list[str] = read_json(file)
    except (FileNotFoundError, ValueError) as error:
        raise LedgerError(
            f"{file}, where the unfinished run of {books.parent} has its list of files, is missing or damaged. Delete "
            f"{books} and run the same command again: it begins again."
        ) from error
    return paths


def _shards_of(listing: Iterable[Listed], shard_size: int) -> Iterator[tuple[int, list[str]]]:
    paths, numbers = (listed.path for listed in listing), itertools.count()
    while shard := list(itertools.islice(paths, shard_size)):
        yield next(numbers), shard


def _as_json(shard: list[str]) -> bytes:
    return json.dumps(shard).encode("ascii")  # a name that is no UTF-8 is kept as escaped surrogates


def _name(number: int) -> str:
    return f"{number:05d}.json"
