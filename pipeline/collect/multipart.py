"""A stream of bytes in parts (multipart/x-mixed-replace, as MJPEG cameras send) -> the parts. Decodes no picture.

Cameras differ: with and without Content-Length, a boundary with its hyphens doubled or left out, bytes between parts.
So we go by the boundary that stands in the stream, and look for the next one wherever a part ends differently.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

MOST_BYTES = 64 << 20  # of one picture
MOST_LINE = 8 << 10  # bytes of a line of a header
MOST_HEADERS = 100


class TooLarge(ValueError):  # noqa: N818 - whoever reads a stream says what it means there
    """A part has more bytes than a picture."""


class Part(NamedTuple):
    """One part."""

    headers: Mapping[str, str]  # names in lower case
    body: bytes


def parts_of(chunks: Iterable[bytes], boundary: str = "") -> Iterator[Part]:
    """The whole parts of a stream, until it ends. boundary: as Content-Type has it. Raises TooLarge."""
    stream, declared, seen = _Stream(chunks), boundary.strip('"').strip("-").encode("latin-1", "replace"), b""
    while (line := stream.line()) is not None:
        text = line.strip()
        # Some declare a boundary that they never send: then the first line that looks like one is it.
        if not text.startswith(b"--") or not (text == seen or (declared and declared in text) or not seen):
            continue
        seen = text
        headers = _headers(stream)
        length = headers.get("content-length", "")
        body = stream.exactly(int(length)) if length.isdecimal() else stream.until(b"\n" + seen)
        if body is None:
            return
        yield Part(headers, body)


def _headers(stream: "_Stream") -> dict[str, str]:
    """The headers of a part, up to the empty line."""
    found: dict[str, str] = {}
    for _ in range(MOST_HEADERS):
        line = stream.line()
        if line is None or not line.strip():
            break
        name, _, value = line.decode("latin-1").partition(":")
        found[name.strip().lower()] = value.strip()
    return found


class _Stream:
    """Chunks of bytes, read by lines and lengths; None where they end before."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._bytes = iter(chunks), bytearray()

    def _more(self) -> bool:
        chunk = next(self._chunks, None)
        self._bytes += chunk or b""
        return chunk is not None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def line(self) -> bytes | None:
        """The next line with its end; of what is too long for a header, the last bytes."""
        start = 0
        while (end := self._bytes.find(b"\n", start)) < 0:
            if len(self._bytes) > MOST_LINE:
                self._take(len(self._bytes) - MOST_LINE)
            start = len(self._bytes)
            if not self._more():
                return None
        return self._take(end + 1)

    def exactly(self, count: int) -> bytes | None:
        """So many bytes."""
        if count > MOST_BYTES:
            raise TooLarge(count)
        while len(self._bytes) < count:
            if not self._more():
                return None
        return self._take(count)

    def until(self, mark: bytes) -> bytes | None:
        """All bytes up to a line that starts with the rest of `mark`; the line stays."""
        start = 0
        while (end := self._bytes.find(mark, start)) < 0:
            start = max(0, len(self._bytes) - len(mark))
            if len(self._bytes) > MOST_BYTES:
                raise TooLarge(len(self._bytes))
            if not self._more():
                return None
        return self._take(end + 1).removesuffix(b"\n").removesuffix(b"\r")
