"""Open an address as a source: list its labelled images and read them. Does not decide where they go.

A source is a folder, a table or an archive, on this machine or at any address that fsspec opens. The listing decides
which files are images, by the same rule as for the nightly run.
"""

import io
import os
import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from pipeline.core.hidden import is_hidden
from pipeline.core.parallel import ordered_map
from pipeline.core.people_tables import OLD_ENCODINGS
from pipeline.core.text import named, shown
from pipeline.data.suspects import ISSUE_COLUMNS
from pipeline.night.review_file import REVIEW_COLUMNS
from pipeline.sources import archives, tables
from pipeline.sources.archives import Archive, is_archive
from pipeline.sources.foreign.opened import ENDINGS as LABEL_ENDINGS
from pipeline.sources.foreign.opened import (
    NO_HINTS,
    Hints,
    Opened,
    Shelf,
    labels_in_file,
    labels_in_package,
    of_bytes,
    of_folder,
    package_files,
)
from pipeline.sources.layout import Found, Item, SourceError, lay_out
from pipeline.sources.reviews import corrections, is_of_suspects, is_review, relabelled
from pipeline.sources.source import THREADS, Files, Source, below_common, look, start_of
from pipeline.storage.addresses import (
    explained,
    filesystem,
    is_address,
    local_path,
    modified_ns_of,
    open_remote,
    size_of,
)
from pipeline.storage.left_aside import LeftAside, Tally
from pipeline.storage.listing import Aside, is_image, list_files

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
PIECE = 1 << 20  # bytes read at once
EXPECTED = (
    "A source must be a folder with a folder for each class, a table (.csv, .tsv, .parquet) with the columns path and "
    "label, an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz) of such a folder, or the labels of another tool "
    "(nightshift data export --help names the formats)."
)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a command has given besides the address."""

    max_bytes: int
    known: Collection[str]
    names: str
    hints: Hints


@contextmanager
def open_source(
    address: str, room: Path, max_bytes: int, known: Collection[str] = (), names: str = "", hints: Hints = NO_HINTS
) -> Iterator[Source]:
    """The source at `address`. A remote archive is downloaded to `room` if it cannot be read in parts.

    known: the project's labels, which tell a class from a folder that encloses all classes. names: the encoding of
    an archive's names, where it does not say it. hints: on the labels of another tool.
    Raises AddressError, and SourceError when the address does not exist or its content does not match its name.
    """
    file = local_path(address)
    if file is None:
        with _open_remote_source(address, room, _Given(max_bytes, known, names, hints)) as source:
            yield source
    elif file.is_dir():
        yield _local_folder(file.absolute(), address, known, hints)
    elif not file.exists():
        raise SourceError(f"{shown(address)} does not exist. {EXPECTED}")
    elif not file.is_file():
        raise SourceError(f"{shown(address)} is neither a file nor a folder. {EXPECTED}")
    elif (review := _review(file, address, hints.raw)) is not None:
        yield review
    elif told := labels_in_file(of_folder(file.absolute().parent), file.name, shown(address), hints):
        yield told
    elif file.name.lower().endswith(tables.ENDINGS):
        yield _table(file.read_bytes(), address, file.name, str(file.absolute().parent))
    else:
        with file.open("rb") as stream:
            yield _archive(stream, address, file.name, _Given(max_bytes, known, names, hints))


def _review(file: Path, address: str, raw: Path) -> Source | None:
    """The source for a night's review, or for suspected labels, filled in by a person; None for any other file."""
    if not file.name.lower().endswith((".csv", ".tsv")):
        return None
    try:
        found = tables.separated(file.read_bytes(), shown(address), (*REVIEW_COLUMNS, *ISSUE_COLUMNS), OLD_ENCODINGS)
    except SourceError:  # it is read as a table, which says what is wrong
        return None
    if is_review(found.columns):
        filled = corrections(file, raw)
    elif is_of_suspects(found.columns):
        filled = relabelled(file, raw)
    else:
        return None
    unfilled = f"{filled.without_label:,} rows of {shown(address)} have no label and were passed over."
    notes = (unfilled if filled.without_label else "", filled.left_out)
    return Files(filled.items, filled.without_label, typed=True, notes=tuple(filter(None, notes)), judged=filled.judged)


