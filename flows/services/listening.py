"""Who listens on this machine's ports, and whether a server answers. Knows nothing about a server but its address."""

import socket

import httpx
import psutil

from flows.services.configuration import LOOPBACK, ServicesError


def require_free(port: int, service: str) -> None:
    """Raise ServicesError when another process listens on `port` of this machine."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except PermissionError:
        raise ServicesError(
            f"Port {port} needs root's rights. Choose one above 1023: `nightshift up --{service}-port {port + 8000}`."
        ) from None
    except OSError:
        raise ServicesError(
            f"Port {port}, where {service} must listen, is in use by {_listener(port)}. Stop it, or choose another: "
            f"`nightshift up --{service}-port {port + 1}` (or NIGHTSHIFT_{service.upper()}_PORT={port + 1})."
        ) from None


def answers(address: str) -> bool:
    """Whether a server answers at `address` that it is healthy."""
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.HTTPError:
        return False


def require_answer(address: str, variable: str) -> None:
    """Raise ServicesError when a server elsewhere, which `variable` names, does not answer."""
    if not answers(address):
        raise ServicesError(
            f"The server that {variable} names does not answer at {address}. Start it, correct {variable}, or unset "
            "it, so that `nightshift up` starts one here."
        )


def _listener(port: int) -> str:
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"process {one.pid} ({' '.join(psutil.Process(one.pid).cmdline())[:100]})"
    except psutil.Error:
        pass
    return f"another user's process (as root, `ss -ltnp sport = :{port}` names it)"
