"""The row of predictions.csv: its columns, how an outcome becomes a row, how rows are written and read."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.cells import csv_path, frame_in, frame_path, guarded, unguarded
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.people_tables import SEPARATORS
from pipeline.core.text import named, shown
from pipeline.images.taken_values import UNKNOWN, Taken
from pipeline.model.ranked import DIGITS, RANKS
from pipeline.storage.stores import Place

if TYPE_CHECKING:  # its module imports NumPy, which who only reads rows need not
    from pipeline.images.measures import Light

PREDICTIONS_CSV = "predictions.csv"
COLUMNS = (
    "path", "status", "label", "confidence", "label_2", "confidence_2", "label_3", "confidence_3",
    "error", "sha256", "width", "height", "model_name", "model_version", "classified_at", "outlier_score", "flags",
    "brightness", "contrast", "sharpness", "candidates", "taken_at", "camera",
)  # fmt: skip
OF_EVERY_VERSION = COLUMNS[: COLUMNS.index("classified_at") + 1]
LOCATION = ("latitude", "longitude")  # columns behind them, of a run that keeps where pictures were taken
NUMBERS = {
    "confidence": "float", "confidence_2": "float", "confidence_3": "float", "width": "int", "height": "int",
    "outlier_score": "float", "brightness": "float", "contrast": "float", "sharpness": "float",
}  # fmt: skip
# Any text: guarded in the CSV, itself in a row.
TEXTS = ("label", "label_2", "label_3", "error", "model_name", "camera")
WHY, CORRECTION, JUDGED = "why", "correct_label", "judged"  # more columns of review.csv; a person fills in the second
LIGHT = ("brightness", "contrast", "sharpness")
SIGNALS = 2 + len(LIGHT) + 1  # columns on how far a row may be trusted
OF_THIS_FILE = (
    "path",
    "sha256",
    "model_name",
    "model_version",
    "classified_at",
)  # other columns that depend on the content
RESTORE = "Restore the file, or run the night again"  # where rows are not as a night wrote them
CORRECT_ELSEWHERE = "corrections of labels belong in review.csv."  # not in a night's rows
STATUSES = ("ok", "unsure", "unreadable")
GONE = "the file is gone; it was there when the files were listed"  # an `error`


class RowsError(NightshiftError):
    """A night's rows are missing or changed; the message names the file, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Classified:
    """An image that was read and judged."""

    path: str  # as listed
    sha256: str
    width: int  # pixels, upright
    height: int
    ranked: tuple[tuple[str, float], ...]  # (label, confidence), the most probable first, at most RANKS
    unsure: bool
    outlier_score: float | None = None  # 0 to 2; None: the model has no training images to compare with
    flags: tuple[str, ...] = ()  # words on how it differs from them
    light: "Light | None" = None  # as the model saw it
    candidates: tuple[str, ...] = ()  # labels that cannot be excluded, the most probable first; empty: not known
    taken: Taken = UNKNOWN  # when, where and by which camera, as its bytes say
    frame: int = 0  # the number, from 1 on, of a frame of the file; 0: the file itself


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is not a readable image."""

    path: str  # as listed
    error: str  # why, in words
    sha256: str = ""  # empty when its bytes could not be read
    taken: Taken = UNKNOWN
    frame: int = 0  # as of an image that was judged


@dataclass(frozen=True, slots=True)
class Repeated:
    """A file whose content the same model has judged before."""

    path: str  # as listed
    sha256: str
    answer: Mapping[str, str]  # the row's columns but OF_THIS_FILE


FileOutcome = Classified | Unreadable | Repeated  # of one file
Row = Mapping[str, str]  # of a CSV: column -> text


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is the same in every row of a run."""

    model_name: str
    model_version: str
    classified_at: str  # ISO 8601, UTC: when the run was planned


def labels_text(labels: Sequence[str]) -> str:
    """Labels as one cell, a JSON list: a label may hold any separator, and `[` begins no spreadsheet formula."""
    return json.dumps(labels, ensure_ascii=False) if labels else ""


def labels_in(text: str) -> list[str]:
    """The labels that `labels_text` wrote as `text`."""
    return [str(label) for label in json.loads(text)] if text else []


def columns_of(*, location: bool) -> tuple[str, ...]:
    """The columns of a run; location: whether it keeps where pictures were taken."""
    return (*COLUMNS, *LOCATION) if location else COLUMNS


def to_row(outcome: FileOutcome, stamp: Stamp, columns: Sequence[str] = COLUMNS) -> list[str]:
    """One line of the CSV; columns: as `columns_of` gives them. No other cell holds a place."""
    end = [stamp.model_name, stamp.model_version, stamp.classified_at]
    match outcome:
        case Repeated(path, digest, answer):
            own = dict(zip(OF_THIS_FILE, (csv_path(path), digest, *end), strict=True))
            # A night that an earlier version began has answers without the columns that came later.
            return [own.get(column) or answer.get(column, "") for column in columns]
        case Unreadable(path, error, digest, taken, frame):
            row = [
                frame_path(csv_path(path), frame),
                "unreadable",
                *[""] * (2 * RANKS),
                error,
                digest,
                "",
                "",
                *end,
                *[""] * SIGNALS,
            ]
            return [*row, *_taken_cells(taken, columns)]
        case Classified(path, digest, width, height, ranked, unsure, score, flags, light, candidates, taken, frame):
            answers = [text for label, confidence in ranked for text in (label, f"{confidence:.{DIGITS}f}")]
            answers += [""] * (2 * RANKS - len(answers))
            status = "unsure" if unsure else "ok"
            end += ["" if score is None else f"{score:.4f}", " ".join(flags)]
            end += [f"{getattr(light, name):.4g}" if light else "" for name in LIGHT]
            end += [labels_text(candidates), *_taken_cells(taken, columns)]
            return [frame_path(csv_path(path), frame), status, *answers, "", digest, str(width), str(height), *end]


