"""Files of a shard -> its part: read, asked about, written. Knows no registry: it starts in a fraction of a second."""

import itertools
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import ledger
from pipeline.contract import Contract
from pipeline.engine import Engine, load_engine
from pipeline.images import decode
from pipeline.known import Known
from pipeline.ledger import Plan
from pipeline.params import Params
from pipeline.params_model import Compute
from pipeline.predictions import COLUMNS, RANKS, Classified, Outcome, answer_of, to_row
from pipeline.reading import Decoded, Decoder, Read, read_images


@lru_cache(maxsize=1)
def _engine(folder: Path, compute: Compute, _contract_hash: str) -> Engine:
    return load_engine(folder, compute)


def classify_here(
    output: Path, numbers: list[int], plan: Plan, params: Params, decoder: Decoder = decode
) -> Iterator[tuple[int, int]]:
    """Classify shards in this process; yields the number of each and its count of files when its part is on disk.

    Files of the next shard are read while the model is at the one before.
    """
    folder = ledger.work_folder(output) / "model"
    engine = _engine(next(folder.rglob("contract.json")).parent, params.compute, plan.contract_hash)
    size, threads = params.batch.batch_size, params.compute.reading_threads
    known = Known(ledger.known_file(output))
    paths = (path for number in numbers for path in ledger.read_shard(output, number))
    # Two batches in flight bound the memory.
    reads = read_images(
        Path(plan.input),
        paths,
        engine.contract.images,
        threads,
        2 * size,
        params.batch.file_timeout,
        decoder,
        known.get,
    )
    for number in numbers:
        files = len(ledger.read_shard(output, number))
        rows = (to_row(outcome, plan.stamp) for outcome in judge(itertools.islice(reads, files), engine, size))
        ledger.write_part(output, number, _remembered(rows, known))
        yield number, files
    known.close()


def judge(reads: Iterator[Read], engine: Engine, size: int) -> Iterator[Outcome]:
    """One outcome a file, in order; what could not be read never reaches the model."""
    while batch := list(itertools.islice(reads, size)):
        # Identical bytes are asked about once.
        pictures = {read.sha256: read.picture.pixels for read in batch if isinstance(read, Decoded)}
        answers = dict(zip(pictures, _predict(list(pictures.values()), engine, size) if pictures else (), strict=True))
        for read in batch:
            yield _outcome(read, answers[read.sha256], engine.contract) if isinstance(read, Decoded) else read


def _remembered(rows: Iterable[list[str]], known: Known) -> Iterator[list[str]]:
    """The rows, whose answers are then at hand for files with the same content."""
    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        if row["label"]:
            known.add(row["sha256"], answer_of(row))
        yield values


def _outcome(read: Decoded, row: NDArray[np.float32], contract: Contract) -> Classified:
    best = np.argsort(-row, kind="stable")[:RANKS]
    ranked = tuple((contract.class_names[index], float(row[index])) for index in best)
    unsure = ranked[0][1] < contract.unsure_below
    return Classified(read.path, read.sha256, read.picture.width, read.picture.height, ranked, unsure)


def _predict(pictures: list[NDArray[np.uint8]], engine: Engine, size: int) -> NDArray[np.float32]:
    """Probabilities of `pictures`, always asked in batches of `size`.

    A network may round differently for another batch size; so that an image's answer does not depend on its
    neighbours, the last batch is filled with black images, whose answers are dropped.
    """
    batch = np.zeros((size, *pictures[0].shape), np.uint8)
    batch[: len(pictures)] = pictures
    return engine.predict(batch)[: len(pictures)]
