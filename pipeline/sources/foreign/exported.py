"""An image of the project as the exports describe it, and the pieces of what they write. Independent of the format."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pipeline.data.judgements import Judgement

Output = Mapping[str, Iterator[str]]  # file name -> its text in pieces; the name is empty where the format is one file


@dataclass(frozen=True, slots=True)
class Exported:
    """An image of data/raw."""

    path: str  # below data/raw
    address: str  # what others call it: what a person has put before the path, and the path
    label: str
    split: str = ""
    known: tuple[tuple[str, str], ...] = ()  # the other columns of the side table that are not empty
    judgements: tuple[Judgement, ...] = ()  # of each reader the last one; the latest comes last


def address_of(before: str, path: str) -> str:
    """A path behind what stands before it: escaped where that is an address of the web."""
    is_web = before.startswith(("http://", "https://")) or "?" in before
    return before + (quote(path) if is_web else path)


def json_list(values: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """A JSON list, one value a line."""
    before = "[\n"
    for value in values:
        yield before + json.dumps(value, ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def json_lines(values: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """JSON Lines."""
    return (json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def csv_rows(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """CSV as programs read it: every text is exactly what it is, also one that a spreadsheet takes for a formula."""
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()