def _taken_cells(taken: Taken, columns: Sequence[str]) -> list[str]:
    cells = {"taken_at": taken.at_text, "camera": taken.camera}
    cells |= {
        name: f"{value:.6f}" if (value := getattr(taken, name)) is not None else ""  # 0.1 m
        for name in LOCATION
        if name in columns
    }
    return [*cells.values()]


def answer_of(row: Mapping[str, str]) -> dict[str, str]:
    """The part of a row that depends only on the file's content and the model."""
    return {column: text for column, text in row.items() if column not in OF_THIS_FILE}


def as_cells(row: Iterable[str], columns: Sequence[str] = columns_of(location=True)) -> list[str]:
    """A row, or its first part, as it stands in a CSV with these columns; `read_rows` gives it back."""
    return [guarded(text) if column in TEXTS else text for column, text in zip(columns, row, strict=False)]


def write_rows(file: Path, rows: Iterable[list[str]], heading: bool = True) -> None:
    """Write CSV: UTF-8, RFC 4180; heading: of rows with COLUMNS."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        if heading:
            writer.writerow(COLUMNS)
        writer.writerows(map(as_cells, rows))


def read_rows(file: Place, needed: Sequence[str] = OF_EVERY_VERSION) -> Iterator[dict[str, str]]:
    """The CSV's rows by column name; a cell that a row of an earlier version lacks is empty.

    needed: columns that the file must have. Raises RowsError when it is missing, or no longer as a night wrote it.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as source:  # Excel's “CSV UTF-8” begins with a mark
            table = csv.DictReader(source, restval="")
            found = table.fieldnames or ()
            if missing := [column for column in needed if column not in found]:
                why = _not_first(",".join(found), needed) if needed[0] in missing else f"has no column {named(missing)}"
                raise RowsError(f"{file} {why}. {RESTORE}; {CORRECT_ELSEWHERE}")
            for row in table:
                yield {column: unguarded(cell) if column in TEXTS else cell for column, cell in row.items()}
    except (FileNotFoundError, NotADirectoryError):
        raise RowsError(f"{file} is missing. {RESTORE}.") from None
    except IsADirectoryError:
        raise RowsError(f"{file} is a folder. {RESTORE}.") from None
    except UnicodeDecodeError as error:
        byte = f"it has the byte 0x{error.object[error.start]:02X}"
        raise RowsError(f"{file} is not UTF-8 text: {byte}. {RESTORE}; {CORRECT_ELSEWHERE}") from None
    except csv.Error as error:
        raise RowsError(f"{file} is not valid CSV ({error}). {RESTORE}; {CORRECT_ELSEWHERE}") from None


def _not_first(line: str, needed: Sequence[str]) -> str:
    """What is wrong with the first line of a file of rows."""
    if not line:
        return "is empty"
    other = next((words for sign, words in SEPARATORS.items() if sign != "," and f"{needed[0]}{sign}" in line), "")
    why = f"the columns are separated by {other}" if other else f"it begins “{shown(line[:40])}”"
    return f"does not begin with the line {','.join(needed[:3])},…: {why}"


def rows_if_any(file: Place) -> Iterator[Row]:
    """The rows as `read_rows` gives them, up to where the file is no longer as a night wrote it, with a warning then.

    For whoever looks through many nights: a damaged one must not stop them.
    """
    try:
        yield from read_rows(file)
    except RowsError as error:
        log.warning("Passed over: %s", error)


def of_files(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows of files, without those of their frames (images.frame: all)."""
    return (row for row in rows if not frame_in(row["path"])[1])


class InOrder:
    """Whether rows are those of the listed paths: each one's own, behind those of its frames 1, 2, 3, ... if any."""

    def __init__(self, listed: Iterable[str]) -> None:
        """listed: paths, in order; one is taken for each row of a file."""
        self._listed = iter(listed)
        self._frames = ("", 0)  # the file whose frames are coming, and the number of the latest
        self.files, self._holds = 0, True

    def add(self, cell: str) -> bool:
        """Take the next row into account, by its path; returns whether it is a frame's."""
        path, frame = frame_in(cell)
        of, before = self._frames
        if frame:
            self._holds = self._holds and (frame == 1 if not before else (path, frame) == (of, before + 1))
            self._frames = (path, frame)
            return True
        listed = next(self._listed, None)
        self.files += listed is not None
        self._holds = self._holds and listed is not None and path == csv_path(listed) and (not before or path == of)
        self._frames = ("", 0)
        return False

    def ended(self) -> bool:
        """Whether all rows were right, and no path is left over, which `files` then counts too."""
        left = sum(1 for _ in self._listed)
        self.files += left
        return self._holds and not left and not self._frames[1]


def holds_rows_of(data: bytes, paths: Iterable[str], stamp: Stamp, columns: Sequence[str] = COLUMNS) -> bool:
    """Whether a CSV without a heading has the complete rows of the run of `stamp` for `paths`, and in order."""
    order = InOrder(paths)
    same = {COLUMNS.index(name): text for name, text in asdict(stamp).items()}
    if not data.endswith(b"\r\n"):
        return False
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        for row in rows:
            if len(row) != len(columns) or any(unguarded(row[column]) != value for column, value in same.items()):
                return False
            order.add(row[0])
        return order.ended()
    except (ValueError, csv.Error):
        return False
