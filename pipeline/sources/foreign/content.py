"""A file of labels as JSON, JSON Lines or CSV, told apart by how it begins. Knows no format's meaning.

JSON Lines and CSV are read line by line. UTF-8 and UTF-16 are read, with or without a byte order mark.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Literal

from pipeline.core.people_tables import Table, unicode_of
from pipeline.core.text import shown, stripped
from pipeline.sources import tables
from pipeline.sources.foreign.entries import At
from pipeline.sources.layout import SourceError

START = 1 << 16  # bytes that show what a file is
FIRST_ROWS = 20  # of a CSV, which show what it is
AGAIN = "It is damaged or truncated. Export or download it again; nothing was copied."

Open = Callable[[], BinaryIO]
Beside = Callable[[str], bytes]  # the bytes of a file in the same folder or archive; raises KeyError without it
Record = tuple[At, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Content:
    """What a file of labels holds."""

    name: str  # for messages
    kind: Literal["json", "jsonl", "csv"]
    head: object  # json: the whole document; jsonl: the first record; csv: the first rows
    open: Open
    beside: Beside

    def has(self, *keys: str) -> bool:
        """Whether the document, or the first record, is an object with all of these keys."""
        return isinstance(self.head, dict) and set(keys) <= set(self.head)

    def first_of_list(self) -> Mapping[str, object]:
        """The first object of a document that is a list; an empty one for any other."""
        first = self.head[0] if isinstance(self.head, list) and self.head else {}
        return first if isinstance(first, dict) else {}

    def first_rows(self) -> Sequence[Sequence[str]]:
        """The first rows of a CSV; none for any other."""
        return self.head if self.kind == "csv" and isinstance(self.head, list) else []

    def records(self) -> Iterator[Record]:
        """Each record of JSON Lines with its place. Raises SourceError for a line that is none."""
        if self.kind == "json":
            yield At(self.name), At(self.name).mapping(self.head, "the document")
            return
        for number, line in _lines(self.open, self.name):
            at = At(f"{self.name}, line {number:,}")
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise SourceError(f"{at.place} is not valid JSON: {error}. {AGAIN}") from None
            yield at, at.mapping(record, "the line")

    def rows(self) -> Iterator[tuple[At, list[str]]]:
        """Each row of a CSV without a header, with its place; empty ones are left out."""
        with _text(self.open, self.name) as text:
            reader = csv.reader(text, strict=True)
            try:
                for row in reader:
                    if any(map(stripped, row)):
                        yield At(f"{self.name}, line {reader.line_num:,}"), row
            except csv.Error as error:
                raise SourceError(f"{self.name}, line {reader.line_num:,} is not valid CSV: {error}. {AGAIN}") from None

    def table(self, known: Sequence[str], file: str = "") -> Table:
        """A CSV with a header: this one, or `file` beside it. Raises SourceError."""
        if not file:
            with self.open() as stream:
                return tables.separated(stream.read(), self.name, known)
        return tables.separated(self.bytes_beside(file), shown(file), known)

    def bytes_beside(self, file: str) -> bytes:
        """The bytes of `file`, which is named here. Raises SourceError when it is not there."""
        try:
            return self.beside(file)
        except (KeyError, OSError, ValueError):
            raise SourceError(
                f"{self.name} names {shown(file)}, which is not beside it. Put it there; nothing was copied."
            ) from None


def opened(opener: Open, name: str, beside: Beside) -> Content | None:
    """What the file holds; None when it is neither JSON nor a CSV. Raises SourceError for damaged JSON."""
    with opener() as stream:
        start = stream.read(START)
    encoding = unicode_of(start)
    begin = stripped(start.decode(encoding, "ignore"))
    if not begin.startswith(("{", "[")):
        return _csv(opener, name, beside) if name.lower().endswith((".csv", ".tsv", ".txt")) else None
    two = list(islice(_lines(opener, name), 2))
    try:
        first = json.loads(two[0][1])
    except (ValueError, RecursionError):
        first = None
    if isinstance(first, dict) and len(two) > 1:
        return Content(name, "jsonl", first, opener, beside)
    if first is None or len(two) > 1:
        first = _document(opener, name)
    return Content(name, "json", first, opener, beside)


def _document(opener: Open, name: str) -> object:
    with _text(opener, name) as text:
        try:
            return json.load(text)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{name} is not valid JSON: {error}. {AGAIN}") from None


def _csv(opener: Open, name: str, beside: Beside) -> Content | None:
    content = Content(name, "csv", [], opener, beside)
    try:
        rows = [row for _, row in islice(content.rows(), FIRST_ROWS)]
    except SourceError:  # as a table it is refused with what is wrong
        return None
    return Content(name, "csv", rows, opener, beside)


def _lines(opener: Open, name: str) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, by number."""
    with _text(opener, name) as text:
        for number, line in enumerate(text, 1):
            if stripped(line):
                yield number, line


@contextmanager
def _text(opener: Open, name: str) -> Iterator[io.TextIOWrapper]:
    with opener() as stream:
        encoding = unicode_of(stream.read(START))
    with opener() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
        try:
            yield text
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name} is not {encoding.upper()} text: {error.reason} at byte {error.start:,}. Save it as UTF-8; "
                "nothing was copied."
            ) from None
