"""Runs the champion and the new model on the same test images, each with its own contract.

Knows models as folders and images as files; decides nothing, and knows no registry.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.parallel import ordered_map
from pipeline.core.text import named
from pipeline.data.prepared import Split
from pipeline.data.split_units import unit_numbers
from pipeline.images.decode import UnreadableImage, decode
from pipeline.model.contract import ContractError
from pipeline.model.engine import Engine, load_engine
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.registry.comparison import compare
from pipeline.registry.gate import Contest, Incomparable
from pipeline.registry.training_images import TAUGHT
from pipeline.storage.files import read_validated

TIMED_IMAGES = 64  # images in each measurement of speed
LONGEST_REASON = 300  # characters
ROUNDS = 5  # measurements of each model in turn; the fastest counts, as other load only slows them


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The test split: the prepared images, and where their files are."""

    split: Split
    rules: Images  # the rules of the prepared images
    raw: Path  # the folder of the files that its table names


def contest(
    new: Engine, version: int, folder: Path, taught: pd.DataFrame | None, images: HeldOut, params: Params
) -> Contest | Incomparable:
    """Compare the new model with the champion, version `version` in `folder`, on the same test images.

    taught: the champion's images, columns sha256 and split; None when they are not recorded. Raises NightshiftError
    when a test image's file is not the one that was prepared.
    """
    try:
        champion = load_engine(folder, params.compute.where_it_holds)
    except ContractError as error:
        words = " ".join(str(error).replace(str(folder), "its folder").split())[:LONGEST_REASON]
        return Incomparable(version, f"this version of Nightshift cannot load it: {words}")
    names, theirs = new.contract.class_names, champion.contract.class_names
    if set(names) != set(theirs):
        return Incomparable(version, _difference(names, theirs))
    table = images.split.table
    known = set(taught["sha256"][taught["split"].isin(TAUGHT)]) if taught is not None else set()
    unseen = np.flatnonzero(~table["sha256"].isin(known).to_numpy())
    asked = _asked(champion, images, unseen, params)
    rows = np.array([row for row, _ in asked], np.int64)
    if len(rows) < params.register_.gate.min_compared_images:
        return Incomparable(
            version,
            f"of {len(table)} test images it was trained on {len(table) - len(unseen)} and cannot read "
            f"{len(unseen) - len(rows)}; {len(rows)} are left, fewer than register.gate.min_compared_images, "
            f"{params.register_.gate.min_compared_images}",
        )
    columns = [theirs.index(name) for name in names]  # the same classes, perhaps in another order
    found = compare(
        images.split.labels[rows],
        _predict(new, images.split.images, rows, params.batch.batch_size),
        np.stack([answer for _, answer in asked])[:, columns],
        unit_numbers(table)[rows],
        names,
        params.evaluate,
        params.seed,
    )
    new_speed, champion_speed = speeds(new, champion, images, rows[:TIMED_IMAGES], params)
    return Contest(
        version, found, len(table) - len(unseen), len(unseen) - len(rows), new_speed, champion_speed, taught is None
    )


def _difference(names: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """How two sets of classes differ, in words."""
    added, removed = (sorted(set(one) - set(other)) for one, other in ((names, theirs), (theirs, names)))
    parts = [f"{what} {named(labels)}" for what, labels in (("added:", added), ("removed:", removed)) if labels]
    return "its classes differ; " + ", ".join(parts)


def _asked(
    engine: Engine, images: HeldOut, rows: NDArray[np.int64], params: Params
) -> list[tuple[int, NDArray[np.float32]]]:
    """Row and probabilities of each of the test images `rows`, without those that the engine's rules cannot read."""
    rules, size = engine.contract.images, params.batch.batch_size
    if rules == images.rules:
        return list(zip(rows.tolist(), _predict(engine, images.split.images, rows, size), strict=True))
    found: list[tuple[int, NDArray[np.float32]]] = []
    pixels: list[tuple[int, NDArray[np.uint8]]] = []

    def answer() -> None:
        if pixels:
            answers = engine.predict(np.stack([one for _, one in pixels]))
            found.extend((row, line) for (row, _), line in zip(pixels, answers, strict=True))
            pixels.clear()

    for row, decoded in zip(rows.tolist(), _decoded(images, rows, rules, params), strict=True):
        if decoded is not None:
            pixels.append((row, decoded))
        if len(pixels) == size:
            answer()
    answer()
    return found


def _decoded(
    images: HeldOut, rows: NDArray[np.int64], rules: Images, params: Params
) -> Iterator[NDArray[np.uint8] | None]:
    """The pixels of the test images `rows` under other rules; None for a file that these cannot read."""
    files = images.split.table.iloc[rows]

    def pixels(path: str, expected: str) -> NDArray[np.uint8] | None:
        try:
            return decode(read_validated(images.raw / path, expected), rules).pixels
        except UnreadableImage:
            return None

    pairs = zip(files["path"], files["sha256"], strict=True)
    return ordered_map(lambda pair: pixels(*pair), pairs, params.compute.threads)


def _predict(
    engine: Engine, images: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int
) -> NDArray[np.float32]:
    """Probabilities (len(rows), classes) of the chosen images (n, height, width, 3)."""
    none = np.empty((0, len(engine.contract.class_names)), np.float32)
    chunks = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    return np.concatenate([none, *(engine.predict(images[chunk]) for chunk in chunks)])


def speeds(
    new: Engine, champion: Engine, images: HeldOut, rows: NDArray[np.int64], params: Params
) -> tuple[float, float]:
    """Images a second of both, in turns: each decodes with its own rules and classifies; the files are in memory."""
    files = images.split.table.iloc[rows]
    encoded = [
        read_validated(images.raw / path, expected)
        for path, expected in zip(files["path"], files["sha256"], strict=True)
    ]
    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        for which, engine in enumerate((new, champion)):
            began = time.perf_counter()
            _decode_and_answer(engine, encoded, params)
            best[which] = min(best[which], time.perf_counter() - began)
    return len(encoded) / best[0], len(encoded) / best[1]


def _decode_and_answer(engine: Engine, encoded: list[bytes], params: Params) -> None:
    rules, size = engine.contract.images, params.batch.batch_size
    decoded = ordered_map(lambda data: decode(data, rules).pixels, encoded, params.compute.threads)
    pixels = np.stack(list(decoded))
    for start in range(0, len(pixels), size):
        engine.predict(pixels[start : start + size])
