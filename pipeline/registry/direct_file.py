"""An MLflow store in a SQLite database, asked without MLflow; only where its tables are the ones that we know.

Tests compare every answer, and a recorded run row by row, with what MLflow does itself.
"""

import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.registry.direct import Direct, FoundRun, Missing, Model, NewRun, Unanswered, Version

# Versions of MLflow's tables (`alembic_version`) for which this was compared with MLflow. tests/registry/test_direct.py
# fails with a new version until somebody has read MLflow's migration to it and added it here.
KNOWN = {"dc11669786a5"}  # MLflow 3.17
NOT_THERE, NO_ALIAS = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"
WAIT = 30  # seconds for another program's transaction
COLUMNS = "name, version, run_id, description, source, creation_time"
DEFAULT = "default"  # the workspace of a store without workspaces


@contextmanager
def opened(file: Path) -> Iterator["Database"]:
    """The database as it is at one moment. Raises Unanswered, in the block too, for whatever SQLite cannot do."""
    try:
        with closing(_connection(file, "ro")) as store:
            store.execute("BEGIN")
            _require_known(store)
            yield Database(store, file)
    except sqlite3.Error as error:
        raise Unanswered(f"{file}: {error}") from error


def _connection(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT, isolation_level=None)


def _require_known(store: sqlite3.Connection) -> None:
    found = [str(version) for (version,) in store.execute("SELECT version_num FROM alembic_version")]
    if len(found) != 1 or found[0] not in KNOWN:
        raise Unanswered(f"its tables have the version {' '.join(found) or 'none'}, which is not a known one")
    for table in ("registered_models", "experiments"):
        if store.execute(f"SELECT 1 FROM {table} WHERE workspace <> ? LIMIT 1", (DEFAULT,)).fetchone():  # noqa: S608
            raise Unanswered("it has workspaces")


