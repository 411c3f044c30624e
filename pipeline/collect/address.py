"""An address of pictures as a person writes it -> its parts, and how it is shown. Opens nothing.

Passwords stand apart from the address, so that no message, log or exception of a library can hold one by accident.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.core.text import shown
from pipeline.storage.addresses import AddressError, is_address

CLIPS = frozenset({".mp4", ".mkv", ".avi", ".mov"})  # endings, in any case
HIDDEN = "***"
KNOWN = (
    "Use rtsp://…, rtsps://…, http://… or https://… (MJPEG or a snapshot), a device such as /dev/video0, a folder of "
    f"clips, or one clip ({', '.join(sorted(ending[1:] for ending in CLIPS))})."
)
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")  # its name in an address, in place of a password
# Cameras take passwords in the query (`?usr=a&pwd=b`), some in the path (`/user=a_password=b_channel=1.sdp`).
_SECRET = re.compile(
    r"(?i)((?:^|[?&;/_.-])(?:pass(?:word|wd|phrase|code)?|pwd|psw|passwd|secret|token|api_?key|key|auth|rs|sig(?:nature)?)=)"
    r"((?:(?!_(?:channel|stream|user|chn)\b)[^&;/#])+)"
)


class Kind(StrEnum):
    """What an address names; of a web address, only the answer tells an MJPEG stream from a snapshot."""

    RTSP = "rtsp"
    WEB = "web"
    DEVICE = "device"
    FOLDER = "folder"
    CLIP = "clip"


# UniFi's addresses have no password: who knows the path sees the camera.
_TOKEN = re.compile(r"(?<=[^/:]/)(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{16}(?=$|\?)")


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where pictures come from. `str` and `repr` show it without its password."""

    kind: Kind
    place: str  # without user and password; of a web or RTSP address percent-encoded, else a path
    user: str = ""  # decoded, as a person knows them
    password: str = ""

    def __str__(self) -> str:
        """The address for a person and a log: `rtsp://user:***@host/path`."""
        if self.kind not in (Kind.RTSP, Kind.WEB):
            return shown(self.place)
        scheme, rest = self.place.split("://", 1)
        owner = quote(self.user, safe="") + (f":{HIDDEN}" if self.password else "") + "@"
        return shown(f"{scheme}://{owner if self.user or self.password else ''}{_without_secrets(rest)}")

    def __repr__(self) -> str:
        """As `str`: an address may end up in a traceback."""
        return f"Address({str(self)!r})"

    @property
    def with_password(self) -> str:
        """The whole address, percent-encoded, for a library that takes no password apart. Never show it."""
        if not (self.user or self.password):
            return self.place
        scheme, rest = self.place.split("://", 1)
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"

    def without_password(self, text: str) -> str:
        """`text`, such as a library's message, without what this address keeps secret."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return shown(text)

    def _secrets(self) -> set[str]:
        values = {self.password, *(found[2] for found in _SECRET.finditer(self.place)), *_TOKEN.findall(self.place)}
        return {form for value in values if value for form in (value, quote(value, safe=""), unquote(value))}


def read_address(text: str) -> Address:
    """The parts of an address. Raises AddressError, which shows no password."""
    text = text.strip()
    if not text:
        raise AddressError(f"The address of pictures is empty. {KNOWN}")
    if not is_address(text):
        path = Path(text).expanduser()
        if path.is_relative_to("/dev"):
            return Address(Kind.DEVICE, str(path))
        return Address(Kind.CLIP if path.suffix.lower() in CLIPS else Kind.FOLDER, str(path))
    scheme = text.partition("://")[0].lower()
    if scheme not in ("rtsp", "rtsps", "http", "https"):
        raise AddressError(f"{shown(scheme)}:// is not an address that pictures can be collected from. {KNOWN}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # its message may quote the password
        host, port = None, None
    # With a raw `#` or `/` in the password, its first part stands where the port does.
    if not host or ("@" in text and "@" not in parts.netloc):
        raise AddressError(
            f"The address {scheme}://{HIDDEN} has no valid host and port. Write it as {scheme}://user:password@host:"
            "port/path, and the characters / ? # [ ] @ % of a password percent-encoded (# as %23, / as %2F, "
            "@ as %40, % as %25)."
        )
    owner = parts.netloc.rpartition("@")[0]
    user, _, password = owner.partition(":")
    place = f"[{host}]" if ":" in host else host
    netloc = place if port is None else f"{place}:{port}"
    way = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~")
    kind = Kind.RTSP if scheme.startswith("rtsp") else Kind.WEB
    return Address(kind, urlunsplit((scheme, netloc, way, query, "")), unquote(user), unquote(password))


def kind_of(text: str, environment: Mapping[str, str]) -> Kind | None:
    """What an address names that may have names of environment variables in it; None: not valid, or nobody knows."""
    try:
        return read_address(VARIABLE.sub(lambda found: environment.get(found[1], ""), text)).kind
    except AddressError:
        return None


def _without_secrets(rest: str) -> str:
    return _TOKEN.sub(HIDDEN, _SECRET.sub(lambda found: found[1] + HIDDEN, rest))
