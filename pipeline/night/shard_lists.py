"""The listing of a run in shards, as files in its ledger: `shards/00000.json` has the paths of the first one."""

import itertools
import json
from collections.abc import Iterable, Iterator
from functools import partial

from pipeline.core.parallel import ordered_map
from pipeline.storage.folders import Folder
from pipeline.storage.listing import Listed
from pipeline.storage.output_lock import LedgerError

SHARDS = "shards"


def write(books: Folder, listing: Iterable[Listed], shard_size: int) -> tuple[int, int]:
    """Write the listing as shards of at most `shard_size` files; returns how many files and how many shards.

    It never keeps the whole listing in memory.
    """
    files = shards = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal files, shards
        for number, shard in _shards_of(listing, shard_size):
            files, shards = files + len(shard), shards + 1
            # ASCII keeps a name that is not UTF-8 as escaped surrogates.
            yield _name(number), json.dumps(shard).encode("ascii")

    (books / SHARDS).write_all(counted())
    return files, shards


def copy(books: Folder, other: Folder) -> None:
    """Copy the listing from the ledger `books` to the ledger `other`."""
    ours = books / SHARDS
    (other / SHARDS).write_all((name, ours.read(name)) for name in ours.names())


def read(books: Folder, number: int) -> list[str]:
    """The paths of a shard, as listed. Raises LedgerError when their file is missing or damaged."""
    shards = books / SHARDS
    try:
        paths: list[str] = json.loads(shards.read(_name(number)))
    except (FileNotFoundError, ValueError) as error:
        raise LedgerError(
            f"{shards / _name(number)}, the unfinished run's list of files, is missing or damaged. Delete "
            f"{books} and run the same command again: it starts from the beginning."
        ) from error
    return paths


def read_all(books: Folder, shards: int) -> Iterator[str]:
    """Every path of so many shards, in order; only a few shards are in memory at a time. Raises LedgerError."""
    for paths in ordered_map(partial(read, books), range(shards), books.threads):
        yield from paths


def _shards_of(listing: Iterable[Listed], shard_size: int) -> Iterator[tuple[int, list[str]]]:
    paths, numbers = (listed.path for listed in listing), itertools.count()
    while shard := list(itertools.islice(paths, shard_size)):
        yield next(numbers), shard


def _name(number: int) -> str:
    return f"{number:05d}.json"