class Database(Direct):
    """An open store."""

    def __init__(self, store: sqlite3.Connection, file: Path) -> None:
        """store: in a transaction that reads."""
        self._store, self._file = store, file

    def _all(self, query: str, *values: Any) -> list[Any]:
        return self._store.execute(query, values).fetchall()

    def get_registered_model(self, name: str) -> Model:
        """The model as a whole."""
        found = self._all("SELECT description FROM registered_models WHERE name = ?", name)
        if not found:
            raise Missing(NOT_THERE)
        aliases = self._all("SELECT alias, version FROM registered_model_aliases WHERE name = ?", name)
        tags = self._all("SELECT key, value FROM registered_model_tags WHERE name = ?", name)
        return Model(dict(aliases), dict(tags), found[0][0] or "")

    def get_model_version_by_alias(self, name: str, alias: str) -> Version:
        """The version that has the alias."""
        self.get_registered_model(name)
        found = self._all("SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", name, alias)
        if not found:
            raise Missing(NO_ALIAS)
        return self.get_model_version(name, str(found[0][0]))

    def get_model_version(self, name: str, version: str) -> Version:
        """The version of this number."""
        number = int(version)
        found = self._all(f"SELECT {COLUMNS} FROM model_versions WHERE {OF_VERSION}", name, number)  # noqa: S608
        if not found:
            raise Missing(NOT_THERE)
        aliases = self._all("SELECT alias FROM registered_model_aliases WHERE name = ? AND version = ?", name, number)
        return self._version(found[0], tuple(alias for (alias,) in aliases))

    def versions_of(self, name: str) -> list[Version]:
        """All versions, in any order, without their aliases."""
        query = f"SELECT {COLUMNS} FROM model_versions WHERE name = ? AND {NOT_DELETED}"  # noqa: S608
        return [self._version(row, ()) for row in self._all(query, name)]

    def _version(self, row: tuple[Any, ...], aliases: tuple[str, ...]) -> Version:
        name, version, run_id, description, source, created = row
        tags = self._all("SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?", name, version)
        return Version(
            name, version, run_id or "", aliases, description or "", dict(tags), source or "", "", created or 0
        )

    def runs_before(self, experiment: str, end: int, most: int) -> list[FoundRun] | None:
        """The newest `most` finished runs begun before `end`, in ms, the newest first; None: no such experiment."""
        known = self._all("SELECT experiment_id FROM experiments WHERE name = ?", experiment)
        if not known:
            return None
        query = (
            "SELECT run_uuid, name FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active' "
            "AND status = 'FINISHED' AND start_time < ? ORDER BY start_time DESC, run_uuid LIMIT ?"
        )
        return [self._run(*row) for row in self._all(query, known[0][0], end, most)]

    def _run(self, run_id: str, name: str) -> FoundRun:
        tags = self._all("SELECT key, value FROM tags WHERE run_uuid = ?", run_id)
        metrics = self._all("SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?", run_id)
        return FoundRun(name, dict(tags), {key: float("nan") if nan else value for key, value, nan in metrics})

    def fetch_folder(self, name: str, version: int, folder: str, into: Path) -> None:
        """Copy a folder among the files of a version into the new folder `into`."""
        query = f"SELECT storage_location, source FROM model_versions WHERE {OF_VERSION}"  # noqa: S608
        found = self._all(query, name, version)
        place = _local(found[0][0] or found[0][1]) if found else None
        if place is None or not (place / folder).is_dir():
            raise Unanswered(f"the files of {name} version {version} are not a folder on this machine")
        self._end()
        try:
            _copy(place / folder, into)
        except OSError as error:
            shutil.rmtree(into, ignore_errors=True)
            raise Unanswered(f"its files could not be copied: {error}") from error

    def text_of(self, run_id: str, path: str) -> str | None:
        """A text among the files of a run; None: the run has no such file."""
        found = self._all("SELECT artifact_uri FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'", run_id)
        if not found or (place := _local(found[0][0])) is None:
            raise Unanswered(f"the files of run {run_id} are not on this machine")
        try:
            return (place / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise Unanswered(f"{place / path}: {error}") from error

    def record(self, run: NewRun) -> None:
        """Record a finished run whole: its files, then its rows in one transaction."""
        known = self._all(EXPERIMENT, run.experiment)
        if not known or (place := _local(known[0][1])) is None:
            raise Unanswered(f"the experiment {run.experiment} is not there yet, or its files are elsewhere")
        self._end()
        run_id = uuid.uuid4().hex
        try:
            _write_files(place / run_id / "artifacts", run)
            with closing(_connection(self._file, "rw")) as store:
                store.execute("PRAGMA foreign_keys = ON")
                store.execute("BEGIN IMMEDIATE")
                _require_known(store)
                if store.execute(EXPERIMENT, (run.experiment,)).fetchall() != known:
                    raise Unanswered(f"the experiment {run.experiment} has just changed")
                _write_rows(store, run_id, known[0], run)
                store.execute("COMMIT")
        except BaseException:
            if not self._all("SELECT 1 FROM runs WHERE run_uuid = ?", run_id):  # a signal may come after the COMMIT
                shutil.rmtree(place / run_id, ignore_errors=True)
            raise

    def _end(self) -> None:
        """End the transaction: others can write only then, and wait for some seconds only."""
        self._store.execute("COMMIT")


EXPERIMENT = "SELECT experiment_id, artifact_location FROM experiments WHERE name = ? AND lifecycle_stage = 'active'"
NOT_DELETED = "current_stage <> 'Deleted_Internal'"
OF_VERSION = f"name = ? AND version = ? AND {NOT_DELETED}"


def _local(address: str | None) -> Path | None:
    """The folder of a `file:` address; None for every other one."""
    parts = urlsplit(address or "")
    if parts.scheme != "file" or parts.netloc or parts.query or parts.fragment:
        return None
    return Path(unquote(parts.path))


def _copy(folder: Path, into: Path) -> None:
    """Copy files only: a copied folder that nobody may write into could not be moved or deleted."""
    into.mkdir(parents=True)
    for one in folder.iterdir():
        if one.is_dir():
            _copy(one, into / one.name)
        else:
            shutil.copyfile(one, into / one.name)


def _write_files(place: Path, run: NewRun) -> None:
    try:
        for name, content in run.files.items():
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    except OSError as error:
        raise Unanswered(f"{place}: {error}") from error


def _write_rows(store: sqlite3.Connection, run_id: str, experiment: tuple[int, str], run: NewRun) -> None:
    number, place = experiment
    now = int(time.time() * 1000)
    store.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, "
        "end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
        "VALUES (?, ?, 'UNKNOWN', '', '', ?, 'FINISHED', ?, ?, '', 'active', ?, ?)",
        (run_id, run.name, run.tags["mlflow.user"], now, now, f"{place}/{run_id}/artifacts", number),
    )
    store.executemany(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [(*tag, run_id) for tag in run.tags.items()]
    )
    store.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(*one, run_id) for one in run.params.items()]
    )
    for table in ("metrics", "latest_metrics"):
        store.executemany(
            f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, 0, 0, ?)",  # noqa: S608
            [(*metric, now, run_id) for metric in run.metrics.items()],
        )
    if run.model_id:
        store.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step) "
            "VALUES (?, 'RUN_INPUT', ?, 'MODEL_INPUT', ?, 0)",
            (uuid.uuid4().hex, run_id, run.model_id),
        )
