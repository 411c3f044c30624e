"""What the server says to the page: an image, a verdict, the progress, as JSON. Decides nothing."""

import json
from typing import TypedDict

from starlette.responses import Response

from pipeline.data.judgements import Judgement
from pipeline.review.opened import Beside
from pipeline.review.session import Progress, Session, Verdict
from pipeline.review.waiting import Waiting

NEVER_STORED = {"Cache-Control": "no-store"}


class VerdictJson(TypedDict):
    """What is known of an image."""

    kind: str
    label: str
    readers: list[str]


class SaidJson(TypedDict):
    """What one reader says."""

    reader: str
    kind: str
    label: str
    at: str


class TileJson(TypedDict):
    """An image of a sweep: short names, since there are thousands."""

    s: str  # SHA-256
    p: str  # path
    c: float | None  # confidence
    o: str  # the next probable label; empty where there is none
    u: bool  # whether the model is unsure
    v: VerdictJson | None


class CandidateJson(TypedDict):
    """A label that the model cannot exclude."""

    label: str
    confidence: float | None


class ImageJson(TypedDict):
    """An image to judge alone."""

    sha256: str
    path: str
    label: str
    proposed: str
    confidence: float | None
    candidates: list[CandidateJson]
    status: str
    why: str
    source: str
    verdict: VerdictJson | None
    said: list[SaidJson]


class ReaderJson(TypedDict):
    """How far a reader is."""

    name: str
    done: int
    here: bool
    a_minute: float | None


class ProgressJson(TypedDict):
    """How far the review is."""

    total: int
    done: int
    compared: int
    agreed: int
    differing: int
    left: dict[str, int]
    readers: list[ReaderJson]
    accuracy: str


class BesideJson(TypedDict):
    """A labelled image to compare with."""

    sha256: str
    label: str
    words: str


def as_json(value: object) -> Response:
    """An answer that no browser keeps."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(data, media_type="application/json", headers=NEVER_STORED)


def verdict_of(found: Verdict | None) -> VerdictJson | None:
    """What is known of an image."""
    return None if found is None else {"kind": found.kind, "label": found.label, "readers": list(found.readers)}


def tile(one: Waiting, session: Session) -> TileJson:
    """An image of a sweep."""
    others = [candidate.label for candidate in one.candidates if candidate.label != one.proposed]
    return {
        "s": one.sha256, "p": one.path, "c": one.confidence, "o": others[0] if others else "",
        "u": one.status == "unsure", "v": verdict_of(session.verdict(one.sha256)),
    }  # fmt: skip


def image(one: Waiting, session: Session) -> ImageJson:
    """An image to judge alone."""
    return {
        "sha256": one.sha256, "path": one.path, "label": one.label, "proposed": one.proposed,
        "confidence": one.confidence, "status": one.status, "why": one.why, "source": one.source,
        "candidates": [{"label": of.label, "confidence": of.confidence} for of in one.candidates],
        "verdict": verdict_of(session.verdict(one.sha256)), "said": [said(of) for of in session.said(one.sha256)],
    }  # fmt: skip


def said(one: Judgement) -> SaidJson:
    """What one reader says."""
    return {"reader": one.reader, "kind": one.said[0], "label": one.label, "at": one.at.isoformat(timespec="seconds")}


def beside(one: Beside) -> BesideJson:
    """A labelled image to compare with."""
    return {"sha256": one.sha256, "label": one.label, "words": one.words}


def progress(found: Progress) -> ProgressJson:
    """How far the review is."""
    readers: list[ReaderJson] = [
        {"name": one.name, "done": one.done, "here": one.here, "a_minute": one.a_minute} for one in found.readers
    ]
    return {
        "total": found.total, "done": found.done, "compared": found.compared, "agreed": found.agreed,
        "differing": found.differing, "left": dict(found.left), "readers": readers,
        "accuracy": found.accuracy,
    }  # fmt: skip
