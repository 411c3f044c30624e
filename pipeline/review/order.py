"""What a person looks at next: what teaches most first, what is alike once, and a fair draw among it. Reads no file.

Doubt alone asks for the same thing many times over. So the images stand in blocks, the most doubtful first, and within
a block the next one is always the one least like all before it (k-centres, greedily: Sener and Savarese, Active
Learning for Convolutional Neural Networks: A Core-Set Approach, 2018). Of near-duplicates the first stands in its
place and the others at the end.

Doubt is the entropy of the answer. ActiveLab (Goh and Mueller, 2023; in cleanlab) puts images without a label in the
same order as the confidence of the one model that answered (benchmarks/review_order.py), so it adds nothing here.

Between them stands a draw of the `ok` rows (`draw.py`), so that the night's accuracy is measured while one teaches.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.data.judgements import Chosen
from pipeline.model.doubt import OUTLIER
from pipeline.review.draw import lot
from pipeline.review.waiting import Waiting

Embeddings = Mapping[str, NDArray[np.float32]]  # SHA-256 -> (d,), of length 1

BLOCK = 200  # images: ten times as many as the next batch has (benchmarks/review_order.py)
ALIKE = 0.005  # cosine distance: the same picture, saved again; different pieces of one fabric are 0.0065 away
SKETCH = 128  # numbers of an embedding's projection, whose squared distances are off by an eighth
MARGIN = 1.5  # times ALIKE: pairs that may be alike by their projections
MOST = 10_000  # images compared, the most doubtful: nobody looks at more, and the time grows with the square
ROWS = 512  # images compared with all others at a time
ROUNDING = 1e-9


def ordered(
    waiting: Sequence[Waiting], embeddings: Embeddings | None, *,
    random_share: float = 0.1, seed: str,
) -> list[Waiting]:  # fmt: skip
    """The same images in the order in which to judge them, each with how it came to its place (`chosen`).

    embeddings: by SHA-256, of length 1; None, or an image without one: the order goes by doubt alone.
    random_share: of those that one looks at, from the first on; 1: only the draw, to measure the night fast.
    seed: `draw.seed_of` of the night; the order depends on nothing else.
    """
    teaching = [*_teaching(waiting, embeddings or {})]
    drawn = draw_of(waiting, seed)
    whys = {number: why for number, why in teaching if why}
    order = _interleaved([number for number, _ in teaching], drawn, random_share)
    return [
        replace(one, chosen=chosen, why="; ".join(filter(None, (one.why, whys.get(number)))))
        for number, chosen in order
        for one in (waiting[number],)
    ]


def draw_of(waiting: Sequence[Waiting], seed: str) -> list[int]:
    """The numbers of the images that are `ok`, identical ones once, in the order of a fair draw."""
    first: dict[str, int] = {}
    for number, one in enumerate(waiting):
        if one.status == "ok":
            first.setdefault(one.sha256, number)
    return sorted(first.values(), key=lambda number: lot(seed, waiting[number].sha256))


def _interleaved(teaching: Sequence[int], drawn: Sequence[int], share: float) -> Iterator[tuple[int, Chosen]]:
    """All of `teaching`, of which each that the draw takes before its turn stands at its place in the draw.

    The draw passes over what stands there already, so all before any of its images are judged by then.
    """
    placed: set[int] = set()
    draws, lessons = (iter(numbers) for numbers in (drawn, teaching))
    taken = 0
    while len(placed) < len(teaching):
        number = None
        if taken < int((len(placed) + 1) * share + ROUNDING):
            number = next((one for one in draws if one not in placed), None)
        taken += 1 if number is not None else 0
        chosen: Chosen = "doubt" if number is None else "random"
        if number is None:
            number = next(one for one in lessons if one not in placed)
        placed.add(number)
        yield number, chosen


def _teaching(waiting: Sequence[Waiting], embeddings: Embeddings) -> Iterator[tuple[int, str]]:
    """All numbers, what teaches most first; with why those stand at the end that are like an earlier one."""
    doubts = _doubts(waiting)
    by_doubt = sorted(range(len(waiting)), key=lambda number: -doubts[number])
    like = _like(by_doubt, waiting, embeddings)
    once = [number for number in by_doubt if number not in like]
    for start in range(0, len(once), BLOCK):
        block = once[start : start + BLOCK]
        yield from ((block[place], "") for place in _spread([embeddings.get(waiting[one].sha256) for one in block]))
    for number, other in like.items():
        same = "the same file as" if waiting[number].sha256 == waiting[other].sha256 else "like"
        yield number, f"{same} {waiting[other].path}"


def doubt(one: Waiting) -> float:
    """The entropy of the model's answer, as far as it is known, in nats; infinite without an answer."""
    known = [candidate.confidence for candidate in one.candidates if candidate.confidence is not None]
    known = known or ([] if one.confidence is None else [one.confidence])
    if not known:
        return math.inf
    shares = [*known, max(0.0, 1 - sum(known))]  # all other labels as one
    return -sum(share * math.log(share) for share in shares if share > 0)


