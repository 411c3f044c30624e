"""The server behind the start page: below it the nights' pages and reviews, each at an address of its own.

A review is opened when somebody goes to it, and again when what it is of has changed. A few stay open.
"""

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import LABEL_ISSUES, MANIFEST, PREDICTIONS, REPORTS_INDEX
from pipeline.core.text import shown
from pipeline.night.neighbours import MORNING
from pipeline.night.summary import SUMMARY
from pipeline.params.file import load_params
from pipeline.review.answers import NEVER_STORED
from pipeline.review.background import Background
from pipeline.review.of_night import open_night
from pipeline.review.of_suspects import open_suspects
from pipeline.review.opened import Opened
from pipeline.review.serve import app_of
from pipeline.review.session import Session
from pipeline.review.shown_files import shown_file
from pipeline.review.start import ALL, NIGHTS, SUSPECTS, Elsewhere, review_of, start_page
from pipeline.review.training_process import Trainer
from pipeline.storage.folders import folder_at

OPEN = 4  # reviews: each holds its night's rows
SHOWN = {"predictions": PREDICTIONS, "reports": REPORTS_INDEX.parent}  # folders whose files have addresses
HEALTH = "/health"
MARK = b"<!-- review -->"  # where a morning page may have its link to the review

OpenReview = Callable[[Path | None], Opened]  # of a night's folder, or of the suspects; raises NightshiftError


def make_front(
    elsewhere: Callable[[], Elsewhere], open_review: OpenReview | None = None, trainer: Trainer | None = None
) -> FastAPI:
    """The server, without its guard. elsewhere: asked at each visit of the page. open_review: of a night's folder.

    trainer: what the button in each review starts; None leaves the button out.
    """
    opener = open_review or _open
    nights = Reviews(lambda name: _of_night(name, opener), trainer)
    suspects = Reviews(lambda name: _of_suspects(name, opener), trainer)

    @asynccontextmanager
    async def until_the_end(_: FastAPI) -> AsyncIterator[None]:
        yield
        nights.end()
        suspects.end()

    app = FastAPI(title="Nightshift", openapi_url=None, lifespan=until_the_end)
    app.mount(f"/{NIGHTS}", nights)
    app.mount(f"/{SUSPECTS}", suspects)

    @app.get("/")
    def start() -> HTMLResponse:
        return HTMLResponse(start_page(elsewhere()), headers=NEVER_STORED)

    for name, folder in SHOWN.items():
        _serve(app, name, folder)

    @app.exception_handler(NightshiftError)
    def refused(_request: Request, error: NightshiftError) -> Response:
        return PlainTextResponse(str(error), HTTPStatus.SERVICE_UNAVAILABLE)

    return app


def _serve(app: FastAPI, name: str, folder: Path) -> None:
    """Show the files of a folder."""

    @app.get(f"/{name}/{{path:path}}")
    def file(path: str) -> Response:
        if (place := shown_file(folder, path)) is None:
            return PlainTextResponse(f"There is no {name}/{shown(path)}.", HTTPStatus.NOT_FOUND)
        if place.name == MORNING and place.parent.parent == PREDICTIONS:
            return HTMLResponse(with_review(place.read_bytes(), place.parent.name), headers=NEVER_STORED)
        return FileResponse(place, headers=NEVER_STORED)


def with_review(page: bytes, night: str) -> bytes:
    """A morning page with a link to the review of its night: where it has the mark, else as its first line."""
    link = f'<li><a href="../../{review_of(night)}">Look and correct in the browser</a>: every click is kept.</li>'
    if MARK in page:
        return page.replace(MARK, link.encode(), 1)
    return page.replace(b"<body>", f"<body>\n<ul>{link}</ul>".encode(), 1)


@dataclass(frozen=True, slots=True)
class Place:
    """What a review is of, as it is now."""

    folder: Path | None  # of a night; None: the suspects
    written: float  # when it was; a later time is another review
    open: Callable[[], Opened]


def _of_night(name: str, opener: OpenReview) -> Place:
    """The night in predictions/ of that name. Raises NightshiftError."""
    folder = PREDICTIONS / name
    if name.startswith(".") or "/" in name or not (folder / SUMMARY).is_file():
        raise NightshiftError(f"There is no finished night {shown(name)} in {PREDICTIONS}.")
    return Place(folder, (folder / SUMMARY).stat().st_mtime, lambda: opener(folder))


def _of_suspects(name: str, opener: OpenReview) -> Place:
    """The images of data/raw whose labels may be wrong. Raises NightshiftError."""
    if name != ALL:
        raise NightshiftError(f"There are no suspects {shown(name)}.")
    written = max((file.stat().st_mtime for file in (MANIFEST, LABEL_ISSUES) if file.is_file()), default=0.0)
    return Place(None, written, lambda: opener(None))


def _open(folder: Path | None) -> Opened:
    """The review of a night, or of the suspects. Raises NightshiftError."""
    return open_suspects() if folder is None else open_night(folder_at(folder))


class _Known(NamedTuple):
    written: float
    app: ASGIApp
    background: Background


class Reviews:
    """Reviews below `/<name>/`, each a server of its own."""

    def __init__(self, place: Callable[[str], Place], trainer: Trainer | None) -> None:
        """place: of a name; raises NightshiftError."""
        self._place, self._trainer, self._alone = place, trainer, threading.Lock()
        self._known: dict[str, _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the review that its path names."""
        root = scope.get("root_path", "")
        name, slash, _ = scope["path"].removeprefix(root).removeprefix("/").partition("/")
        if not slash:
            answer = RedirectResponse(f"{root}/{quote(os.fsencode(name), safe='')}/")
            await answer(scope, receive, send)
            return
        try:
            app = await run_in_threadpool(self._review, name)
        except (NightshiftError, OSError) as error:
            await PlainTextResponse(str(error), HTTPStatus.NOT_FOUND)(scope, receive, send)
            return
        await app({**scope, "root_path": f"{root}/{name}"}, receive, send)

    def _review(self, name: str) -> ASGIApp:
        """The server of a review. Raises NightshiftError, OSError."""
        place = self._place(name)
        with self._alone:
            known = self._known.pop(name, None)
            if known is None or known.written != place.written:
                if known:
                    known.background.end()
                session = Session(place.open())
                app = app_of(session, load_params().compute, self._trainer)
                known = _Known(place.written, app, Background(session))
                known.background.start()
            self._known[name] = known
            for oldest in [*self._known][:-OPEN]:
                self._known.pop(oldest).background.end()
            return known.app

    def end(self) -> None:
        """End all that are open."""
        with self._alone:
            for known in self._known.values():
                known.background.end()
            self._known.clear()
