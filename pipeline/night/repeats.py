"""A cache of answers by file content: the model classifies identical bytes once.

Two layers: the answers of an earlier run, in a file made with the plan, and the latest ones of this process.
"""

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.core.cells import frame_in, listed_path
from pipeline.core.log import log
from pipeline.model.doubt import REASONS
from pipeline.night.rows import PREDICTIONS_CSV, answer_of, read_rows
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


def remember_last(
    source: Folder, beside: Path, known: Path, contract_hash: str, columns: Sequence[str]
) -> None:  # fmt: skip
    """Keep the answers of the last finished run over `source` in `known`, if the same model gave them.

    beside: the folder of this run; columns: of its rows. The last run is in the same folder or in one beside it.
    """
    last = last_finished(source, {*beside.parent.glob("*"), beside})
    if not last:
        log.info("Found no finished run over %s in %s or beside it: all files will be classified.", source, beside)
        return
    summary = summary_if_any(folder_at(last))
    if summary is None or summary.contract_hash != contract_hash:
        log.info("The model differs from the one in %s: all files will be classified.", last)
        return
    count = write_known(known, _answers(last / PREDICTIONS_CSV, columns))
    log.info("Reusing predictions from %s for files with the same content (%d available).", last, count)


def last_finished(source: Folder, folders: Iterable[Path]) -> Path | None:
    """The folder of the last finished run over `source` among `folders`; None when there is none."""
    nights = ((summary, folder) for folder in folders if (summary := summary_if_any(folder_at(folder))))
    candidates = [(night.finished_at, folder) for night, folder in nights if source.is_at(listed_path(night.input))]
    return max(candidates)[1] if candidates else None


def _answers(csv: Path, columns: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    frames_of = ""
    for row in read_rows(csv):
        path, frame = frame_in(row["path"])
        if frame or path == frames_of:  # every frame is judged again, so its file is
            frames_of = path
            continue
        if not set(columns) <= set(row):  # written by another version, or without the places that this run keeps
            return
        unsure = any(flag in REASONS for flag in row["flags"].split())
        if unsure != (row["status"] == "unsure"):  # by the rule of an earlier version: an outlier could be `ok`
            continue
        if row["label"]:  # do not repeat `unreadable`: its cause may be gone
            yield row["sha256"], answer_of({column: row[column] for column in columns})
