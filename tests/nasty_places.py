"""A folder for nasty files: names, places, links and pipes, and what the row of each file must say."""

import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.conftest import noise
from tests.nasty_formats import encoded

WIDTH, HEIGHT = 48, 40  # pixels of most pictures here


@dataclass(frozen=True, slots=True)
class Judged:
    """An image: its row has an answer."""

    width: int = WIDTH
    height: int = HEIGHT
    like: bytes = b""  # path of another one here that has the same pixels, and so exactly the same answer


@dataclass(frozen=True, slots=True)
class Refused:
    """No image that can be judged."""

    reason: str  # a regular expression for the beginning of `error`
    hashed: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """One file. `expected` None: it has no row."""

    path: bytes  # below the folder
    data: bytes
    expected: Judged | Refused | None
    text: str = ""  # its path in the CSV; empty: simply the path as text


def picture(seed: int) -> Image.Image:
    """No two seeds give the same picture, nor is one the same when it is turned.

    Pale, because the small model of the tests is quite sure of anything else: answers are to be told apart.
    """
    return Image.fromarray(noise(WIDTH, HEIGHT, seed) // 8 + 112)


FACE, OVERRIDE, MARK = "\N{GRINNING FACE}", "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{RIGHT-TO-LEFT MARK}"
NAMES = {  # and how those stand in the CSV that are not simply their own text
    b"line\nbreak.png": "", b"line\r\nbreak.png": "", b"a\rb.png": "", b"\nfirst.png": "", b'"quoted".png': "",
    b"it's.png": "", b"a,b;c\td.png": "", b"a&b<c>.png": "", b"null.png": "", b"#.png": "", b"|cmd.png": "",
    b" leading.png": "", b"trailing .png": "", b"two  spaces.png": "", b"after.png ": "", b"\x1b[31mred.png": "",
    b"%41%00.png": "", b"%s{0}$(id)`id`.png": "", b"*?[a].png": "", b"~.png": "", b"CON.png": "", b"\x7f\x01.png": "",
    b"=1+1.png": "./=1+1.png", b'=HYPERLINK("a").png': './=HYPERLINK("a").png', b"+1.png": "./+1.png",
    b"-rf.png": "./-rf.png", b"@SUM(A1).png": "./@SUM(A1).png", b"\tx.png": "./\tx.png", b"\rx.png": "./\rx.png",
    b"=folder/x.png": "./=folder/x.png", b"folder/=x.png": "", b"-/-/-.png": "./-/-/-.png", b"x.png/=y.jpg/-z.png": "",
    f"{FACE}.png".encode(): "", f"{OVERRIDE}gpj.x.png".encode(): "", f"a{MARK}.png".encode(): "",
    "\N{ZERO WIDTH NO-BREAK SPACE}bom.png".encode(): "", "\N{LINE SEPARATOR}.png".encode(): "",
    "\x85\x1c.png".encode(): "",
    "e\N{COMBINING ACUTE ACCENT}.png".encode(): "", "\N{LATIN SMALL LETTER E WITH ACUTE}.png".encode(): "",
    b"\xff\xfe.png": "\\xff\\xfe.png", b"\\xff\\xfe.png": "\\\\xff\\\\xfe.png", b"=\xff.png": "./=\\xff.png",
    b"m\xfcnchen/\xe9.png": "m\\xfcnchen/\\xe9.png", b"\xed\xa0\x80.png": "\\xed\\xa0\\x80.png",
    b"C:\\photos\\x.png": "C:\\\\photos\\\\x.png", b"\\.png": "\\\\.png", b"\\n.png": "\\\\n.png",
    b"n" * 246 + b".png": "", FACE.encode() * 62 + b".png": "", b"folder.png/x.png": "",
    b"/".join(b"level %d" % level for level in range(30)) + b"/x.png": "",
}  # fmt: skip
UNLISTED = {
    b".hidden.png", b".x/y.png", b"..png", b"__MACOSX/._a.png", b"deeper/__MACOSX/a.png", b"Thumbs.db", b"a/Thumbs.db",
    b".DS_Store", b".\\x.png",
}  # fmt: skip


def named() -> Iterator[Case]:
    """Names that break tables, shells and spreadsheets."""
    for number, (path, text) in enumerate(NAMES.items()):
        yield Case(path, encoded(picture(800 + number), "PNG"), Judged(), text)


def unlisted() -> Iterator[Case]:
    """What is no image of the user."""
    data = encoded(picture(900), "PNG")
    for path in sorted(UNLISTED):
        yield Case(path, data, None)
    for path, content in {b"notes.txt": b"notes", b"png": b"no ending", b"none": b"", b"a.png.txt": b"PNG"}.items():
        yield Case(b"others/" + path, content, None)


def write_files(folder: Path, cases: Iterable[Case]) -> None:
    """Write the bytes of each."""
    for case in cases:
        file = folder / os.fsdecode(case.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(case.data)


def write_specials(folder: Path) -> list[Case]:
    """What is more than bytes: links, pipes, sockets, a sparse file of a terabyte; returns what is expected of each."""
    room, outside = folder / "special", folder.with_name("outside")
    for place in (room / "folder.png", outside):
        place.mkdir(parents=True)
    data = encoded(picture(950), "PNG")
    (room / "real.png").write_bytes(data)
    (outside / "secret.png").write_bytes(encoded(picture(951), "PNG"))
    for name, to in {
        "inside.png": "real.png", "twice.png": "inside.png", "up.png": "../special/real.png", "no-name": "real.png",
        "absolute.png": str(room / "real.png"), "out.png": "../../outside/secret.png", "dangling.png": "nothing.png",
        "absolute-out.png": str(outside / "secret.png"), "self.png": "self.png", "ring-1.png": "ring-2.png",
        "ring-2.png": "ring-1.png", "back": ".", "root.png": "..", "away": str(outside), "null.png": "/dev/null",
    }.items():  # fmt: skip
        (room / name).symlink_to(to)
    os.link(room / "real.png", room / "hard.png")
    for name in ("pipe", "pipe.png"):
        os.mkfifo(room / name)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(room, os.O_RDONLY)  # a socket's whole path may have no more than 107 bytes
        server.bind(f"/proc/self/fd/{here}/socket.png")
        os.close(here)
    with (room / "sparse.png").open("wb") as sparse:
        sparse.truncate(1 << 40)
    links = ("inside.png", "twice.png", "up.png", "no-name", "absolute.png", "hard.png")
    return [
        Case(b"special/real.png", data, Judged()),
        *(Case(f"special/{name}".encode(), data, Judged(like=b"special/real.png")) for name in links),
        Case(b"special/sparse.png", b"", Refused("1099511627776 bytes are more than", hashed=False)),
    ]
