"""Versions in the MLflow registry: find, make, describe, fetch. Knows no gate and moves no alias."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.core.disk_errors import refusal_in
from pipeline.core.paths import MODEL
from pipeline.registry.store import CONTRACT_TAG, TrackingError, connected
from pipeline.registry.training_images import TRAINING_IMAGES

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ARTIFACTS = "artifacts"  # the folder that MLflow puts a pyfunc's files into


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry."""

    name: str
    version: int
    run_id: str
    aliases: tuple[str, ...]
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def versions(client: "MlflowClient", name: str) -> list[Registered]:
    """All versions, the newest first."""
    numbers = sorted((int(found.version) for found in client.search_model_versions(f"name='{name}'")), reverse=True)
    return [by_number(client, name, number) for number in numbers]


def by_contract(client: "MlflowClient", name: str, contract_hash: str) -> Registered | None:
    """The version that carries this contract; the first of several."""
    found = client.search_model_versions(f"name='{name}' and tags.`{CONTRACT_TAG}`='{contract_hash}'")
    return by_number(client, name, min(int(one.version) for one in found)) if found else None


def by_alias(client: "MlflowClient", name: str, alias: str) -> Registered | None:
    """The version that has this alias."""
    from mlflow import MlflowException

    try:
        return _registered(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no such model; no such alias
            return None
        raise


def by_number(client: "MlflowClient", name: str, version: int) -> Registered:
    """The version of this number, which there must be."""
    return _registered(client.get_model_version(name, str(version)))


def exists(client: "MlflowClient", name: str, version: int) -> bool:
    """Whether there is a version of this number."""
    return any(int(found.version) == version for found in client.search_model_versions(f"name='{name}'"))


def _registered(found: "ModelVersion") -> Registered:
    aliases, tags = tuple(sorted(found.aliases)), dict(found.tags)
    return Registered(found.name, int(found.version), found.run_id or "", aliases, found.description or "", tags)


def create(client: "MlflowClient", name: str, address: str, contract_hash: str, tags: Mapping[str, str]) -> Registered:
    """A version that has its contract's hash and `tags` from its first moment: a killed registration can be repeated.

    Where somebody else registered the same contract at the same time, theirs stays and ours goes.
    """
    import mlflow

    created = mlflow.register_model(address, name, tags={CONTRACT_TAG: contract_hash, **tags})
    first = by_contract(client, name, contract_hash)
    if first and first.version < int(created.version):
        client.delete_model_version(name, created.version)
        return first
    return by_number(client, name, int(created.version))


def fetch_model(model: Registered, folder: Path) -> Path:
    """Copy a version's files into `folder`; returns the folder that `load_engine` takes."""
    import mlflow

    try:
        with connected():
            folder.mkdir(parents=True, exist_ok=True)
            copy = mlflow.artifacts.download_artifacts(f"models:/{model.name}/{model.version}", dst_path=str(folder))
    except TrackingError as error:
        if number := refusal_in(str(error)):  # it was our disk, and no store's fault
            raise OSError(number, os.strerror(number), str(folder)) from error
        raise
    return Path(copy) / ARTIFACTS / MODEL.name


def fetch_training_images(model: Registered, folder: Path) -> pd.DataFrame | None:
    """Columns sha256 and split of the images that a version was made with; None when it does not record them."""
    import mlflow

    address = f"models:/{model.name}/{model.version}/{ARTIFACTS}"
    with connected():
        if not any(file.path.endswith(TRAINING_IMAGES) for file in mlflow.artifacts.list_artifacts(address)):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        copy = mlflow.artifacts.download_artifacts(f"{address}/{TRAINING_IMAGES}", dst_path=str(folder))
    return pd.read_parquet(copy)
