"""The button that trains: what will happen in words, the start, and how far it is. Trains nothing itself."""

from collections import Counter
from http import HTTPStatus
from pathlib import PurePosixPath

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from starlette.responses import Response

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.core.text import about, counted, shown
from pipeline.data.labels import of_folder
from pipeline.params.file import load_params
from pipeline.review.answers import as_json
from pipeline.review.training_process import Busy, Trainer, at_work, last_started
from pipeline.review.training_state import training_now
from pipeline.sources.judged import plan_judged
from pipeline.sources.project_labels import labels_in
from pipeline.storage.folders import folder_at

PROMOTES = {
    "auto": "If it passes the gate, nights use it from then on (register.promote is auto).",
    "manual": "If it passes the gate, a person decides whether nights use it (register.promote is manual); "
    "they use a project's first version at once.",
}


class Begin(BaseModel):
    """Who starts a training."""

    reader: str = Field(min_length=1, max_length=100)


def routes(trainer: Trainer) -> APIRouter:
    """What a training will do, its start, and how far it is."""
    router = APIRouter(prefix="/api/training")

    @router.get("")
    def now() -> Response:
        """How far it is."""
        return as_json(_state())

    @router.get("/plan")
    def plan() -> Response:
        """What a training would do. Changes nothing."""
        lines, is_possible = plan_lines()
        return as_json({"lines": lines, "possible": is_possible})

    @router.post("")
    def start(begin: Begin) -> Response:
        """Start one."""
        if not labelled():
            raise HTTPException(HTTPStatus.CONFLICT, NOTHING)
        try:
            trainer.start(begin.reader)
        except Busy as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from None
        return as_json(_state())

    return router


NOTHING = f"{RAW} holds no labelled images yet. Judge some, then bring them in."


def plan_lines() -> tuple[list[str], bool]:
    """What a training would do, in words, and whether it can begin. Raises NightshiftError."""
    if words := at_work():
        return [f"{words}. Only one command at a time works with the images."], False
    counts = labelled()
    if not counts:
        return [NOTHING], False
    classes = ", ".join(f"{shown(label)} {count:,}" for label, count in counts.most_common())
    lines = [
        f"It learns from {counted(counts.total(), 'labelled image')} of {counted(len(counts), 'class', 'classes')} in "
        f"{RAW}: {classes}. It keeps some of them aside, to try the model on."
    ]
    judged = plan_judged()
    if not judged.is_empty:
        lines.append("Some judged images are not in there yet, so it does not learn them. Bring in takes them there.")
    lines.append(_how_long())
    lines.append(
        "Then the model is registered as a new version, and the gate compares it with the champion. "
        + PROMOTES[load_params().register_.promote]
    )
    return lines, True


def labelled() -> Counter[str]:
    """How many images of each class there are to learn from. Raises NightshiftError."""
    folders = set(labels_in(RAW).folders.values())
    if not folders:
        return Counter()
    found: Counter[str] = Counter()
    for one in folder_at(RAW).list_images():
        parts = PurePosixPath(one.path).parts
        if len(parts) > 1 and parts[0] in folders:
            found[of_folder(parts[0])] += 1
    return found


def _how_long() -> str:
    started = last_started()
    if started and started.seconds and training_now().kind in ("done", "refused"):  # and not by a mistake at once
        return f"The last one took {about(started.seconds)}. This page shows how far it is; it may be closed meanwhile."
    return "While it learns, this page says how long it still takes. The page may be closed meanwhile."


def _state() -> dict[str, object]:
    found = training_now()
    try:
        has_labels = bool(labels_in(RAW).folders)
    except NightshiftError:  # two spellings of a class: the training says it
        has_labels = True
    return {
        "kind": found.kind, "name": found.name, "of_page": found.of_page, "headline": found.headline,
        "lines": found.lines, "share": found.share, "labelled": has_labels,
        "links": [{"words": link.words, "address": link.address} for link in found.links],
    }  # fmt: skip
