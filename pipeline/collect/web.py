"""A web address -> frames: an MJPEG stream or a snapshot asked for again and again, as the answer's Content-Type tells.

JPEGs are kept as they were sent.
"""

import logging
import re
import ssl
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from threading import Event
from time import monotonic
from typing import NamedTuple

import httpx

from pipeline.collect.address import Address
from pipeline.collect.frame import CHECK, EARLIEST, Frame, SourceLost, Timeouts, Why, now, told_time
from pipeline.collect.multipart import MOST_BYTES, TooLarge, parts_of
from pipeline.collect.newest import Newest, newest_frames, next_due
from pipeline.images.decode import UnreadableImage, upright_pixels

SNAPSHOT_EVERY = 1.0  # seconds between two snapshots where nobody says how many are wanted
JPEG_START = b"\xff\xd8\xff"
_NUMBER = re.compile(r"\[Errno -?\d+\] ")
REFUSED = (401, 403)
CERTIFICATE = (
    "its certificate is not trusted. Give the file with the certificate in the environment variable SSL_CERT_FILE, or, "
    "in a network of your own, use http://."
)


class _Sent(NamedTuple):
    """A picture as it came."""

    headers: Mapping[str, str]
    body: bytes
    arrived_at: datetime


class _Auth(httpx.DigestAuth):
    """Digest where the server offers it, else Basic: the password travels in clear only where nothing else works."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.user, address.password)
        self._either, self._basic = address, False

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The requests of one question, as httpx asks for them."""
        if not self._basic:
            digest = super().auth_flow(request)
            response = yield next(digest)
            offers = response.headers.get("www-authenticate", "").lower()
            self._basic = response.status_code == 401 and "digest" not in offers and "basic" in offers
            if not self._basic:
                try:
                    yield digest.send(response)
                except StopIteration:
                    return
                return
        yield from httpx.BasicAuth(self._either.user, self._either.password).auth_flow(request)


