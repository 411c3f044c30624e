"""A cache of answers by file content: the model classifies identical bytes once.

Two layers: the answers of an earlier run, in a file made with the plan, and the latest ones of this process.
"""

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pipeline.core.cells import frame_in, listed_path
from pipeline.core.log import log
from pipeline.core.text import counted
from pipeline.model.contract import Contract
from pipeline.model.doubt import REASONS
from pipeline.night.rows import (
    CORRECT_ELSEWHERE,
    PREDICTIONS_CSV,
    RESTORE,
    Row,
    RowsError,
    answer_of,
    labels_in,
    read_rows,
)
from pipeline.night.sound_rows import Forms
from pipeline.night.summary import summary_if_any
from pipeline.storage.files import replacing
from pipeline.storage.folders import Folder, folder_at

Answer = Mapping[str, str]  # the columns of a row that depend only on the file's content and the model
RECENT = 10_000  # answers; some 5 MB


def write_known(file: Path, answers: Iterable[tuple[str, Answer]]) -> int:
    """Write (sha256, answer) pairs to `file`; returns how many. Keeps only a few in memory."""
    with replacing(file) as beside:
        table = sqlite3.connect(beside)
        try:
            table.execute("CREATE TABLE known (sha256 TEXT PRIMARY KEY, answer TEXT) WITHOUT ROWID")
            rows = ((digest, json.dumps(dict(answer))) for digest, answer in answers)
            table.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", rows)
            table.commit()
            (count,) = table.execute("SELECT count(*) FROM known").fetchone()
        finally:
            table.close()
    return int(count)


class Known:
    """The known answers by a file's content. Thread-safe."""

    def __init__(self, file: Path | None) -> None:
        """Read `file`, made by `write_known`, if there is one."""
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, Answer] = OrderedDict()
        self._table: sqlite3.Connection | None = None
        if file and file.is_file():
            self._table = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    @property
    def has_earlier(self) -> bool:
        """Whether there are answers of an earlier run."""
        return self._table is not None

    def earlier(self, sha256: str) -> Answer | None:
        """The answer of the earlier run."""
        if self._table is None:
            return None
        with self._lock:
            found = self._table.execute("SELECT answer FROM known WHERE sha256 = ?", (sha256,)).fetchone()
        return json.loads(found[0]) if found else None

    def get(self, sha256: str) -> Answer | None:
        """The answer to this content, if it is known."""
        with self._lock:
            found = self._recent.get(sha256)
        return self.earlier(sha256) if found is None else found

    def add(self, sha256: str, answer: Answer) -> None:
        """Remember an answer for a while."""
        with self._lock:
            self._recent[sha256] = answer
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)

    def close(self) -> None:
        """Close the file."""
        if self._table:
            self._table.close()


def remember_last(source: Folder, beside: Path, known: Path, contract: Contract, columns: Sequence[str]) -> None:
    """Keep the answers of the last finished run over `source` in `known`, if the same model gave them.

    beside: the folder of this run; contract: of its model; columns: of its rows. The last run is in the same folder or
    in one beside it. Where its rows cannot be read, a warning says so, and the run before it takes its place.
    """
    nights = _finished_over(source, {*beside.parent.glob("*"), beside})
    if not nights:
        log.info("Found no finished run over %s in %s or beside it: all files will be classified.", source, beside)
    for last, contract_hash in nights:
        if contract_hash != contract.hash:
            log.info("The model differs from the one in %s: all files will be classified.", last)
            return
        answers = _Answers(last / PREDICTIONS_CSV, columns, contract.class_names)
        try:
            count = write_known(known, answers)
        except (RowsError, PermissionError) as error:
            log.warning("%s Until then a night takes the answers of an earlier one, or classifies all files.", error)
            continue
        if answers.unsound:
            log.warning(
                "%s: %s changed since the night wrote them, or damaged; their images are classified again. %s; %s",
                answers.csv, counted(answers.unsound, "row is", "rows are"), RESTORE, CORRECT_ELSEWHERE,
            )  # fmt: skip
        log.info("Reusing predictions from %s for files with the same content (%d available).", last, count)
        return


def last_finished(source: Folder, folders: Iterable[Path], since: str = "") -> Path | None:
    """The folder of the last run over `source` among `folders` that ended at `since` or later; None when there is none.

    since: ISO 8601, UTC, in whole seconds, as summaries have it; empty: whenever.
    """
    return next((folder for folder, _ in _finished_over(source, folders, since)), None)


def _finished_over(source: Folder, folders: Iterable[Path], since: str = "") -> list[tuple[Path, str]]:
    """The folders of these finished runs, the last one first, and the hashes of their models' contracts."""
    nights = ((summary, folder) for folder in folders if (summary := summary_if_any(folder_at(folder))))
    found = [
        (night.finished_at, folder, night.contract_hash)
        for night, folder in nights
        if night.finished_at >= since and source.is_at(listed_path(night.input))
    ]
    return [(folder, contract_hash) for _, folder, contract_hash in sorted(found, reverse=True)]


class _Answers:
    """The answers in a night's predictions.csv that may be repeated, with the SHA-256 of their files' content."""

    def __init__(self, csv: Path, columns: Sequence[str], class_names: Sequence[str]) -> None:
        """columns: of the rows that will repeat them; class_names: of the model that gave them."""
        self.csv, self._columns, self._labels = csv, frozenset(columns), frozenset(("", *class_names))
        self._forms = Forms(columns)
        self._are_labels = lru_cache(RECENT)(self._have_these)  # most rows have the candidates of others
        self.unsound = 0  # rows so far that a night does not write

    def __iter__(self) -> Iterator[tuple[str, Answer]]:
        """Raises RowsError, PermissionError."""
        frames_of = ""
        for row in read_rows(self.csv):
            path, frame = frame_in(row["path"])
            if frame or path == frames_of:  # every frame is judged again, so its file is
                frames_of = path
                continue
            if not self._columns <= row.keys():  # written by another version, or without this run's places
                return
            if not row["label"]:  # do not repeat `unreadable`: its cause may be gone
                continue
            if not self._is_sound(row):
                self.unsound += 1
                continue
            unsure = any(flag in REASONS for flag in row["flags"].split())
            if unsure == (row["status"] == "unsure"):  # else by the rule of an earlier version: an outlier was `ok`
                yield row["sha256"], answer_of({column: row[column] for column in self._columns})

    def _is_sound(self, row: Row) -> bool:
        """Whether a night can have written this row with a label: a person or a spreadsheet may have changed it."""
        return (
            self._forms.fault(row) is None
            and {row["label"], row["label_2"], row["label_3"]} <= self._labels
            and self._are_labels(row["candidates"])
        )

    def _have_these(self, candidates: str) -> bool:
        return self._labels.issuperset(labels_in(candidates))
