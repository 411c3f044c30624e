"""Read a table as people save it: any usual separator and encoding, columns in any case. Knows no column's meaning.

Spreadsheets save a CSV with `;` where a comma is the decimal sign, in Windows-1252 or UTF-16, with a byte order mark,
with a first line `sep=;`, with empty columns and rows at the end.
"""

import codecs
import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.core.errors import NightshiftError
from pipeline.core.text import named, shown, stripped

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
OLD_ENCODINGS = {"cp1252": "Windows-1252", "mac_roman": "Mac Roman"}  # of spreadsheets that do not write UTF-8
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_START = 400  # bytes, in which a text without a mark shows whether every second one is zero


class TableError(NightshiftError):
    """The bytes are not a table; the message says what is wrong and how to save it."""


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a table, as many in each row as there are columns; row 1 is the header, as in a spreadsheet."""

    columns: list[str]
    rows: list[tuple[int, list[str]]]  # its number and its cells; rows without any text are left out
    encoding: str = "utf-8"
    separator: str = ","
    skipped: int = 0  # 1 for a spreadsheet's own first line

    @property
    def dicts(self) -> list[dict[str, str]]:
        """The rows by column."""
        return [dict(zip(self.columns, cells, strict=True)) for _, cells in self.rows]


def read_table(data: bytes, name: str, known: Collection[str], encodings: Iterable[str] = ()) -> Table:
    """The table in the bytes of a CSV or TSV file. Raises TableError naming the fault.

    known: names of columns; found in any case and with blanks around them, they are given as written here. The
    separator is the one by which the header has most of them. encodings: tried where the text is not Unicode.
    """
    text, encoding = decoded(data, name, encodings)
    lines = text.split("\n", 1)
    told = stripped(lines[0]).casefold()
    skipped = 0
    if told.startswith("sep=") and len(lines) > 1:  # Excel's own first line
        text, skipped = lines[1], 1
    usual = "\t" if name.lower().endswith(".tsv") else ","
    tried = sorted(SEPARATORS, key=lambda separator: separator != usual)
    header = {separator: named_as(_first_row(text, separator), known) for separator in tried}
    best = max(tried, key=lambda separator: len(set(header[separator]) & set(known)))  # of equals the first
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=best, strict=True))
    except csv.Error as error:
        raise TableError(f"{name} is not valid {'TSV' if usual != ',' else 'CSV'}: {error}. Save it again.") from error
    even = _evened(rows, header[best], name, skipped, encoding)
    return replace(even, separator=best, skipped=skipped)


def with_cells(
    data: bytes, name: str, known: Collection[str], change: Callable[[dict[str, str]], Mapping[str, str]]
) -> bytes:
    """The same table in its own form, with other cells: `change` names those of a row; new columns come last.

    All else stays: separator, encoding, rows, columns and how they are spelled. Raises TableError as `read_table`, and
    where the encoding lacks a letter.
    """
    table = read_table(data, name, known, OLD_ENCODINGS)
    text, encoding = decoded(data, name, OLD_ENCODINGS)
    skipped = text[: text.index("\n") + 1] if table.skipped else ""
    changes = {number: change(dict(zip(table.columns, cells, strict=True))) for number, cells in table.rows}
    columns = [*table.columns, *sorted({column for of in changes.values() for column in of} - set(table.columns))]
    rows = csv.reader(io.StringIO(text.removeprefix(skipped), newline=""), delimiter=table.separator)
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=table.separator, lineterminator="\r\n" if "\r\n" in text else "\n")
    heading = False
    for number, row in enumerate(rows, start=1 + table.skipped):
        if any(map(stripped, row)) and not heading:
            heading, cells = True, [*row[: len(table.columns)], *columns[len(table.columns) :]]
        elif number in changes:
            cells = [*row[: len(table.columns)], *[""] * (len(columns) - len(table.columns))]
            for column, cell in changes[number].items():
                cells[columns.index(column)] = cell
        else:
            cells = row
        writer.writerow(cells)
    try:
        return (skipped + out.getvalue()).encode(encoding)
    except UnicodeEncodeError as error:
        raise TableError(f"{name} cannot hold {shown(error.object[error.start])}. Save it as UTF-8.") from None


def named_as(columns: Iterable[str], known: Collection[str]) -> list[str]:
    """The names of columns without blanks around them; those of `known` as they are written there."""
    usual = {name.casefold(): name for name in known}
    return [usual.get(stripped(column).casefold(), stripped(column)) for column in columns]


def _first_row(text: str, separator: str) -> list[str]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return next((row for row in rows if any(map(stripped, row))), [])
    except csv.Error:
        return []


def unicode_of(start: bytes) -> str:
    """The encoding of Unicode in which a text begins with these bytes: UTF-8 unless they say another."""
    marked = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), "")
    if not marked and start[:_START].count(0) > len(start[:_START]) // 4:  # half of ASCII in UTF-16
        marked = "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
    return marked or "utf-8"


def decoded(data: bytes, name: str, encodings: Iterable[str] = ()) -> tuple[str, str]:
    """The text of a file and its encoding. Raises TableError where it is none of Unicode's, nor of `encodings`."""
    first = unicode_of(data)
    others = [*encodings] if first == "utf-8" else []
    try:
        return data.decode(first), first
    except UnicodeDecodeError as error:
        fault = error
    for encoding in others:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding), encoding
    line = data.count(b"\n", 0, fault.start) + 1
    part = data[max(0, fault.start - 10) : fault.start + 10].split(b"\n")
    piece = next((one for one in part if any(byte > 127 for byte in one)), b"")
    guess = stripped(piece.decode("cp1252", "replace"))
    raise TableError(
        f"{name} is not UTF-8 text: line {line} has the byte 0x{data[fault.start]:02X} (in Windows-1252 it would be "
        f"“{shown(guess)}”, in other encodings something else). Save it as UTF-8: in Excel “CSV UTF-8”, in LibreOffice "
        "the character set Unicode (UTF-8)."
    )


def _evened(rows: Sequence[list[str]], header: list[str], name: str, skipped: int, encoding: str) -> Table:
    numbered = [(number, row) for number, row in enumerate(rows, start=1 + skipped) if any(map(stripped, row))]
    body = numbered[1:]
    while header and not header[-1] and not any(stripped("".join(row[len(header) - 1 :])) for _, row in body):
        header = header[:-1]  # a column without a name or a value, at the end
    wide = len(header)
    uneven = [number for number, row in body if len(row) < wide or any(map(stripped, row[wide:]))]
    if uneven:
        raise TableError(
            f"{name}: {row_numbers(uneven)} {'does' if len(uneven) == 1 else 'do'} not have {wide} values, one for "
            "each column. Put values that hold a separator in quotes."
        )
    return Table(header, [(number, row[:wide]) for number, row in body], encoding)


def row_numbers(numbers: Sequence[int]) -> str:
    """`row 3`, or `rows 3, 4, 5 and 2 more`."""
    return f"row{'s' if len(numbers) > 1 else ''} {named(map(str, numbers))}"
