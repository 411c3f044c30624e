"""The row, the CSV, the summary, and whether they reconcile. The one place where an outcome becomes text."""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.stores import Place

COLUMNS = (
    "path", "status", "label", "confidence", "label_2", "confidence_2", "label_3", "confidence_3",
    "error", "sha256", "width", "height", "model_name", "model_version", "classified_at",
)  # fmt: skip
RANKS = 3  # labels a row names
STATUSES = ("ok", "unsure", "unreadable")


@dataclass(frozen=True, slots=True)
class Classified:
    """An image that was read and judged."""

    path: str  # as listed
    sha256: str
    width: int  # pixels, upright
    height: int
    ranked: tuple[tuple[str, float], ...]  # (label, confidence), the most probable first, at most RANKS
    unsure: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is no image that can be judged."""

    path: str  # as listed
    error: str  # why, in words
    sha256: str = ""  # empty when not even its bytes could be had


Outcome = Classified | Unreadable


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is the same in every row of a run."""

    model_name: str
    model_version: str
    classified_at: str  # ISO 8601, UTC: when the run was planned


def csv_path(path: str) -> str:
    """A listed path as it stands in the CSV: UTF-8, no spreadsheet formula, and `listed_path` turns it back.

    Bytes that are no UTF-8 are written \\xNN; a backslash is doubled.
    """
    safe = path.replace("\\", "\\\\")
    safe = re.sub("[\\udc80-\\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", safe)
    return f"./{safe}" if safe.startswith(("=", "+", "-", "@", "\t", "\r", "./")) else safe


def listed_path(text: str) -> str:
    """The listed path that `csv_path` wrote as `text`."""
    text = text.removeprefix("./")
    return re.sub(
        r"\\(\\|x([0-9a-f]{2}))", lambda found: "\\" if found[1] == "\\" else chr(0xDC00 + int(found[2], 16)), text
    )


def to_row(outcome: Outcome, stamp: Stamp) -> list[str]:
    """One line of the CSV, in the order of COLUMNS."""
    end = [stamp.model_name, stamp.model_version, stamp.classified_at]
    match outcome:
        case Unreadable(path, error, digest):
            return [csv_path(path), "unreadable", *[""] * (2 * RANKS), error, digest, "", "", *end]
        case Classified(path, digest, width, height, ranked, unsure):
            # Six digits: more would show the noise between machines, not knowledge.
            answers = [text for label, confidence in ranked for text in (label, f"{confidence:.6f}")]
            answers += [""] * (2 * RANKS - len(answers))
            status = "unsure" if unsure else "ok"
            return [csv_path(path), status, *answers, "", digest, str(width), str(height), *end]


def write_rows(file: Path, rows: Iterable[list[str]], heading: bool = True) -> None:
    """Write CSV: UTF-8, RFC 4180."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        if heading:
            writer.writerow(COLUMNS)
        writer.writerows(rows)


def read_rows(file: Place) -> Iterator[dict[str, str]]:
    """The CSV's rows by column name."""
    with file.open(encoding="utf-8", newline="") as source:
        yield from csv.DictReader(source)


def summarise(file: Place, listed: Iterable[str]) -> dict[str, Any]:
    """Count the CSV's rows by status and by label. Holds one row at a time.

    `reconciled`: the rows are those of the `listed` paths, one each, in their order, each with a known status.
    """
    statuses: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    files, matched = 0, True
    for path, row in itertools.zip_longest(listed, read_rows(file)):
        files += path is not None
        matched = matched and path is not None and row is not None and row["path"] == csv_path(path)
        if row:
            statuses[row["status"]] += 1
            labels.update([row["label"]] if row["label"] else [])
    counts = {status: statuses[status] for status in STATUSES}
    return {
        "listed": files,
        **counts,
        "reconciled": matched and files == sum(counts.values()),
        "labels": dict(sorted(labels.items())),
    }


def compare(file: Place, truth: pd.DataFrame) -> dict[str, int]:
    """How many rows agree with `truth` (columns sha256, label): of those known, and of those known and not unsure."""
    known = dict(zip(truth["sha256"], truth["label"], strict=True))
    judged = [row for row in read_rows(file) if row["label"] and row["sha256"] in known]
    right = [row for row in judged if row["label"] == known[row["sha256"]]]
    return {
        "known": len(judged),
        "right": len(right),
        "known_and_ok": sum(row["status"] == "ok" for row in judged),
        "right_and_ok": sum(row["status"] == "ok" for row in right),
    }
