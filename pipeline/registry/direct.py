"""When an MLflow store may be asked without MLflow, whose import and start cost two seconds. Asks nothing itself.

`direct_file` asks a SQLite database, `direct_server` a tracking server. Both answer only what they answer surely, and
raise Unanswered for all else. Then MLflow itself is asked; it also has the words for what is wrong.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Never

# Settings of MLflow that both ways follow, or that change nothing here. Another one that is set, such as a workspace or
# a way to log in, means that MLflow is asked.
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
INSECURE, TIMEOUT = "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_HTTP_REQUEST_TIMEOUT"
FOLLOWED = {
    "MLFLOW_TRACKING_URI", *CREDENTIALS, INSECURE, TIMEOUT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME",  # ours have names of their own
    "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_LOGGING_LEVEL",
}  # fmt: skip
# Groups of plugins by which another package changes what MLflow's client sends, stores or records.
PLUGINS = (
    "mlflow.tracking_store", "mlflow.model_registry_store", "mlflow.artifact_repository", "mlflow.run_context_provider",
    "mlflow.request_header_provider", "mlflow.request_auth_provider", "mlflow.workspace_provider",
)  # fmt: skip
PASSWORDS = Path("~/.mlflow/credentials")  # a file of MLflow's


class Unanswered(Exception):  # noqa: N818 - what happened
    """A direct way does not answer this surely; says why."""


class Missing(Exception):  # noqa: N818 - what happened
    """What was asked for does not exist; `error_code` as in MLflow's own exception."""

    def __init__(self, error_code: str) -> None:
        """error_code: MLflow's."""
        super().__init__(error_code)
        self.error_code = error_code


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model, as MLflow's entity has it."""

    aliases: Mapping[str, int]  # alias -> version
    tags: Mapping[str, str]
    description: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model, as MLflow's entity has it."""

    name: str
    version: int
    run_id: str
    aliases: Sequence[str]
    description: str
    tags: Mapping[str, str]
    source: str
    model_id: str
    creation_timestamp: int


@dataclass(frozen=True, slots=True)
class FoundRun:
    """What is asked of a finished run."""

    name: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]  # the latest values


@dataclass(frozen=True, slots=True)
class NewRun:
    """A finished run to record."""

    experiment: str  # its name
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    model_id: str = ""  # of the logged model that it used; empty: none
    files: Mapping[str, bytes] = field(default_factory=dict)  # name -> content


class Direct(ABC):
    """A direct way to a store. Its methods named as those of MLflow's client answer as that does.

    All raise Unanswered, and Missing where MLflow would say that something does not exist.
    """

    @abstractmethod
    def get_registered_model(self, name: str) -> Model:
        """The model as a whole."""

    @abstractmethod
    def get_model_version_by_alias(self, name: str, alias: str) -> Version:
        """The version that has the alias."""

    @abstractmethod
    def get_model_version(self, name: str, version: str) -> Version:
        """The version of this number."""

    @abstractmethod
    def versions_of(self, name: str) -> list[Version]:
        """All versions, in any order, without their aliases."""

    @abstractmethod
    def runs_before(self, experiment: str, end: int, most: int) -> list[FoundRun] | None:
        """The newest `most` finished runs begun before `end`, in ms, the newest first; None: no such experiment."""

    @abstractmethod
    def fetch_folder(self, name: str, version: int, folder: str, into: Path) -> None:
        """Copy a folder among the files of a version into the new folder `into`."""

    @abstractmethod
    def text_of(self, run_id: str, path: str) -> str | None:
        """A text among the files of a run; None: the run has no such file."""

    @abstractmethod
    def record(self, run: NewRun) -> None:
        """Record a finished run whole; after Unanswered there is none, or one that is marked as failed."""

    def __getattr__(self, name: str) -> Never:
        """Whatever else MLflow's client can do: it changes something, or is asked seldom."""
        raise Unanswered(f"only MLflow's client has `{name}`")


def require_possible() -> None:
    """Raise Unanswered where this machine's settings or plugins may let MLflow do something else than we do."""
    if others := {name for name in os.environ if name.startswith("MLFLOW_")} - FOLLOWED:
        raise Unanswered(f"{min(others)} is set")
    if plugin := _plugin():
        raise Unanswered(f"{plugin} is installed")


@cache
def _plugin() -> str:
    from importlib.metadata import entry_points

    found: Any = entry_points()
    return next((f"the plugin {one.name} of MLflow" for group in PLUGINS for one in found.select(group=group)), "")


def require_no_passwords() -> None:
    """Raise Unanswered where MLflow reads credentials from its file."""
    if PASSWORDS.expanduser().exists():
        raise Unanswered(f"{PASSWORDS} is there")
