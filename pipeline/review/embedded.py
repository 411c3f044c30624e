"""Embeddings of images that wait: by the model that proposed, once for each image's bytes. Orders nothing.

They are kept by model in .nightshift/embeddings, as float16 of length 1, 2.5 KB for 1,280 numbers. The folder may be
deleted. A killed review has lost at most one batch.
"""

import itertools
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.log import log
from pipeline.model.contract import NETWORK, OPENVINO, Contract, read_contract
from pipeline.model.engine import numbers_of, openvino_judging
from pipeline.model.nearest import unit
from pipeline.night.reading import Decoded, Reading, ReadingError, read_images
from pipeline.params.model import Compute
from pipeline.review.waiting import Waiting
from pipeline.storage.folders import folder_at
from pipeline.storage.stores import Place, StoreError

CACHE = Path(".nightshift/embeddings")
AT_ONCE = 32  # images
PATIENCE = 30.0  # seconds for one file

Embedding = NDArray[np.float32]  # (d,), of length 1


class Kept:
    """The embeddings by one model that are on the disk. Each call opens the file, so any thread may call."""

    def __init__(self, contract_hash: str, cache: Path = CACHE) -> None:
        """contract_hash: of the model."""
        self._file = cache / f"{contract_hash}.sqlite"

    def of(self, digests: Iterable[str]) -> dict[str, Embedding]:
        """Those that are there, by SHA-256."""
        if not self._file.is_file():
            return {}
        asked = "SELECT sha256, embedding FROM embeddings WHERE sha256 IN (SELECT value FROM json_each(?))"
        try:
            with closing(sqlite3.connect(self._file)) as table:
                rows = table.execute(asked, (json.dumps([*digests]),)).fetchall()
        except sqlite3.OperationalError as error:  # locked for long, or the disk does not answer
            log.warning("%s cannot be read (%s): the embeddings are computed again.", self._file, error)
            return {}
        except sqlite3.DatabaseError:  # damaged, as after a power cut: it is a cache
            self._file.unlink(missing_ok=True)
            return {}
        return {sha256: np.frombuffer(data, np.float16).astype(np.float32) for sha256, data in rows}

    def keep(self, found: Mapping[str, Embedding]) -> None:
        """Add some; a full disk keeps none of them."""
        rows = [(sha256, embedding.astype(np.float16).tobytes()) for sha256, embedding in found.items()]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file)) as table, table:
                table.execute("CREATE TABLE IF NOT EXISTS embeddings (sha256 TEXT PRIMARY KEY, embedding BLOB)")
                table.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?)", rows)
        except (OSError, sqlite3.Error) as error:
            log.warning("%s could not be written (%s): the next review computes it again.", self._file, error)


def embeddings_of(
    waiting: Sequence[Waiting], model: Path, compute: Compute,
    progress: Callable[[int, int], object] = lambda done, of: None, cache: Path = CACHE,
) -> dict[str, Embedding]:  # fmt: skip
    """Embeddings by SHA-256, of all images that can be read and have not changed. Takes seconds a thousand images.

    model: its folder; progress: is told how many images are done, and of how many.
    Raises ContractError for a damaged model, and for one that does not end in a dense layer.
    """
    contract = read_contract(model)
    kept = Kept(contract.hash, cache)
    places = {one.sha256: one.place for one in waiting}
    found = kept.of(places)
    missing = {sha256: place for sha256, place in places.items() if sha256 not in found}
    progress(len(found), len(places))
    if not missing:
        return found
    threads = max(1, compute.threads // 2)  # somebody works on the page meanwhile
    judging = openvino_judging(model / OPENVINO / NETWORK, threads, numbers_of(contract, compute))
    done = len(found)
    reads = _read(missing, contract, threads)
    while batch := list(itertools.islice(reads, AT_ONCE)):
        pictures = {read.sha256: read.picture.pixels for read in batch if read is not None}
        if pictures:
            _, embeddings = judging(np.stack([*pictures.values()]))
            new = dict(zip(pictures, unit(embeddings), strict=True))
            kept.keep(new)
            found |= new
        done += len(batch)
        progress(done, len(places))
    progress(len(places), len(places))
    return found


def _read(places: Mapping[str, str], contract: Contract, threads: int) -> Iterator[Decoded | None]:
    """Each image as the model sees it; None for one that cannot be read, or has changed."""
    together: defaultdict[Place, list[str]] = defaultdict(list)  # folder -> names
    for place in dict.fromkeys(places.values()):
        path = folder_at(place).path
        together[path.parent].append(path.name)
    how = Reading(threads, 2 * AT_ONCE, PATIENCE)
    for parent, names in together.items():
        try:
            for read in read_images(folder_at(parent), names, contract.images, how):
                yield read if isinstance(read, Decoded) and read.sha256 in places else None
        except (ReadingError, StoreError, OSError) as error:
            log.warning("Left out of the order by likeness: %s", error)
