"""The server of one review: the page, its files, and what the page asks and says. Judges nothing.

All addresses are relative, so that it may be mounted below another server's. A judgement is on the disk before its
request is answered.
"""

import asyncio
import getpass
from collections.abc import Callable
from http import HTTPStatus
from os import PathLike, stat_result
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from pipeline.core.errors import NightshiftError
from pipeline.core.pages import render
from pipeline.core.paths import REPORTS_INDEX
from pipeline.images.decode import Picture
from pipeline.review import answers, bringing_in, training_button
from pipeline.review.clicks import SHA256, Clicks
from pipeline.review.explain import Explainer
from pipeline.review.opened import Beside
from pipeline.review.pictures import PictureError, Pictures, View
from pipeline.review.session import Session
from pipeline.review.shown_files import shown_file
from pipeline.review.training_process import Trainer

T = TypeVar("T")
TEMPLATE = "review/page.html"
STATIC = Path(__file__).with_name("static")
FOR_EVER = "private, max-age=31536000, immutable"  # the address names the content
REVIEW = "X-Nightshift-Review"  # the header by which a page names its review
MOST_AHEAD = 8  # images that a page may take at once

Sha256 = Annotated[str, Query(pattern=SHA256)]
Page = Annotated[str, Query(min_length=1, max_length=64)]  # a name that a page gives itself
Name = Annotated[str, Query(min_length=1, max_length=100)]


class _Static(StaticFiles):
    """The page's files; a browser asks again whether they have changed, as after an upgrade."""

    def file_response(
        self, full_path: PathLike[str] | str, stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or that the browser has it."""
        found = super().file_response(full_path, stat_result, scope, status_code)
        found.headers["Cache-Control"] = "no-cache"
        return found


def make_app(
    session: Session, pictures: Pictures, explainer: Explainer | None = None, trainer: Trainer | None = None
) -> FastAPI:
    """The server of this review, without its guard. explainer: None where no model is at hand.

    trainer: None where the page cannot train.
    """
    app = FastAPI(title="Nightshift review", openapi_url=None)
    app.mount("/static", _Static(directory=STATIC), name="static")
    same = [Depends(_same(session))]
    app.include_router(_words(session), dependencies=same)
    app.include_router(_pictures(session, pictures))
    app.include_router(_explained(session, pictures, explainer))
    app.include_router(bringing_in.routes(), dependencies=same)
    if trainer:
        app.include_router(training_button.routes(trainer), dependencies=same)
        app.include_router(_reports())
    for part in session.opened.parts:
        app.include_router(part.routes(session), prefix="/part", dependencies=same)

    @app.get("/")
    def page(request: Request) -> HTMLResponse:
        opened = session.opened
        return HTMLResponse(
            render(
                TEMPLATE, title=opened.title, about=opened.about, left_out=opened.left_out, name=opened.name,
                scripts=[part.script for part in opened.parts],
                start="../../" if request.scope.get("root_path") else "", trains=trainer is not None,
            ),
            headers=answers.NEVER_STORED,
        )  # fmt: skip

    @app.exception_handler(NightshiftError)
    def refused(_request: Request, error: NightshiftError) -> Response:
        """Such as a full disk: the page shows the words and keeps the clicks."""
        found = answers.as_json({"error": str(error)})
        found.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return found

    @app.exception_handler(Exception)
    def failed(_request: Request, _error: Exception) -> Response:
        """A fault of the server: its terminal has the traceback."""
        found = answers.as_json({"error": "The server failed at it; its terminal says how."})
        found.status_code = HTTPStatus.INTERNAL_SERVER_ERROR
        return found

    return app


def _same(session: Session) -> Callable[[str], None]:
    """Refuses a page of another review, which had its server at this address before."""

    def check(review: Annotated[str, Header(alias=REVIEW)] = "") -> None:
        if review not in ("", session.opened.key):
            raise HTTPException(
                HTTPStatus.CONFLICT,
                f"This address now has another review: {session.opened.title}. End it with Ctrl-C, and run "
                "`nightshift review` for the images of this page again.",
            )

    return check


def _words(session: Session) -> APIRouter:
    router = APIRouter(prefix="/api")
    edition = _edition(session)

    @router.get("/session")
    def about() -> Response:
        """What the page needs to begin."""
        opened = session.opened
        return answers.as_json({
            "key": opened.key, "title": opened.title, "edition": edition, "epoch": session.epoch,
            "labels": session.labels, "sweeps": opened.sweeps,
            "invents": opened.may_invent, "draws": bool(opened.drawn), "reader": getpass.getuser(),
            "progress": answers.progress(session.progress),
        })  # fmt: skip

    @router.get("/tiles")
    def tiles(label: Annotated[str, Query(max_length=200)]) -> Response:
        """The images that the model calls `label`, the least certain first."""
        found = sorted(
            (one for one in session.images.values() if one.proposed == label),
            key=lambda one: 1.0 if one.confidence is None else one.confidence,
        )
        _, now = session.changed(0)
        return answers.as_json({"tiles": [answers.tile(one, session) for one in found], "since": now})

    @router.get("/next")
    def next_images(
        page: Page, reader: Name, count: Annotated[int, Query(ge=1, le=MOST_AHEAD)] = 1,
        only: Annotated[str, Query(pattern="^(differ|random)?$")] = "",
        skip: Annotated[str, Query(max_length=8000)] = "",
    ) -> Response:  # fmt: skip
        """The next images for this page, which nobody else gets while it is open."""
        found = session.take(page, reader, count, frozenset(skip.split()), only)
        return answers.as_json({"images": [answers.image(one, session) for one in found]})

    @router.get("/image")
    def one_image(sha256: Sha256) -> Response:
        """An image that the reader has come back to."""
        if (found := session.images.get(sha256)) is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return answers.as_json(answers.image(found, session))

    @router.post("/judgements")
    def judge(said: Clicks) -> Response:
        """Keep judgements; the answer says which are on the disk, and why others never will be."""
        refused = session.judge(said.reader, said.clicks)
        verdicts = {one.sha256: answers.verdict_of(session.verdict(one.sha256)) for one in said.clicks}
        return answers.as_json({
            "kept": [one.click for one in said.clicks if one.click not in refused],
            "refused": [{"click": click, "why": why} for click, why in refused.items() if why],
            "verdicts": verdicts, "labels": session.labels,
            "progress": answers.progress(session.progress),
        })  # fmt: skip

    @router.get("/news")
    def news(page: Page, reader: Name, since: Annotated[int, Query(ge=0)] = 0, epoch: str = "") -> Response:
        """What others have done meanwhile; also the page's sign of life."""
        session.alive(page, reader)
        changed, now = session.changed(since) if epoch == session.epoch else ([], 0)
        return answers.as_json({
            "epoch": session.epoch, "since": now, "labels": session.labels, "edition": edition,
            "renewed": _edition(session) != edition,
            "verdicts": {sha256: answers.verdict_of(session.verdict(sha256)) for sha256 in changed},
            "progress": answers.progress(session.progress),
        })  # fmt: skip

    return router


def _edition(session: Session) -> str:
    """Which one of its images this is, as they are now."""
    return session.opened.edition() if session.opened.edition else ""


def _pictures(session: Session, pictures: Pictures) -> APIRouter:
    router = APIRouter()

    @router.get("/thumbnail/{sha256}")
    async def thumbnail(sha256: str, if_none_match: Annotated[str, Header()] = "") -> Response:
        """A small picture."""
        place = _place(session, sha256)
        if if_none_match.strip('"') == sha256:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_kept(sha256))
        data = await _made(pictures, lambda: pictures.thumbnail(sha256, place))
        return Response(data, media_type="image/webp", headers=_kept(sha256))

    @router.get("/picture/{sha256}")
    async def picture(
        sha256: str, centre: float | None = None, width: Annotated[float | None, Query(gt=0)] = None,
        white: Annotated[int | None, Query(ge=1, le=65535)] = None,
    ) -> Response:  # fmt: skip
        """A large picture; centre and width, or white: another window than the model's."""
        place = _place(session, sha256)
        view = View(None if centre is None or width is None else (centre, width), white)
        shown = await _made(pictures, lambda: pictures.large(sha256, place, view))
        return Response(shown, media_type="image/webp", headers=_kept(sha256))

    return router


