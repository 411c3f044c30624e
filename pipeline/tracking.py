"""MLflow: where the store is, what a run records, how failures read. Decides nothing about models."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.contract import Contract
from pipeline.errors import NightshiftError
from pipeline.params import Params
from pipeline.paths import (
    CURVES,
    CURVES_FIGURE,
    DATA_DOCS,
    DATA_REPORT,
    EVALUATION,
    EXPECTATIONS,
    FIGURES,
    LABEL_ISSUES,
    MANIFEST,
    PARAMS,
    QUARANTINE,
    RAW,
    TRAINING_METRICS,
    VALIDATION,
)  # fmt: skip
from pipeline.versions import git_commit, locked_hashes

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCAL_STORE = Path("mlflow.db")
LOCAL_ARTIFACTS = Path("mlartifacts")
GATE_TAG = "nightshift.gate"  # on runs: what the gate said
CONTRACT_TAG = "nightshift.contract"  # on runs and on model versions: the contract's hash

# Without these a server that is down is asked for minutes before anybody hears of it.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


class TrackingError(NightshiftError):
    """The MLflow store did not answer; names it and the cause."""


def store_address() -> str:
    """The MLflow store: MLFLOW_TRACKING_URI, or the file mlflow.db of this project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _local_address()


def _local_address() -> str:
    return f"sqlite:///{LOCAL_STORE.absolute()}"


@contextmanager
def connected() -> Iterator["MlflowClient"]:
    """A client of the store. Raises TrackingError for whatever goes wrong between us and it."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    import mlflow
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(store_address())
    try:
        yield mlflow.MlflowClient()
    except (mlflow.MlflowException, SQLAlchemyError, OSError) as error:
        cause = " ".join(str(error).split())[:500]
        raise TrackingError(
            f"The MLflow store {store_address()} did not do as asked: {cause}. "
            "If it is a server, check that it runs; MLFLOW_TRACKING_URI names it."
        ) from error


def use_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the experiment `name`, made when it is new; a local store keeps its files in mlartifacts/."""
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    place = (LOCAL_ARTIFACTS / name).absolute().as_uri() if store_address() == _local_address() else None
    return str(client.create_experiment(name, artifact_location=place))


def lineage_tags(contract: Contract, flow_run: str) -> dict[str, str]:
    """Where a model comes from: git commit, the hashes in dvc.lock, the dataset, the Prefect flow run."""
    tags = {
        CONTRACT_TAG: contract.hash,
        "nightshift.dataset_sha256": contract.dataset_sha256,
        "nightshift.code_commit": contract.code_commit,
        "prefect.flow_run_id": flow_run,
        **training_tags(),
        **{f"dvc.{path.replace('/', '.')}": digest for path, digest in locked_hashes().items() if _is_data(path)},
    }
    return {name: value for name, value in tags.items() if value}


def training_tags() -> dict[str, str]:
    """What is known of a model's origin before there is a model."""
    commit = git_commit().removesuffix("-dirty")
    return {"mlflow.source.git.commit": commit} if commit else {}


def unjudged_run(client: "MlflowClient", experiment_id: str, contract_hash: str) -> str | None:
    """The run that this model's training logged to while it ran, unless the gate has spoken on it already."""
    found = client.search_runs([experiment_id], f"tags.`{CONTRACT_TAG}` = '{contract_hash}'")
    return next((run.info.run_id for run in found if GATE_TAG not in run.data.tags), None)


def _is_data(path: str) -> bool:
    """Code and reports are in git, whose commit is a tag of its own."""
    return path.startswith(("data/", "models/"))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def watched_live() -> bool:
    """Whether the active run has its epochs already."""
    import mlflow

    active = mlflow.active_run()
    return active is not None and "val_loss" in mlflow.get_run(active.info.run_id).data.metrics


def log_training(params: Params, evaluation: dict[str, Any], training: dict[str, Any]) -> None:
    """Everything about how the current model came about, into the active run."""
    import mlflow

    mlflow.log_params(flat(params.model_dump(by_alias=True, exclude={"tune"})))
    headlines = {name: value for name, value in evaluation.items() if name != "classes"}
    numbers = {f"test_{name.replace('.', '_')}": value for name, value in flat(headlines).items()}
    mlflow.log_metrics(
        {name.removesuffix("_value"): value for name, value in (numbers | training).items() if value is not None}
    )
    if not watched_live():
        for row in pd.read_csv(CURVES).to_dict("records"):
            numbers = {str(name): row[name] for name in row if str(name).startswith(("train_", "val_", "objective"))}
            mlflow.log_metrics(numbers, step=row["step"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # hints on schemas for serving; this table is not served
        dataset = mlflow.data.from_pandas(pd.read_parquet(MANIFEST), source=str(RAW), name=RAW.name, targets="label")  # type: ignore[attr-defined]
    mlflow.log_input(dataset, context="training")
    for file in (PARAMS, VALIDATION, TRAINING_METRICS, EVALUATION, CURVES, Path("dvc.lock")):
        if file.is_file():
            mlflow.log_artifact(str(file))
    for file in (DATA_REPORT, EXPECTATIONS, LABEL_ISSUES, QUARANTINE):
        mlflow.log_artifact(str(file), "data")
    mlflow.log_artifacts(str(FIGURES), "figures")
    mlflow.log_artifact(str(CURVES_FIGURE), "figures")
    mlflow.log_artifacts(str(DATA_DOCS), "data_docs")