@contextmanager
def _open_remote_source(address: str, room: Path, given: _Given) -> Iterator[Source]:
    fs, path = filesystem(address)
    fs.invalidate_cache()
    is_http = _is_http(address)
    with explained(address):
        # Over HTTP only the address says whether a page lists a folder.
        about = {"type": "directory" if address.endswith("/") else "file"} if is_http else fs.info(path)
    if about["type"] == "directory":
        yield _remote_folder(fs, path, address, given.known)
        return
    name = (urlsplit(address).path if is_http else path).rpartition("/")[2]
    with open_remote(address) as stream:
        if name.lower().endswith((*tables.ENDINGS, *LABEL_ENDINGS)):
            data = stream.read()
            told = labels_in_file(of_bytes(data), name, shown(address), given.hints)
            yield told or _table(data, address, name, address.partition("?")[0].rpartition("/")[0])
        elif name.lower().endswith(".zip") and stream.seekable():
            yield _archive(stream, address, name, given)
        else:
            fetched = room / "archive"
            with fetched.open("w+b") as copy:
                _fetch(stream, copy, address, given.max_bytes)
                yield _archive(copy, address, name, given)


def _fetch(stream: BinaryIO, copy: BinaryIO, address: str, max_bytes: int) -> None:
    while piece := stream.read(PIECE):
        copy.write(piece)
        if copy.tell() > max_bytes:
            raise SourceError(
                f"{shown(address)} is larger than {max_bytes / 1e9:g} GB. If that is right, set a higher limit with "
                "--max-gb."
            )


def _archive(stream: BinaryIO, address: str, name: str, given: _Given) -> Source:
    if name.lower().endswith(SPREADSHEETS):  # an .xlsx is a zip file itself
        raise SourceError(f"{shown(address)} is a spreadsheet. Save the table as CSV UTF-8 and import that.")
    if not is_archive(stream):
        if name.lower().endswith(archives.ENDINGS):
            raise SourceError(
                f"{shown(address)} has an archive's name, but its content is not a zip or tar file. Download "
                "it, or pack it, again."
            )
        raise SourceError(f"{shown(address)} is neither a table nor an archive. {EXPECTED}")
    return Archive(
        shown(address),
        stream,
        given.max_bytes,
        given.known,
        given.names,
        partial(_labels_in_archive, hints=given.hints),
    )


def _labels_in_archive(archive: Archive, found: list[Found], hints: Hints) -> Opened | None:
    shelf = Shelf(
        lambda path: io.BytesIO(archive.read(path)), lambda: found, archive.name, archive.paths(), packed=True
    )
    return labels_in_package(shelf, archive.name, hints)


def _local_folder(folder: Path, address: str, known: Collection[str], hints: Hints) -> Source:
    if told := labels_in_package(of_folder(folder, package_files(folder)), shown(address), hints):
        return Files(told.items, told.left_out, notes=told.notes, differing=told.differing)
    tally = Tally()
    found = [Found(listed.path, str(folder / listed.path), listed.bytes) for listed in tally.images(list_files(folder))]
    try:
        return _laid_out(found, tally.found(), address, known)
    except SourceError as error:
        files = sorted(one.name for one in folder.iterdir() if one.name.lower().endswith(LABEL_ENDINGS))
        hint = f" If {shown(files[0])} has the labels, import that file." if files else ""
        raise SourceError(f"{error}{hint}") from error


def _laid_out(found: list[Found], left_aside: LeftAside, address: str, known: Collection[str]) -> Source:
    laid_out = lay_out(found, shown(address), known)
    count = sum(left_aside.files.values())
    return Files(laid_out.items, count, notes=(*laid_out.notes, *left_aside.lines))


