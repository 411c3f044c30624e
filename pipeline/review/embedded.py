"""Embeddings of images that wait: by the model that proposed, once for each image's bytes. Orders nothing.

They are of length 1, and kept by model in .nightshift/embeddings, which may be deleted.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.core.log import log
from pipeline.model.contract import Contract, read_contract
from pipeline.model.engine import openvino_judging
from pipeline.model.nearest import unit
from pipeline.model.precision import network_file, numbers_of
from pipeline.night.reading import Decoded, Reading, ReadingError, read_images
from pipeline.params.model import Compute
from pipeline.review.feature_store import FeatureStore, Vector
from pipeline.review.waiting import Waiting
from pipeline.storage.folders import folder_at
from pipeline.storage.stores import Place, StoreError

CACHE = Path(".nightshift/embeddings")
AT_ONCE = 32  # images
PATIENCE = 30.0  # seconds for one file


def embeddings_of(
    waiting: Sequence[Waiting], model: Path, compute: Compute,
    progress: Callable[[int, int], object] = lambda done, of: None, cache: Path = CACHE,
) -> dict[str, Vector]:  # fmt: skip
    """Embeddings of length 1 by SHA-256, of all readable and unchanged images. Takes seconds a thousand images.

    model: its folder; progress: is told how many images are done, and of how many.
    Raises ContractError for a damaged model, and for one that does not end in a dense layer.
    """
    contract = read_contract(model)
    kept = FeatureStore(contract.hash, cache)
    places = {one.sha256: one.place for one in waiting}
    found = kept.of(places)
    missing = {sha256: place for sha256, place in places.items() if sha256 not in found}
    progress(len(found), len(places))
    if not missing:
        return found
    threads = max(1, compute.threads // 2)  # somebody works on the page meanwhile
    numbers = numbers_of(contract, compute)
    judging = openvino_judging(network_file(model, numbers), threads, numbers)
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
