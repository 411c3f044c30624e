"""The server behind the start page: below it the nights' pages and reviews, each at an address of its own.

A review is opened when somebody goes to it, and again when its night has been run again. A few stay open.
"""

import os
import threading
from collections.abc import Callable
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
from pipeline.core.paths import PREDICTIONS, REPORTS_INDEX
from pipeline.core.text import shown
from pipeline.night.neighbours import MORNING
from pipeline.night.summary import SUMMARY
from pipeline.review.answers import NEVER_STORED
from pipeline.review.app import make_app
from pipeline.review.of_night import open_night
from pipeline.review.opened import Opened
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.review.start import NIGHTS, Elsewhere, review_of, start_page
from pipeline.storage.folders import folder_at

OPEN = 4  # reviews: each holds its night's rows
SHOWN = {"predictions": PREDICTIONS, "reports": REPORTS_INDEX.parent}  # folders whose files have addresses
HEALTH = "/health"
MARK = b"<!-- review -->"  # where a morning page may have its link to the review

OpenReview = Callable[[Path], Opened]  # gives the review of a night's folder; raises NightshiftError


def make_front(elsewhere: Callable[[], Elsewhere], open_review: OpenReview | None = None) -> FastAPI:
    """The server, without its guard. elsewhere: asked at each visit of the page. open_review: of a night's folder."""
    app = FastAPI(title="Nightshift", openapi_url=None)
    app.mount(f"/{NIGHTS}", Nights(open_review or (lambda output: open_night(folder_at(output)))))

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
    """Show the files of a folder: nothing that is hidden, and nothing outside of it."""

    @app.get(f"/{name}/{{path:path}}")
    def file(path: str) -> Response:
        place = folder / path
        hidden = any(part.startswith(".") for part in Path(path).parts)
        if hidden or not place.is_file() or not place.resolve().is_relative_to(folder.resolve()):
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


class _Opened(NamedTuple):
    written: float  # when the night was
    app: ASGIApp


class Nights:
    """The reviews of the nights in predictions/, below `/<folder>/`."""

    def __init__(self, open_review: OpenReview, predictions: Path = PREDICTIONS) -> None:
        """None is open yet."""
        self._open_review, self._predictions, self._alone = open_review, predictions, threading.Lock()
        self._opened: dict[str, _Opened] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the review that its path names."""
        root = scope.get("root_path", "")
        folder, slash, _ = scope["path"].removeprefix(root).removeprefix("/").partition("/")
        if not slash:
            answer = RedirectResponse(f"{root}/{quote(os.fsencode(folder), safe='')}/")
            await answer(scope, receive, send)
            return
        try:
            app = await run_in_threadpool(self._review, folder)
        except (NightshiftError, OSError) as error:
            await PlainTextResponse(str(error), HTTPStatus.NOT_FOUND)(scope, receive, send)
            return
        await app({**scope, "root_path": f"{root}/{folder}"}, receive, send)

    def _review(self, folder: str) -> ASGIApp:
        """The review of a night. Raises NightshiftError, OSError."""
        if folder.startswith(".") or "/" in folder or not folder:
            raise NightshiftError(f"There is no night {shown(folder)}.")
        output = self._predictions / folder
        with self._alone:
            written = (output / SUMMARY).stat().st_mtime if (output / SUMMARY).is_file() else 0.0
            if (known := self._opened.pop(folder, None)) is None or known.written != written:
                opened = self._open_review(output)
                known = _Opened(written, make_app(Session(opened), Pictures(opened.images)))
            self._opened[folder] = known
            for oldest in [*self._opened][:-OPEN]:
                del self._opened[oldest]
            return known.app
