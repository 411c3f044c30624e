"""An image that waits for a person's judgement, wherever it comes from. Reads no file."""

from dataclasses import dataclass

from pipeline.data.judgements import Chosen, Source


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label that the model cannot exclude."""

    label: str
    confidence: float | None = None  # None where the model's answer does not say it


@dataclass(frozen=True, slots=True)
class Waiting:
    """An image to judge, and what is known of it."""

    sha256: str
    path: str  # below `folder`, written as in a CSV: as a person knows it, and as the judgement keeps it
    place: str  # of its bytes: a file here, or an address
    source: Source
    label: str = ""  # that it has now, in data/raw; empty where it has none
    proposed: str = ""  # the model's answer
    confidence: float | None = None  # of `proposed`
    candidates: tuple[Candidate, ...] = ()  # the most probable first
    status: str = ""  # of a night's row: ok, unsure
    why: str = ""  # a person should look at it, in words
    model_version: str = ""
    chosen: Chosen = ""  # how it came to its place in the order
    folder: str = ""  # below which `path` is, as `judgements.folder_as_kept` writes it