def _doubts(waiting: Sequence[Waiting]) -> list[float]:
    """Each image's doubt. The confidence in an outlier means little: it has the median doubt of the unsure, or more."""
    found = [doubt(one) for one in waiting]
    unsure = sorted(number for one, number in zip(waiting, found, strict=True) if one.status == "unsure")
    if not unsure:
        return found
    median = unsure[len(unsure) // 2]
    return [
        max(number, median) if OUTLIER in one.why.split("; ") else number
        for one, number in zip(waiting, found, strict=True)
    ]


def _spread(block: Sequence[NDArray[np.float32] | None]) -> list[int]:
    """The places of a block in the order of k-centres, from its first on; one without an embedding is unlike all."""
    width = next((len(one) for one in block if one is not None), 1)
    vectors = np.stack([np.zeros(width, np.float32) if one is None else one for one in block])
    distances = 1 - vectors @ vectors.T
    nearest = np.full(len(block), np.inf)
    order = [0]
    while len(order) < len(block):
        nearest = np.minimum(nearest, distances[order[-1]])
        nearest[order[-1]] = -np.inf
        order.append(int(nearest.argmax()))
    return order


def _like(numbers: Sequence[int], waiting: Sequence[Waiting], embeddings: Embeddings) -> dict[int, int]:
    """Of `numbers` those that show again what an earlier one shows, and which one; in their order."""
    first: dict[str, int] = {}
    firsts = [first.setdefault(waiting[number].sha256, number) for number in numbers]
    found = {number: other for number, other in zip(numbers, firsts, strict=True) if number != other}
    left = [number for number in numbers if number not in found and waiting[number].sha256 in embeddings][:MOST]
    if not left:
        return found
    vectors = np.stack([embeddings[waiting[number].sha256] for number in left])  # (n, d)
    # Random projection (Johnson and Lindenstrauss, 1984): 10,000 images are compared in a second, not in ten.
    drawn = np.random.default_rng(0).standard_normal((vectors.shape[1], SKETCH)) / math.sqrt(SKETCH)
    sketch = vectors @ drawn.astype(np.float32)
    sketch /= np.linalg.norm(sketch, axis=1, keepdims=True)
    for start in range(0, len(left), ROWS):
        part = slice(start, start + ROWS)
        close = sketch[part] @ sketch[start:].T > 1 - MARGIN * ALIKE
        for row in np.flatnonzero(close.sum(axis=1) > 1).tolist():
            if left[start + row] in found:
                continue
            others = start + np.flatnonzero(close[row, row + 1 :]) + row + 1
            near = others[1 - vectors[others] @ vectors[start + row] < ALIKE]
            found |= {left[other]: left[start + row] for other in near.tolist() if left[other] not in found}
    places = {number: place for place, number in enumerate(numbers)}
    return dict(sorted(found.items(), key=lambda pair: places[pair[0]]))
