"""The MLflow store: its address, its timeouts, its error messages. Decides nothing about models."""

import logging
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.text import without_password
from pipeline.registry import direct, direct_file, relocation
from pipeline.registry.direct import Direct, Missing, Unanswered

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
ADDRESS = "MLFLOW_TRACKING_URI"  # names another store than this project's own
LOCAL_STORE = Path("mlflow.db")
LOCAL_ARTIFACTS = Path(relocation.ARTIFACTS)
LONGEST_CAUSE = 500  # characters
# What an answer of another form than MLflow's, a setting that is not a number or a user without a name raises.
UNFORESEEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
RESTARTS = (0, 1, 2)  # seconds before each look for a server
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}  # where an address names none


class TrackingError(NightshiftError):
    """The MLflow store did not answer; names it and the cause."""


@dataclass(frozen=True, slots=True)
class Store:
    """An MLflow store, with its retries and timeout."""

    address: str
    # With MLflow's defaults a dead server causes minutes of retries before any error.
    retries: int = 2
    timeout: int = 30  # seconds, of one request

    @classmethod
    def of_project(cls) -> "Store":
        """The store that MLFLOW_TRACKING_URI names, or the file mlflow.db of this project."""
        return cls(os.environ.get(ADDRESS) or _local_address())

    @classmethod
    def in_passing(cls) -> "Store":
        """The same store with short timeouts, for work that continues without it."""
        return cls(cls.of_project().address, retries=1, timeout=5)

    @property
    def shown(self) -> str:
        """The address for messages: without a password."""
        return without_password(self.address)

    @property
    def is_file(self) -> bool:
        """Whether it is a file on this machine."""
        return self.address.startswith("sqlite:")

    @property
    def is_there(self) -> bool:
        """Whether it can hold anything: a file may not be made yet. Looking into it with MLflow would make it."""
        return not self.is_file or self._file.is_file()

    @property
    def _file(self) -> Path:
        return Path(self.address.removeprefix("sqlite:///").partition("?")[0])  # the rest are SQLAlchemy's options

    @property
    def is_server(self) -> bool:
        """Whether it is a tracking server, which keeps the files of its runs itself."""
        return self.address.startswith("http")

    def require_answer(self) -> None:
        """Raise TrackingError where the store is a server, or its database, and nobody listens at its address.

        Found without MLflow, whose import takes seconds, and which tries a database for two minutes. A server that
        restarts has a few seconds to come back.
        """
        parts = urlsplit(self.address)
        if "," in parts.netloc or "host=" in parts.query or "socket=" in parts.query:  # a database's other ways
            return
        port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
        if not port or not parts.hostname:
            return
        if self.is_server and getproxies() and not proxy_bypass(parts.hostname):
            return
        for pause in RESTARTS:
            time.sleep(pause)
            try:
                socket.create_connection((parts.hostname, port), timeout=5).close()
            except OSError as error:
                cause = error
            else:
                return
        raise TrackingError(self._words_of(cause)) from cause

    def names_alias(self, model: str, alias: str) -> bool:
        """Whether a version of `model` may have `alias`: False only where the store is a file that shows it has none.

        Found without MLflow, whose import takes seconds.
        """
        if not self.is_file:
            return True
        if not self.is_there:
            return False
        query = "SELECT 1 FROM registered_model_aliases WHERE name = ? AND alias = ?"
        try:
            with closing(sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as store:
                return store.execute(query, (model, alias)).fetchone() is not None
        except sqlite3.Error:  # a new or damaged file, or another version's: MLflow says more
            return True

    def ask(self, question: Callable[["MlflowClient | Direct"], T]) -> T:
        """The answer to `question`: without MLflow where that is possible and sure, else through its client.

        The question may be asked twice, so it changes nothing before it is through. Raises TrackingError.
        """
        self.follow()
        try:
            with self._direct() as way:
                return question(way)
        except (Unanswered, Missing, OSError, *UNFORESEEN) as why:  # MLflow's way has the words for them
            log.debug("MLflow itself is asked: %r.", why)
        with self.connected() as client:
            return question(client)

    def _direct(self) -> AbstractContextManager[Direct]:
        direct.require_possible()
        if self.is_file:
            return direct_file.opened(self._file)
        if self.is_server:
            from pipeline.registry import direct_server

            return direct_server.opened(self.address, self.timeout)
        raise Unanswered("the store is neither a SQLite database nor a server")

    @contextmanager
    def connected(self) -> Iterator["MlflowClient"]:
        """A client of the store. Raises TrackingError for any failure of the store or the network."""
        self.require_answer()
        self._require_opens()
        with self._patience():
            import mlflow
            from sqlalchemy.exc import SQLAlchemyError

            logging.getLogger("alembic").setLevel(logging.WARNING)
            mlflow.set_tracking_uri(self.address)
            self.follow()
            try:
                yield mlflow.MlflowClient()
            except (mlflow.MlflowException, SQLAlchemyError, OSError) as error:
                raise TrackingError(self._words_of(error)) from error

    def _require_opens(self) -> None:
        """Raise TrackingError where the store is a file that SQLite cannot open: MLflow would try for two minutes."""
        if self.address.startswith("sqlite:///"):
            try:
                with closing(sqlite3.connect(self._file, timeout=30)) as store:
                    store.execute("PRAGMA schema_version")
            except sqlite3.Error as error:
                raise TrackingError(self._words_of(error)) from error

    def follow(self) -> None:
        """Let a project's own store name its files where the project is now. Raises TrackingError."""
        if self.address == _local_address():
            try:
                relocation.follow(LOCAL_STORE)
            except sqlite3.Error as error:
                raise TrackingError(self._words_of(error)) from error

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Set MLflow's retries and timeout in the environment, except what a person has set there."""
        wanted = {
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(self.retries),
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(self.timeout),
        }
        ours = {name: value for name, value in wanted.items() if name not in os.environ}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name in ours:
                os.environ.pop(name, None)

    def _words_of(self, error: Exception) -> str:
        cause = without_password(" ".join(str(error).split()))[:LONGEST_CAUSE]
        if getattr(error, "get_http_status_code", int)() in (401, 403):
            return (
                f"The MLflow store {self.shown} refused the request: {cause}. MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, must name a user who has the right."
            )
        if "out-of-date database schema" in cause:
            cause = cause.partition(" Take a backup")[0]
            todo = (
                f"Another version of MLflow made it. If that was an older one, copy it, then `mlflow db upgrade "
                f"{self.shown}`; if a newer one, use the Nightshift that wrote it."
            )
        elif self.is_file and "is locked" in cause:
            todo = "Another program writes to it: wait until that has ended, then run the same command again."
        elif self.is_file:
            todo = (
                f"{self._file} must be a file of MLflow's that you may read and write. If it is damaged, "
                "take it from a backup; without one, move it away: `nightshift train` begins a new one."
            )
        else:
            todo = f"If it is a server, check that it runs; {ADDRESS} names it."
        return f"The MLflow store {self.shown} failed: {cause.rstrip('.')}. {todo}"

    def experiment(self, client: "MlflowClient", name: str) -> str:
        """The id of the experiment `name`, made when it is new; a project's own store keeps files in mlartifacts/."""
        if found := client.get_experiment_by_name(name):
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
                log.warning("The experiment %s had been deleted in MLflow; it is restored, with its runs.", name)
            return str(found.experiment_id)
        place = (LOCAL_ARTIFACTS / name).absolute().as_uri() if self.address == _local_address() else None
        return str(client.create_experiment(name, artifact_location=place))


def refusals(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What to catch: `others`, and MLflow's exceptions if it was imported, as it raises none before."""
    found = getattr(sys.modules.get("mlflow"), "MlflowException", None)
    return (*others, found) if found else others


def _local_address() -> str:
    return f"sqlite:///{LOCAL_STORE.absolute()}"