def web_frames(address: Address, every: float, timeouts: Timeouts, stop: Event | None) -> Iterator[Frame]:
    """The frames of an MJPEG stream or a snapshot. Raises SourceLost."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else it logs every address, and passwords in its query
    waits = httpx.Timeout(timeouts.read, connect=timeouts.connect)
    auth = _Auth(address) if address.user or address.password else None
    with (
        httpx.Client(auth=auth, timeout=waits, follow_redirects=True) as client,
        closing(_ask(client, address)) as first,
    ):
        kind, _, parameters = first.headers.get("content-type", "").partition(";")
        if kind.strip().lower().startswith("multipart/"):
            boundary = parameters.partition("boundary=")[2].partition(";")[0].strip()
            read = partial(_read_parts, address, first, boundary)
            yield from newest_frames(address, read, _frame, every=every, timeouts=timeouts, stop=stop)
        else:
            yield from _snapshots(client, address, first, every or SNAPSHOT_EVERY, timeouts, stop)


def _ask(client: httpx.Client, address: Address) -> httpx.Response:
    """The answer, whose body is not read yet. Raises SourceLost."""
    try:
        response = client.send(client.build_request("GET", address.place), stream=True)
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError) as error:
        lost = _lost(address, error)
    else:
        if response.is_success:
            return response
        response.close()
        lost = _not_given(address, response.status_code)
    raise lost  # outside of `except`: the library's error holds the request with its password


def _read_parts(address: Address, response: httpx.Response, boundary: str, newest: Newest[_Sent]) -> SourceLost:
    """Put each part of an MJPEG stream; why it ended."""

    def chunks() -> Iterator[bytes]:
        for chunk in response.iter_bytes():
            if newest.closed.is_set():
                return
            yield chunk

    newest.hear()
    try:
        for headers, body in parts_of(chunks(), boundary):
            if body:
                newest.put(_Sent(headers, body, now()))
    except TooLarge as error:
        return _too_large(address, error)
    except (httpx.HTTPError, httpx.StreamError) as error:
        return _lost(address, error)
    return SourceLost(address, Why.ENDED, "it closed the connection.")


def _snapshots(
    client: httpx.Client,
    address: Address,
    response: httpx.Response,
    every: float,
    timeouts: Timeouts,
    stop: Event | None,
) -> Iterator[Frame]:
    stop = stop or Event()
    due = asked = good = monotonic()
    while True:
        with closing(response):
            body = _body(address, response, timeouts)
        if (frame := _frame(_Sent(response.headers, body, now()))) is not None:
            good = monotonic()
            yield frame
        elif not response.headers.get("content-type", "image/").startswith(("image/", "application/octet-stream")):
            kind = response.headers["content-type"]
            raise SourceLost(address, Why.BROKEN, f"it answers with {kind}. Give the address of the picture itself.")
        elif monotonic() > good + timeouts.picture:
            raise SourceLost(address, Why.BROKEN, f"it sent no whole picture for {timeouts.picture:g} seconds.")
        due = next_due(due, asked, every)
        if stop.wait(max(0.0, due - monotonic())):
            return
        asked, response = monotonic(), _ask(client, address)


def _body(address: Address, response: httpx.Response, timeouts: Timeouts) -> bytes:
    """The whole body. Raises SourceLost when it does not come within the timeout or is too large."""
    body, until = bytearray(), monotonic() + timeouts.read
    lost = None
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                lost = _too_large(address, TooLarge(len(body)))
                break
            if monotonic() > until:  # each single read was in time
                lost = SourceLost(address, Why.SILENT, f"its picture took longer than {timeouts.read:g} seconds.")
                break
    except (httpx.HTTPError, httpx.StreamError) as error:
        lost = _lost(address, error)
    if lost is not None:
        raise lost
    return bytes(body)


def _frame(sent: _Sent) -> Frame | None:
    """The decoded picture; None where it is damaged."""
    try:
        pixels = upright_pixels(sent.body)
    except UnreadableImage:
        return None
    jpeg = sent.body if sent.body.startswith(JPEG_START) else None
    return Frame(pixels, jpeg, _told(sent.headers), sent.arrived_at)


def _told(headers: Mapping[str, str]) -> datetime | None:
    """The camera's own clock: X-Timestamp (seconds since 1970), else when it made the picture, else when it sent it."""
    try:
        return told_time(float(headers.get("x-timestamp", "")))
    except ValueError:
        pass
    for name in ("last-modified", "date"):
        try:
            told = parsedate_to_datetime(headers.get(name, ""))
        except ValueError:
            continue
        if told.tzinfo is not None and told >= EARLIEST:
            return told
    return None


def _not_given(address: Address, status: int) -> SourceLost:
    """Why an answer does not hold a picture."""
    if status in REFUSED:
        owner = "user or password is wrong" if address.user or address.password else "it asks for a user and a password"
        return SourceLost(address, Why.REFUSED, f"{owner} (HTTP {status}). Write them as http://user:password@host/…")
    reason = "it has nothing at this path: check the address" if status == 404 else "it cannot give a picture now"
    return SourceLost(address, Why.UNREACHABLE, f"{reason} (HTTP {status}).")


def _too_large(address: Address, error: TooLarge) -> SourceLost:
    return SourceLost(address, Why.BROKEN, f"it sends a picture of {error} bytes; at most {MOST_BYTES} are read.")


def _lost(address: Address, error: Exception) -> SourceLost:
    """What an error of the library means."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SourceLost(address, Why.UNREACHABLE, CERTIFICATE)
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout():
            why, reason = Why.UNREACHABLE, f"it did not answer in time. {CHECK}"
        case httpx.TimeoutException():
            why, reason = Why.SILENT, f"it sent nothing within the timeout. {CHECK}"
        case httpx.ConnectError():
            why, reason = Why.UNREACHABLE, f"it does not answer ({_NUMBER.sub('', str(error))}). {CHECK}"
        case httpx.NetworkError() | httpx.RemoteProtocolError() | httpx.StreamError():
            why, reason = Why.ENDED, f"the connection broke ({error})."
        case _:
            why, reason = Why.BROKEN, f"its answer is not valid HTTP ({type(error).__name__}: {error})."
    return SourceLost(address, why, reason)
