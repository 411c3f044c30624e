"""Versions in the MLflow registry: find, create, describe, fetch. Knows no gate and moves no alias."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.core.disk_errors import refusal_in
from pipeline.core.paths import MODEL, MODEL_CARD
from pipeline.registry.direct import Direct, Missing, Model, Version
from pipeline.registry.runs import CARD_FOLDER, CONTRACT_TAG
from pipeline.registry.store import Store, TrackingError, refusals
from pipeline.registry.training_images import TRAINING_IMAGES

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

T = TypeVar("T")
TEST_IMAGES_TAG = "nightshift.test_images"  # a hash of the images, with their labels, that its accuracy is of
ARTIFACTS = "artifacts"  # the folder that MLflow puts a pyfunc's files into
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model or version; no such alias


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry."""

    name: str
    version: int
    run_id: str
    aliases: tuple[str, ...]
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    model_id: str = ""  # of MLflow's logged model; empty for a version of MLflow 2
    created: int = 0  # milliseconds since 1970


def registered_model(client: "MlflowClient | Direct", name: str) -> "RegisteredModel | Model | None":
    """What MLflow knows of the model as a whole: its tags, and which version each alias names."""
    return if_exists(lambda: client.get_registered_model(name))


def versions(client: "MlflowClient | Direct", name: str) -> list[Registered]:
    """All versions, the newest first, in two requests: MLflow's search does not return aliases."""
    model = registered_model(client, name)
    if model is None:
        return []
    held: dict[int, list[str]] = {}
    for alias, version in model.aliases.items():
        held.setdefault(int(version), []).append(alias)
    every = client.versions_of(name) if isinstance(client, Direct) else client.search_model_versions(f"name='{name}'")
    found = [_registered(one) for one in every]
    found = [replace(one, aliases=tuple(sorted(held.get(one.version, ())))) for one in found]
    return sorted(found, key=lambda one: one.version, reverse=True)


def by_contract(client: "MlflowClient", name: str, contract_hash: str) -> Registered | None:
    """The version that carries this contract; the first of several."""
    found = client.search_model_versions(f"name='{name}' and tags.`{CONTRACT_TAG}`='{contract_hash}'")
    return by_number(client, name, min(int(one.version) for one in found)) if found else None


def by_alias(client: "MlflowClient | Direct", name: str, alias: str) -> Registered | None:
    """The version that has this alias."""
    return if_exists(lambda: _registered(client.get_model_version_by_alias(name, alias)))


def by_number(client: "MlflowClient | Direct", name: str, version: int) -> Registered:
    """The version of this number, which must exist."""
    return _registered(client.get_model_version(name, str(version)))


def find(client: "MlflowClient | Direct", name: str, version: int) -> Registered | None:
    """The version of this number, if it exists."""
    return if_exists(lambda: by_number(client, name, version))


def if_exists(ask: Callable[[], T]) -> T | None:
    """What `ask` finds; None when MLflow says that it does not exist."""
    try:
        return ask()
    except refusals(Missing) as error:
        if getattr(error, "error_code", "") in MISSING:
            return None
        raise


def _registered(found: "ModelVersion | Version") -> Registered:
    aliases, tags = tuple(sorted(found.aliases)), dict(found.tags)
    return Registered(
        found.name, int(found.version), found.run_id or "", aliases, found.description or "", tags,
        _model_id(found), int(found.creation_timestamp or 0),
    )  # fmt: skip


def _model_id(found: "ModelVersion | Version") -> str:
    """The logged model that a version was made of: its source is `models:/m-…`; in older stores it is an address."""
    source = re.search(r"(?:^models:|/models)/(m-[0-9a-f]{32})(?:/|$)", found.source or "")
    return found.model_id or (source[1] if source else "")


def create(client: "MlflowClient", name: str, address: str, contract_hash: str, tags: Mapping[str, str]) -> Registered:
    """Create a version with its contract's hash and `tags` in one request, so that it can be repeated after a kill.

    When somebody else registered the same contract at the same time, theirs stays and this deletes ours.
    """
    import mlflow

    created = mlflow.register_model(address, name, tags={CONTRACT_TAG: contract_hash, **tags})
    first = by_contract(client, name, contract_hash)
    if first and first.version < int(created.version):
        client.delete_model_version(name, created.version)
        return first
    return by_number(client, name, int(created.version))


def has_files(model: Registered) -> bool:
    """Whether the store still has the files of a version's model: a folder mlartifacts may be lost or left behind."""
    import mlflow

    with Store.of_project().connected():
        address = f"models:/{model.name}/{model.version}/{ARTIFACTS}/{MODEL.name}"
        return bool(mlflow.artifacts.list_artifacts(address))


def fetch_model(model: Registered, folder: Path) -> Path:
    """Copy a version's model into `folder`, without the code that serves it; returns the folder for `load_engine`.

    Raises TrackingError, which names the remedy where the version's files are gone from the store.
    """
    inner = f"{ARTIFACTS}/{MODEL.name}"

    def fetch(client: "MlflowClient | Direct") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(client, Direct):
            client.fetch_folder(model.name, model.version, inner, folder / inner)
            return folder / inner
        import mlflow

        address = f"models:/{model.name}/{model.version}/{inner}"
        return Path(mlflow.artifacts.download_artifacts(address, dst_path=str(folder)))

    try:
        return Store.of_project().ask(fetch)
    except TrackingError as error:
        if number := refusal_in(str(error)):  # our disk failed, not the store
            raise OSError(number, os.strerror(number), str(folder)) from error
        if has_files(model):
            raise
        raise TrackingError(
            f"The files of {model.name} version {model.version} are gone from the MLflow store (a project's own keeps "
            "them in mlartifacts/). Take them from a backup. Without one: if it is the last trained model, `nightshift "
            "train` puts them back; else `nightshift promote VERSION` chooses another one, or delete this version in "
            "MLflow and train again."
        ) from error


def fetch_card(model: Registered) -> str:
    """The model card in Markdown that the version's run has; empty when it has none. Raises TrackingError."""
    card = f"{CARD_FOLDER}/{MODEL_CARD.name}"

    def fetch(client: "MlflowClient | Direct") -> str:
        try:
            if isinstance(client, Direct):
                return client.text_of(model.run_id, card) or ""
            import mlflow

            return str(mlflow.artifacts.load_text(f"runs:/{model.run_id}/{card}"))
        except refusals(OSError, Missing):  # a version by other means has no such file
            return ""

    return Store.of_project().ask(fetch) if model.run_id else ""


def fetch_training_images(model: Registered, folder: Path) -> "pd.DataFrame | None":
    """Columns sha256 and split of the images that made a version; None when it does not record them."""
    import mlflow
    import pandas as pd

    address = f"models:/{model.name}/{model.version}/{ARTIFACTS}"
    with Store.of_project().connected():
        if not any(file.path.endswith(TRAINING_IMAGES) for file in mlflow.artifacts.list_artifacts(address)):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        copy = mlflow.artifacts.download_artifacts(f"{address}/{TRAINING_IMAGES}", dst_path=str(folder))
    return pd.read_parquet(copy)
