"""Which images a person sees together: groups of images that look alike, and fair draws. Pure; opens no file.

Groups teach fast and say nothing of how good the model is, for they are not like images at large: on the demo they
make a head look 100 % right that is 53 % right (benchmarks/review_beginning.py). So a share of the images, drawn by
their content alone, is kept out of the groups and shown as it comes; only these measure.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.review.clusters import Features, alike
from pipeline.review.head import Head

SWEPT = 24  # images of a group that one label is proposed for
DRAWN = 12  # images of a fair draw at once
SHARE_DRAWN = 0.25  # of all images
LEAST_OF_A_GROUP = 4  # images; smaller groups come last

Kind = Literal["first", "alike", "class", "draw"]


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a group, and what the head says of it."""

    sha256: str
    label: str = ""
    confidence: float | None = None
    other: str = ""  # the next probable label


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are judged together."""

    kind: Kind
    members: tuple[Member, ...]
    label: str = ""  # proposed for all of them; empty: none, or each has its own
    hint: str = ""  # what they look like, where nothing is proposed

    def without(self, closed: Collection[str]) -> "Group":
        """The same without some images."""
        return replace(self, members=tuple(one for one in self.members if one.sha256 not in closed))


def is_drawn(sha256: str, seed: int) -> bool:
    """Whether an image is of the fair draw: by its content, whatever else is in the folder."""
    return _place(sha256, seed) < SHARE_DRAWN


def draws(images: Collection[str], seed: int) -> list[str]:
    """Those of `images` that are drawn, in an order that says nothing of what they show."""
    return sorted((one for one in images if is_drawn(one, seed)), key=lambda one: _place(one, seed))


@lru_cache(maxsize=100_000)
def _place(sha256: str, seed: int) -> float:
    """Uniform between 0 and 1."""
    return int.from_bytes(hashlib.sha256(f"{seed} {sha256}".encode()).digest()[:6]) / 2**48


def without_head(images: Sequence[str], features: Features, seed: int) -> list[Group]:
    """Groups of images that look alike; features: (n, d), row i for image i."""
    found = [tuple(Member(images[row]) for row in group) for group in alike(features, seed=seed)]
    return [Group("alike", group) for group in _small_last(found)]


def by_head(
    images: Sequence[str], features: Features, head: Head, declined: Mapping[str, Collection[str]]
) -> list[Group]:
    """Groups of images that the head calls the same, class by class, the least sure first.

    Where the head is least sure a correction teaches most.

    declined: labels of which a person has said that they are wrong, by image.
    """
    if not len(images):
        return []
    members = proposed(images, features, head, declined)
    of_class: dict[str, list[Member]] = {}
    for one in sorted(members, key=lambda one: (one.confidence or 0.0, one.sha256)):
        of_class.setdefault(one.label, []).append(one)
    queues = [
        [Group("class", tuple(ours[start : start + SWEPT]), label) for start in range(0, len(ours), SWEPT)]
        for label, ours in sorted(of_class.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    longest = max(map(len, queues))
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def proposed(
    images: Sequence[str], features: Features, head: Head, declined: Mapping[str, Collection[str]]
) -> list[Member]:
    """What the head says of each image, with labels that were declined left out."""
    if not len(images):
        return []
    answers = head.probabilities(features)
    return [
        _member(sha256, answer, head.labels, declined.get(sha256, ()))
        for sha256, answer in zip(images, answers, strict=True)
    ]


def _member(sha256: str, answer: NDArray[np.float64], labels: Sequence[str], declined: Collection[str]) -> Member:
    order = [number for number in np.argsort(-answer, kind="stable") if labels[number] not in declined]
    if not order:  # none of the labels: a new class, perhaps
        return Member(sha256)
    best, *others = order
    return Member(sha256, labels[best], float(answer[best]), labels[others[0]] if others else "")


def _small_last(groups: Sequence[tuple[Member, ...]]) -> list[tuple[Member, ...]]:
    return sorted(groups, key=lambda group: len(group) < LEAST_OF_A_GROUP)
