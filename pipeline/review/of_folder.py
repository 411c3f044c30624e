"""A folder of images without labels, as a review: classes are made while looking, and similar images come together."""

import csv
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from pipeline.core.cells import unguarded
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.data.label_folders import LabelError
from pipeline.data.labels import clean, sameness
from pipeline.params.file import Params
from pipeline.review import answers
from pipeline.review.backbone import Backbone, key_of, load_backbone
from pipeline.review.beginning import Beginning
from pipeline.review.classes import renamed, valid_name
from pipeline.review.clicks import SHA256
from pipeline.review.embedded_folder import EmbeddedFolder
from pipeline.review.feature_store import FeatureStore
from pipeline.review.groups import Group, Member
from pipeline.review.opened import Opened, Part
from pipeline.review.session import Session
from pipeline.sources.project_labels import labels_in
from pipeline.storage.folders import Folder

SCRIPT = "groups.js"
SHOWN_UNREADABLE = 100
NEXT = "nightshift train"

Sha256 = Annotated[str, Field(pattern=SHA256)]


class FolderError(NightshiftError):
    """There is nothing to look at."""


class Aside(BaseModel):
    """Images that a page shows later; label: that they do not have."""

    images: list[Sha256] = Field(max_length=1000)
    label: str = Field(default="", max_length=200)


class Name(BaseModel):
    """A class as a person typed it."""

    label: str = Field(max_length=1000)


class Renaming(BaseModel):
    """A class that gets another name, or becomes part of another."""

    reader: str = Field(min_length=1, max_length=100)
    old: str = Field(max_length=1000)
    new: str = Field(max_length=1000)


def open_folder(
    folder: Folder, params: Params, hints: Mapping[str, str] | None = None,
    load: Callable[[], Backbone] | None = None,
) -> Opened:  # fmt: skip
    """The images of `folder`, which are read while the page is open already.

    hints: labels that a table proposes, by path; load: gives the backbone instead of params.yaml's.
    Raises ListingError,
    FolderError.
    """
    folder.require_folder()
    if next(folder.list_images(), None) is None:
        raise FolderError(
            f"{folder} holds neither a finished night nor image files (by extension or content). Check the path."
        )
    known = tuple(labels_in(RAW).folders)

    def routes(session: Session) -> APIRouter:
        beginning = Beginning(session, folder, params, hints or {})
        store = FeatureStore(key_of(params))
        images = EmbeddedFolder(folder, params, store, load or (lambda: load_backbone(params)), beginning.show)
        images.start()
        beginning.start(images)
        session.reading = lambda: images.progress.at_work
        return _routes(session, beginning, images)

    return Opened(
        name=f"folder {folder.absolute()}", title=folder.name or str(folder), about="images without labels",
        waiting=(), labels=known, images=params.images, sweeps=False, may_invent=True, parts=(Part(SCRIPT, routes),),
    )  # fmt: skip


def read_hints(table: Path, folder: Folder) -> dict[str, str]:
    """The labels of a table of `nightshift label`, by path in `folder`. Raises NightshiftError."""
    root = folder.local.absolute() if folder.local else None
    try:
        with table.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as lines:
            rows = csv.DictReader(lines)
            if not {"path", "label"} <= set(rows.fieldnames or ()):
                raise NightshiftError(f"{table} needs the columns path and label, as `nightshift label` writes them.")
            found = {row["path"]: clean(unguarded(row["label"] or "")) for row in rows if row["path"]}
    except OSError as error:
        raise NightshiftError(f"{table} cannot be read: {error.strerror}.") from None
    return {_below(path, root): label for path, label in found.items() if label}


def _below(path: str, root: Path | None) -> str:
    return str(Path(path).relative_to(root)) if root and Path(path).is_relative_to(root) else path


def _routes(session: Session, beginning: Beginning, images: EmbeddedFolder) -> APIRouter:
    @asynccontextmanager
    async def at_work(_: object) -> AsyncIterator[None]:
        yield
        beginning.stop()
        images.stop()

    router = APIRouter(lifespan=at_work)

    @router.get("/state")
    def state() -> Response:
        """How far the folder and its classes are, and what to do next."""
        found, reading = beginning.state, images.progress
        return answers.as_json({
            "files": reading.files, "read": reading.read, "embedded": reading.embedded, "images": reading.images,
            "at_work": reading.at_work, "faults": [*reading.faults, *filter(None, [found.fault])],
            "unreadable": len(reading.unreadable),
            "unreadable_files": reading.unreadable[:SHOWN_UNREADABLE], "judged": found.judged,
            "learning": found.learning,
            "classes": [{"label": label, "count": count} for label, count in found.counts.items()],
            "sentences": found.advice.sentences, "enough": found.advice.enough, "next": NEXT,
        })  # fmt: skip

    @router.get("/group")
    def group(page: Annotated[str, Query(min_length=1, max_length=64)]) -> Response:
        """The next images for this page."""
        found = beginning.group(page)
        return answers.as_json({"group": None if found is None else _as_json(found, session)})

    @router.post("/aside")
    def aside(said: Aside) -> Response:
        """Show these later."""
        beginning.put_aside(said.images, said.label)
        return answers.as_json({})

    @router.post("/name")
    def name(typed: Name) -> Response:
        """How a class is written; refused where it cannot be the name of one."""
        return answers.as_json({"label": session.spelled(_valid(typed.label))})

    @router.post("/rename")
    def rename(said: Renaming) -> Response:
        """Give all images of a class another label: another name, or another class."""
        new = _valid(said.new)
        if sameness(new) != sameness(said.old):
            new = session.spelled(new)
        changed = renamed(session.judgements, session.images, said.old, new, said.reader)
        session.add(changed)
        return answers.as_json({"label": new, "images": len({one.sha256 for one in changed})})

    return router


def _valid(typed: str) -> str:
    try:
        return valid_name(typed)
    except LabelError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None


def _as_json(group: Group, session: Session) -> dict[str, object]:
    return {
        "kind": group.kind, "label": group.label, "hint": group.hint,
        "tiles": [_tile(one, session) for one in group.members],
    }  # fmt: skip


def _tile(one: Member, session: Session) -> dict[str, object]:
    """An image of a group, in the short names of a sweep."""
    return {
        "s": one.sha256, "p": session.images[one.sha256].path, "l": one.label, "c": one.confidence, "o": one.other,
    }  # fmt: skip
