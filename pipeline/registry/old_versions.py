"""Registered versions that nobody needs: old ones that are in no use and never were. Deletes them and their files."""

import datetime
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.registry import succession, versions
from pipeline.registry.store import LOCAL_ARTIFACTS, Store
from pipeline.registry.versions import Registered

if TYPE_CHECKING:
    from mlflow import MlflowClient


def find_old(name: str, days: int, now: datetime.datetime) -> list[Registered]:
    """Versions registered more than `days` days ago, without an alias, that were never champion. Raises TrackingError.

    A refused version has no alias either.
    """
    before = (now - datetime.timedelta(days=days)).timestamp() * 1000
    with Store.of_project().connected() as client:
        _, others = _by_use(client, name)
    return [one for one in others if one.created < before]


def _by_use(client: "MlflowClient", name: str) -> tuple[list[Registered], list[Registered]]:
    """The versions that have an alias or were champion, and the others."""
    model = versions.registered_model(client, name)
    champions = succession.champions_of(model) if model else ()
    used: list[Registered] = []
    others: list[Registered] = []
    for one in versions.versions(client, name):
        (used if one.aliases or one.version in champions else others).append(one)
    return used, others


def delete(old: Sequence[Registered]) -> int:
    """Delete these versions with their models; their runs with all numbers stay. Returns the freed bytes.

    On a tracking server the files stay until somebody runs `mlflow gc` there. Raises TrackingError.
    """
    freed = 0
    with Store.of_project().connected() as client:
        for one in old:
            files = _files(client, one)
            client.delete_model_version(one.name, str(one.version))
            versions.if_exists(partial(client.delete_logged_model, one.model_id))
            if files:
                freed += sum(file.stat().st_size for file in files.rglob("*") if file.is_file())
                shutil.rmtree(files)
    return freed


def _files(client: "MlflowClient", model: Registered) -> Path | None:
    """The folder of a version's files, if it is this project's own."""
    if not model.model_id or Store.of_project().is_server:
        return None
    logged = versions.if_exists(lambda: client.get_logged_model(model.model_id))
    if logged is None:
        return None
    parts = urlsplit(logged.artifact_location)
    place = Path(unquote(parts.path)).resolve()
    ours = LOCAL_ARTIFACTS.resolve()
    if parts.scheme not in ("", "file") or not place.is_relative_to(ours) or not place.is_dir():
        return None
    return place.parent if place.name == "artifacts" else place  # MLflow's folder of a model holds nothing else


def data_of_used(name: str) -> set[str]:
    """DVC's hashes of the data that the versions with an alias, and earlier champions, were made of."""
    with Store.of_project().connected() as client:
        used, _ = _by_use(client, name)
        runs = [versions.if_exists(partial(client.get_run, one.run_id)) for one in used]
    return {value for run in runs if run for tag, value in run.data.tags.items() if tag.startswith("dvc.")}