def _remote_folder(fs: Any, path: str, address: str, known: Collection[str]) -> Source:
    is_http = _is_http(address)
    with explained(address):
        fs.ls(path, detail=False)  # raises the error; `find` would return an empty list
        listed = fs.find(path, detail=True)
    root = path.rstrip("/") + "/"
    files = {name.removeprefix(root): (name, about) for name, about in sorted(listed.items()) if name.startswith(root)}
    shown_names = {below: unquote(below) if is_http else below for below in files}
    seen = [below for below, name in shown_names.items() if below and not any(map(is_hidden, name.split("/")))]

    def image_at(below: str) -> bool:
        with explained(address):
            return is_image(
                shown_names[below].rpartition("/")[2], lambda: start_of(fs, files[below][0], size_of(files[below][1]))
            )

    tally, images = Tally(), []
    for below, image in zip(seen, ordered_map(image_at, seen, THREADS), strict=True):
        if image:
            images.append(below)
        else:
            tally.add(Aside(shown_names[below], "file"))
    found = [
        Found(shown_names[below], fs.unstrip_protocol(name), size_of(about), modified_ns_of(about))
        for below in images
        for name, about in [files[below]]
    ]
    return _laid_out(found, tally.found(), address, known)


def _is_http(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def _table(data: bytes, address: str, name: str, folder: str) -> Source:
    rows = tables.read_table(data, shown(address) if address.lower().endswith(tables.ENDINGS) else name)
    places = [_existing(row.path, folder, address) for row in rows]
    first: dict[str, str] = {}
    for row, place in zip(rows, places, strict=True):
        if first.setdefault(place, row.path) != row.path:
            raise SourceError(
                f"{shown(address)}: {shown(first[place])} and {shown(row.path)} are the same file. Delete one."
            )
    looked = list(ordered_map(look, places, THREADS))
    if missing := [row.path for row, found in zip(rows, looked, strict=True) if found is None]:
        raise SourceError(
            f"{shown(address)} names {len(missing):,} files that do not exist: {named(missing)}. Paths are relative "
            f"to {shown(folder)}, absolute, or full addresses. Correct them or delete their rows; nothing was copied."
            + (" Paths such as C:\\images are another machine's." if any(map(_DRIVE.match, missing)) else "")
        )
    below = below_common([place for place, found in zip(places, looked, strict=True) if found and found[1]])
    items = [
        Item(row.label, below[place], Found(row.path, place, found[0].bytes, found[0].modified_ns), row.known)
        for row, place, found in zip(rows, places, looked, strict=True)
        if found and found[1]
    ]
    tally = Tally()
    for row, found in zip(rows, looked, strict=True):
        if found and not found[1]:
            tally.add(Aside(row.path, "file"))
    return Files(items, len(rows) - len(items), notes=tuple(tally.found().lines))


def _existing(path: str, folder: str, address: str) -> str:
    """The file or address of `path`; of a path as Windows or macOS writes it, the file that is meant."""
    place = _place(path, folder, address)
    if is_address(place):
        return _place(path.replace("\\", "/"), folder, address)
    if not Path(place).is_file():
        for way in (path, path.replace("\\", "/")):
            for form in ("NFC", "NFD"):
                other = _place(unicodedata.normalize(form, way), folder, address)
                if not is_address(other) and Path(other).is_file():
                    return other
    return place


def _place(path: str, folder: str, address: str) -> str:
    """The file or address of `path` in a table in `folder`."""
    if is_address(path):
        file = local_path(path)
        return path if file is None else os.path.normpath(file)
    if not is_address(folder):
        return os.path.normpath(Path(folder, path))
    if path.startswith("/"):
        raise SourceError(
            f"The table {shown(address)} is not on this machine but contains the absolute path {shown(path)}. Use "
            "paths relative to the table, or full addresses."
        )
    protocol, _, rest = folder.partition("://")
    return f"{protocol}://{posixpath.normpath(posixpath.join(rest, path))}"