def _explained(session: Session, pictures: Pictures, explainer: Explainer | None) -> APIRouter:
    router = APIRouter()

    @router.get("/api/beside")
    async def beside(sha256: Sha256) -> Response:
        """Labelled images to compare with: those that belong to it, then the training images most like it."""
        place = _place(session, sha256)

        def find() -> tuple[Picture, tuple[Beside, ...]]:
            picture, found = pictures.as_model_sees(sha256, place), session.opened.beside.get(sha256, ())
            alike = explainer.nearest(picture) if explainer else ()
            return picture, found + tuple(one for one in alike if one.sha256 != sha256)

        picture, found = await _made(pictures, find)
        session.show_beside(found)
        return answers.as_json({
            "images": [answers.beside(one) for one in found], "explains": explainer is not None,
            "about": {"width": picture.width, "height": picture.height, "format": picture.format, "bits": picture.bits},
        })  # fmt: skip

    @router.get("/heat/{sha256}")
    async def heat(sha256: str) -> Response:
        """Where the model's answer comes from, to lie over the picture."""
        place = _place(session, sha256)
        if explainer is None:
            raise HTTPException(HTTPStatus.GONE, "the model is not at hand")
        label = session.images[sha256].proposed if sha256 in session.images else ""
        data = await _made(pictures, lambda: explainer.heat(pictures.as_model_sees(sha256, place), label))
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    return router


def _reports() -> APIRouter:
    router = APIRouter(prefix=f"/{REPORTS_INDEX.parent}")

    @router.get("/{path:path}")
    def report(path: str) -> Response:
        """A page of the last training."""
        if (file := shown_file(REPORTS_INDEX.parent, path)) is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return FileResponse(file, headers=answers.NEVER_STORED)

    return router


def _place(session: Session, sha256: str) -> str:
    if (place := session.place_of(sha256)) is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return place


async def _made(pictures: Pictures, make: Callable[[], T]) -> T:
    """What `make` makes, on the threads for pictures."""
    try:
        return await asyncio.get_running_loop().run_in_executor(pictures.pool, make)
    except PictureError as error:
        raise HTTPException(HTTPStatus.GONE, str(error)) from None


def _kept(sha256: str) -> dict[str, str]:
    return {"Cache-Control": FOR_EVER, "ETag": f'"{sha256}"'}
