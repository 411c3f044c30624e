"""What a reader has come to look at: the images, the labels to choose from, and the model that proposed. Reads no file.

A night, the suspects and a folder of new images each make one of these; the page and the server know nothing else of
them. What a kind of review adds of its own (its routes, its part of the page) is a `Part`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.judgements import Judgements
from pipeline.params.data import Images
from pipeline.review.waiting import Waiting

if TYPE_CHECKING:
    from fastapi import APIRouter

    from pipeline.review.session import Session


@dataclass(frozen=True, slots=True)
class Beside:
    """A labelled image to compare with."""

    sha256: str
    place: str  # of its bytes: a file here, or an address
    label: str
    words: str  # what it is to the image: `near-duplicate`, `0.12 away`


@dataclass(frozen=True, slots=True)
class Part:
    """What a kind of review adds to the page and to the server."""

    script: str  # a module in static/, which the page loads when it begins: it exports `begin(page)`
    routes: Callable[["Session"], "APIRouter"]  # below `part/`


@dataclass(frozen=True, slots=True)
class Opened:
    """The images of a review, and what is needed to judge them."""

    name: str  # the same when it is opened again: `night predictions/2026-11-26`
    title: str
    about: str  # a sentence: of what, by which model
    waiting: tuple[Waiting, ...]
    labels: tuple[str, ...]  # to choose from, in the order of their digits
    images: Images  # how the model sees them
    model: Path | None = None  # folder of the model that proposed; None: none is at hand
    beside: Mapping[str, tuple[Beside, ...]] = field(default_factory=dict)  # SHA-256 -> images that belong to it
    left_out: str = ""  # which images of it cannot be judged here, and what to do, in a sentence; empty: none
    sweeps: bool = True  # whether a whole class can be judged at once
    may_invent: bool = False  # whether a reader makes the classes: a new label needs no second thought
    parts: tuple[Part, ...] = ()
    drawn: tuple[str, ...] = ()  # SHA-256 in the order of the random draw that measures; empty: there is none
    accuracy: Callable[[Judgements], str] | None = None  # what judgements come to, in words; called now and then
    arranged: Callable[[], Sequence[Waiting]] | None = None  # the same images in a better order, which takes longer
    edition: Callable[[], str] | None = None  # of its images, as they are now; another one: they were made again

    @property
    def key(self) -> str:
        """A short name of the review for files, headers and a browser's store: the same when it is opened again."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
