"""Whether the rows of a finished night are as it wrote them: a person, a spreadsheet or a disk may have changed them.

predictions.csv must have the forms of docs/formats.md, the model and the start that summary.json has, and its counts.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from operator import itemgetter

from pipeline.core.cells import frame_in, listed_path
from pipeline.core.text import counted, named, shown
from pipeline.night.rows import (
    COLUMNS,
    CORRECT_ELSEWHERE,
    LOCATION,
    NUMBERS,
    OF_EVERY_VERSION,
    PREDICTIONS_CSV,
    RESTORE,
    Row,
    RowsError,
    labels_in,
    read_rows,
)
from pipeline.night.summary import SUMMARY, NightSummary
from pipeline.storage.folders import Folder

RECENT = 10_000  # different cells; most rows have the candidates of others
QUOTED = 40  # characters of a cell
UNEVEN = "it does not have one cell for each column"
_SHARE = r"0(\.[0-9]+)?|1(\.0+)?"
_KINDS = {"int": "[0-9]{0,9}", "float": r"(-?[0-9]+(\.[0-9]+)?(e[+-][0-9]{2})?)?"}
_ANSWERED = {
    **{column: _KINDS[kind] for column, kind in (NUMBERS | dict.fromkeys(LOCATION, "float")).items()},
    "status": "ok|unsure", "sha256": "[0-9a-f]{64}",
    "confidence": _SHARE, "confidence_2": f"({_SHARE})?", "confidence_3": f"({_SHARE})?",
}  # fmt: skip
_UNREADABLE = _ANSWERED | {"status": "unreadable", "sha256": "([0-9a-f]{64})?", "confidence": ""}


class Forms:
    """The forms of a row's cells, as a night writes them."""

    def __init__(self, columns: Iterable[str]) -> None:
        """columns: of the rows."""
        self._names = [column for column in columns if column in _ANSWERED]
        self._cells = itemgetter(*self._names)
        self._answered, self._unreadable = map(self._whole, (_ANSWERED, _UNREADABLE))

    def _whole(self, forms: Mapping[str, str]) -> re.Pattern[str]:
        """All forms in one match: cell by cell they take three times as long. None of them has a comma."""
        return re.compile(",".join(f"({forms[name]})" for name in self._names))

    def fault(self, row: Row) -> str | None:
        """The first column whose cell no night writes; empty: the cells are not one for each column."""
        if None in row or not row["classified_at"]:
            return ""
        is_unreadable = row["status"] == "unreadable"
        whole, forms = (self._unreadable, _UNREADABLE) if is_unreadable else (self._answered, _ANSWERED)
        if not whole.fullmatch(",".join(self._cells(row))):
            return next(name for name in row if name in forms and not re.fullmatch(forms[name], row[name]))
        rest = {
            "label": bool(row["label"]) is not is_unreadable,
            "path": _is_below(row["path"]),
            "taken_at": _is_time(row.get("taken_at", "")),
            "candidates": _are_labels(row.get("candidates", "")),
        }
        return next((name for name, is_sound in rest.items() if not is_sound), None)


def _is_below(cell: str) -> bool:
    """Whether a cell is the path of a file in the night's folder, or of its frame."""
    path = listed_path(frame_in(cell)[0])
    return bool(path) and not path.startswith("/") and "\0" not in path and ".." not in path.split("/")


def _is_time(cell: str) -> bool:
    try:
        return not cell or bool(datetime.fromisoformat(cell))
    except ValueError:
        return False


@lru_cache(RECENT)
def _are_labels(cell: str) -> bool:
    try:
        labels_in(cell)
    except (ValueError, TypeError):
        return False
    return cell.startswith("[") or not cell


def rows_as_written(output: Folder, summary: NightSummary) -> Iterator[Row]:
    """The rows of predictions.csv in a finished night's folder, those of frames too. summary: of the night.

    A column that an earlier version did not write is empty. Raises RowsError at the first row that is not as the night
    wrote it, or behind the last one where the rows are not as many as it counted: whoever writes while rows come
    asks `require_as_written` before.
    """
    file, forms = output.path / PREDICTIONS_CSV, Forms(OF_EVERY_VERSION)
    statuses, labels = Counter[str](), Counter[str]()
    stamp = (summary.model_name, summary.model_version, summary.started_at)
    for number, row in enumerate(read_rows(file), start=2):  # row 1 is the heading, as in a spreadsheet
        if not statuses:
            _require_columns(file, row)
            forms = Forms([*row])
        if (fault := forms.fault(row)) is not None:
            raise _changed(f"{file}, row {number}", f"{fault} cannot be {_quoted(row[fault])}" if fault else UNEVEN)
        if (row["model_name"], row["model_version"], row["classified_at"]) != stamp:
            of = f"{row['model_name']} version {row['model_version']}, {row['classified_at']}"
            raise _changed(f"{file}, row {number}", f"it is of another night than {SUMMARY}: {shown(of)}")
        if not frame_in(row["path"])[1]:
            if row["label"] and row["label"] not in summary.labels:
                raise _changed(f"{file}, row {number}", f"the night gave no label {_quoted(row['label'])}")
            statuses[row["status"]] += 1
            labels[row["label"]] += 1
        yield dict.fromkeys(COLUMNS, "") | row
    _require_as_many(str(file), "status", statuses, summary.counts)
    _require_as_many(str(file), "label", labels, summary.labels)


def require_as_written(output: Folder, summary: NightSummary) -> None:
    """Raise RowsError unless `rows_as_written` gives all rows."""
    for _ in rows_as_written(output, summary):
        continue


def _require_columns(file: object, row: Row) -> None:
    """Raise RowsError where a column is missing before the last of those that came with later versions."""
    last = max(number for number, column in enumerate(COLUMNS) if column in row)
    if missing := [column for column in COLUMNS[:last] if column not in row]:
        raise _changed(str(file), f"it has no column {named(missing)}")


def _require_as_many(file: str, column: str, found: Mapping[str, int], said: Mapping[str, int]) -> None:
    for cell, count in said.items():
        if (here := found.get(cell, 0)) != count:
            raise _changed(file, f"{counted(here, 'row has', 'rows have')} the {column} {shown(cell)}, and {SUMMARY} "
                           f"counts {count:,}")  # fmt: skip


def _changed(where: str, why: str) -> RowsError:
    return RowsError(f"{where}: {why}. {RESTORE}; {CORRECT_ELSEWHERE}")


def _quoted(cell: str) -> str:
    return f"“{shown(cell[:QUOTED])}”" if cell else "empty"
