"""The review's own server: an address of this machine with a token, the same as last time, until Ctrl-C."""

import errno
import json
import os
import socket
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from fastapi import FastAPI

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.params.model import Compute
from pipeline.review.address import LOOPBACK, Address, address_of, hosts, keep_address, last_address
from pipeline.review.app import make_app
from pipeline.review.background import Background
from pipeline.review.explain import Explainer
from pipeline.review.guard import Guard, cookie_of
from pipeline.review.opened import Opened
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.review.training_process import Trainer

Tell = Callable[[str], None]

PATIENCE = 3.0  # seconds in which a server that is ending leaves its port
LOOK = 0.2  # seconds between two attempts
ANSWER = 2.0  # seconds in which a server of this machine answers


class ServeError(NightshiftError):
    """The server cannot listen; says what to do."""


def listening(port: int | None, last: int, patience: float = 0.0) -> socket.socket:
    """A socket on this port; None: on the last one where it is free within `patience` seconds, else on any.

    Raises ServeError.
    """
    until = time.monotonic() + patience
    while wanted := port or last:
        try:
            return socket.create_server((LOOPBACK, wanted))
        except OSError as error:
            if port:
                raise ServeError(f"Port {port} {_fault(error)}. Choose another with --port, or leave it out.") from None
        if time.monotonic() >= until:
            break
        time.sleep(LOOK)
    return socket.create_server((LOOPBACK, 0))


def is_open(address: Address, key: str) -> bool:
    """Whether a server at this address has the review."""
    if not address.port:
        return False
    asked = urllib.request.Request(
        f"http://{LOOPBACK}:{address.port}/api/session",
        headers={"Cookie": f"{cookie_of(address.port)}={address.token}"},
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=ANSWER) as answer:
            found = json.loads(answer.read())
    except (OSError, ValueError, HTTPException):
        return False
    return isinstance(found, dict) and found.get("key") == key


def _fault(error: OSError) -> str:
    words = {errno.EADDRINUSE: "is used by another program", errno.EACCES: "needs the rights of an administrator"}
    return words.get(error.errno or 0, f"cannot be used: {os.strerror(error.errno or 0)}")


def app_of(session: Session, compute: Compute, trainer: Trainer | None = None) -> FastAPI:
    """The server of a review with all that it can show; the caller begins the work beside its clicks."""
    opened = session.opened
    explainer = Explainer(opened.model, compute) if opened.model else None
    return make_app(session, Pictures(opened.images), explainer, trainer)


def serve(
    opened: Opened, compute: Compute, port: int | None, tell: Tell, warn: Tell = log.warning,
    trainer: Trainer | None = None,
) -> None:  # fmt: skip
    """Serve a review until Ctrl-C. compute: for the model. tell: is given the address when it listens.

    warn: is told that the port of the last time is taken; trainer: of the page's button. Raises ServeError.
    """
    import uvicorn

    session, file = Session(opened), address_of(opened.key)
    last = last_address(file)
    if port is None and is_open(last, opened.key):
        raise ServeError(f"This review is open already. Go to {last.page} or end the other command with Ctrl-C.")
    with listening(port, last.port, PATIENCE) as opened_socket:
        found = Address(port=opened_socket.getsockname()[1], token=last.token)
        if port is None and last.port not in (0, found.port):
            warn(
                f"Port {last.port}, where this review was the last time, is used by another program. A page that is "
                f"still open there does not find this server: if it says that clicks are kept, free that port and run "
                f"this command again with --port {last.port}."
            )
        keep_address(found, file)
        background = Background(session)
        app = Guard(app_of(session, compute, trainer), found.token, hosts(found.port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
        tell(found.page)
        background.start()
        try:
            server.run(sockets=[opened_socket])
        finally:
            background.end()
