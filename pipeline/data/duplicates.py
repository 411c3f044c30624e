"""Find exact and near-duplicates: pairs by perceptual hash, and the clusters they form. Opens no file."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BLOCK = 8192  # hashes compared with all others at a time; memory holds the pairs of one block


def near_pairs(hashes: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    """The pairs (i, j), i < j, of rows of `hashes` that differ in at most `bits` bits: (m, 2), sorted.

    hashes: (n, bytes). Every row is compared with every other: 29 s for 200,000 rows of 32 bytes on two cores.
    """
    import faiss

    index = faiss.IndexBinaryFlat(8 * hashes.shape[1])
    index.add(hashes)
    found = []
    for start in range(0, len(hashes), BLOCK):
        limits, _, others = index.range_search(hashes[start : start + BLOCK], bits + 1)  # faiss tests for less than
        rows = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
        found.append(np.stack([rows, others], axis=1)[rows < others])
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number, (count,), of the component that each of `count` nodes is in when `pairs` (m, 2) are joined."""
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def joined(keys: pd.Series) -> NDArray[np.int64]:
    """Pairs (m, 2) of row numbers that connect all rows with the same key; rows without a key stay unconnected."""
    numbers = pd.Series(np.arange(len(keys)), index=keys.to_numpy())
    numbers = numbers[keys.notna().to_numpy()].sort_index(kind="stable")
    same = numbers.index[1:] == numbers.index[:-1]
    return np.stack([numbers.to_numpy()[:-1][same], numbers.to_numpy()[1:][same]], axis=1).astype(np.int64)


def cluster(manifest: pd.DataFrame, bits: int | None, blank_below: float) -> pd.Series:
    """The name of each row's cluster of exact and near-duplicates: the smallest SHA-256 in it.

    manifest: columns sha256, phash, contrast. An image with less contrast than `blank_below` joins only exact copies,
    because the perceptual hash of a blank image is meaningless. bits: as for `near_pairs`; None: only exact copies.
    """
    pairs = [joined(manifest["sha256"])]
    if bits is None:
        return _named(manifest, pairs)
    telling = np.flatnonzero(manifest["phash"].notna() & (manifest["contrast"].fillna(0) >= blank_below))
    # A hash that occurs many times (a film of a still scene) is one row in the search; its rows are connected here.
    hashes = manifest["phash"].iloc[telling]
    pairs.append(telling[joined(hashes.reset_index(drop=True))])
    different = hashes.drop_duplicates()
    if len(different) > 1:
        rows = telling[~hashes.duplicated().to_numpy()]
        packed = np.frombuffer(bytes.fromhex("".join(different)), np.uint8).reshape(len(different), -1)
        pairs.append(rows[near_pairs(packed, bits)])
    return _named(manifest, pairs)


def _named(manifest: pd.DataFrame, pairs: list[NDArray[np.int64]]) -> pd.Series:
    numbers = components(len(manifest), np.concatenate(pairs))
    return manifest["sha256"].groupby(numbers).transform("min")
