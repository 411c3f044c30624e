"""The review's own server: an address of this machine with a token, the same as last time, until Ctrl-C."""

import socket
from collections.abc import Callable

from fastapi import FastAPI

from pipeline.core.errors import NightshiftError
from pipeline.params.model import Compute
from pipeline.review.address import LOOPBACK, Address, hosts, keep_address, last_address
from pipeline.review.app import make_app
from pipeline.review.background import Background
from pipeline.review.explain import Explainer
from pipeline.review.guard import Guard
from pipeline.review.opened import Opened
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session


class ServeError(NightshiftError):
    """The server cannot listen; says what to do."""


def listening(port: int | None, last: int) -> socket.socket:
    """A socket on this port; None: on the last one where it is free, else on any. Raises ServeError."""
    for wanted in (port,) if port else (last, 0) if last else (0,):
        try:
            return socket.create_server((LOOPBACK, wanted))
        except OSError as error:
            if port:
                raise ServeError(
                    f"Port {port} cannot be used ({error.strerror}). Choose another with --port, or leave it out."
                ) from None
    raise AssertionError("port 0 is any free one")


def app_of(session: Session, compute: Compute) -> FastAPI:
    """The server of a review with all that it can show; the caller begins the work beside its clicks."""
    opened = session.opened
    return make_app(session, Pictures(opened.images), Explainer(opened.model, compute) if opened.model else None)


def serve(opened: Opened, compute: Compute, port: int | None, tell: Callable[[str], None]) -> None:
    """Serve a review until Ctrl-C. compute: for the model. tell: is given the address when it listens."""
    import uvicorn

    session = Session(opened)
    last = last_address()
    with listening(port, last.port) as opened_socket:
        found = Address(port=opened_socket.getsockname()[1], token=last.token)
        keep_address(found)
        background = Background(session)
        app = Guard(app_of(session, compute), found.token, hosts(found.port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
        tell(found.page)
        background.start()
        try:
            server.run(sockets=[opened_socket])
        finally:
            background.end()
