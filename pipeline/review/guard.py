"""Who may talk to the server: whoever knows the token of its address, from this machine's own name. Knows no page.

As Jupyter does it: the address holds a token, which becomes a cookie. The names of the host and of the page that asks
are checked, so that a page elsewhere cannot reach the server through a name of its own (DNS rebinding) or by a form.
"""

import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.review.address import TOKEN

YEAR = 365 * 24 * 3600
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "no-referrer",  # the token stands in the address
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Lets a request through that has the token, and names this server."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]) -> None:
        """hosts: the names by which the server may be called, with their ports: `127.0.0.1:8000`."""
        self._app, self._token, self._hosts = app, token, frozenset(hosts)
        port = next(iter(sorted(self._hosts)), ":").rpartition(":")[2]
        self._cookie = cookie_of(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":  # the server's own start and end
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        refused = self._refusal(scope)
        await (refused or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("This server answers only to this machine's own address.", 421)
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and (
            origin not in (None, f"http://{host}") or headers.get("sec-fetch-site", "same-origin") != "same-origin"
        ):
            return PlainTextResponse("A page elsewhere may not change anything here.", 403)
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if self._knows(dict(asked).get(TOKEN, "")):
            rest = urlencode([(name, value) for name, value in asked if name != TOKEN])
            found = RedirectResponse("/" + scope["path"].lstrip("/") + ("?" if rest else "") + rest, 303)
            found.set_cookie(self._cookie, self._token, max_age=YEAR, httponly=True, samesite="lax")
            return found
        if self._knows(_cookies(headers).get(self._cookie, "")):
            return None
        return PlainTextResponse(
            "This page needs the whole address, with its token, that the command has printed. "
            "Open that one, or run the command again.", 403,
        )  # fmt: skip

    def _knows(self, token: str) -> bool:
        return secrets.compare_digest(token.encode("utf-8", "surrogateescape"), self._token.encode())


def cookie_of(port: int | str) -> str:
    """The name of the cookie with the token: a browser has the cookies of all ports in one jar."""
    return f"nightshift-{port}"


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
