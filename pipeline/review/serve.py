"""The review's own server: an address of this machine with a token, the same as last time, until Ctrl-C."""

import json
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

from pipeline.core.errors import NightshiftError
from pipeline.params.model import Compute
from pipeline.review.app import make_app
from pipeline.review.explain import Explainer
from pipeline.review.guard import TOKEN, Guard
from pipeline.review.opened import Opened
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.storage.files import replacing

LOOPBACK = "127.0.0.1"
ADDRESS = Path(".nightshift/review.json")  # of the last review: a page that was open finds its server again


class Address(BaseModel):
    """Where a server listens, and who may ask it."""

    port: int = 0
    token: str = ""


class ServeError(NightshiftError):
    """The server cannot listen; says what to do."""


def last_address(file: Path = ADDRESS) -> Address:
    """Where the last review was; port 0 and a new token when there was none."""
    try:
        return Address.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return Address(token=secrets.token_urlsafe(24))


def keep_address(address: Address, file: Path = ADDRESS) -> None:
    """Keep it for the next review; only its user may read it."""
    with replacing(file) as beside:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(address.model_dump(), out)


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
    """The server of a review with all that it can show."""
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
        app = Guard(app_of(session, compute), found.token, hosts(found.port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
        tell(f"http://{LOOPBACK}:{found.port}/?{TOKEN}={found.token}")
        server.run(sockets=[opened_socket])


def hosts(port: int) -> list[str]:
    """The names by which a browser on this machine calls the server."""
    return [f"{name}:{port}" for name in (LOOPBACK, "localhost")]
