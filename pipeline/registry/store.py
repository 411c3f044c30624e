"""MLflow: where the store is, what a run records, how failures read. Decides nothing about models."""

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import (
    AUGMENTED_FIGURE,
    CURVES,
    CURVES_FIGURE,
    DATA_DOCS,
    DATA_REPORT,
    EVALUATION,
    EVALUATION_REPORT,
    EXPECTATIONS,
    FIGURES,
    LABEL_ISSUES,
    MANIFEST,
    MODEL_CARD,
    PARAMS,
    QUARANTINE,
    RAW,
    ROBUSTNESS,
    SLICES,
    TEST_PREDICTIONS,
    TRAINING_METRICS,
    VALIDATION,
)
from pipeline.core.text import without_password
from pipeline.model.contract import Contract
from pipeline.params.file import Params
from pipeline.versions.dvc import git_commit, locked_hashes

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCAL_STORE = Path("mlflow.db")
LOCAL_ARTIFACTS = Path("mlartifacts")
CONTRACT_TAG = "nightshift.contract"  # on runs and on model versions: the contract's hash
NO_METRIC = ("phase", "epoch", "step")  # of an epoch: where it stands, not what it measured

# Without these a server that is down is asked for minutes before anybody hears of it.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


class TrackingError(NightshiftError):
    """The MLflow store did not answer; names it and the cause."""


def store_address() -> str:
    """The MLflow store: MLFLOW_TRACKING_URI, or the file mlflow.db of this project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _local_address()


def shown_store() -> str:
    """The address of the store for messages: without a password."""
    return without_password(store_address())


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
        cause = without_password(" ".join(str(error).split()))[:500]
        refused = getattr(error, "get_http_status_code", int)() in (401, 403)
        raise TrackingError(
            f"The MLflow store {shown_store()} did not do as asked: {cause}. "
            + (
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are to be those of a user who may."
                if refused
                else "If it is a server, check that it runs; MLFLOW_TRACKING_URI names it."
            )
        ) from error


def use_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the experiment `name`, made when it is new; a local store keeps its files in mlartifacts/."""
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    place = (LOCAL_ARTIFACTS / name).absolute().as_uri() if store_address() == _local_address() else None
    return str(client.create_experiment(name, artifact_location=place))


def training_tags(dataset_sha256: str) -> dict[str, str]:
    """What a training starts from: git commit, the hashes of data in dvc.lock, the dataset."""
    tags = {
        "nightshift.dataset_sha256": dataset_sha256,
        "mlflow.source.git.commit": git_commit().removesuffix("-dirty"),
        **_locked("data/"),
    }
    return {name: value for name, value in tags.items() if value}


def lineage_tags(contract: Contract, flow_run: str) -> dict[str, str]:
    """Where a model comes from: what its training started from, its contract, the Prefect flow run."""
    tags = {
        CONTRACT_TAG: contract.hash,
        "nightshift.code_commit": contract.code_commit,
        "prefect.flow_run_id": flow_run,
        **_locked("models/"),
    }
    return training_tags(contract.dataset_sha256) | {name: value for name, value in tags.items() if value}


def _locked(folder: str) -> dict[str, str]:
    """Tags of what dvc.lock has below `folder`; code and reports are in git, whose commit is a tag of its own."""
    found = {path: digest for path, digest in locked_hashes().items() if path.startswith(folder)}
    return {f"dvc.{path.replace('/', '.')}": digest for path, digest in found.items()}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def log_curves(client: "MlflowClient", run_id: str, curves: pd.DataFrame) -> None:
    """Every epoch that the run does not have yet."""
    logged = logged_steps(client, run_id)
    for row in curves[~curves["step"].isin(logged)].to_dict("records"):
        log_epoch(client, run_id, row["step"], {str(name): value for name, value in row.items()})


def logged_steps(client: "MlflowClient", run_id: str) -> set[int]:
    """The epochs that a run has, counted over all phases."""
    return {metric.step for metric in client.get_metric_history(run_id, "val_loss")}


def log_epoch(client: "MlflowClient", run_id: str, step: int, epoch: dict[str, Any]) -> None:
    """The numbers of one epoch, at once: a run has all of an epoch or nothing."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    names = {"seconds": "epoch_seconds"}
    numbers = {names.get(name, name): value for name, value in epoch.items() if name not in NO_METRIC}
    client.log_batch(run_id, metrics=[Metric(name, float(value), now, step) for name, value in numbers.items()])


def active_run_id() -> str:
    """The id of the run that is active in this thread."""
    import mlflow

    active = mlflow.active_run()
    assert active is not None  # noqa: S101 - whoever calls has started one
    return str(active.info.run_id)


def final(training: dict[str, Any]) -> dict[str, Any]:
    """Numbers of the finished model, under names that no epoch's have."""
    return {f"final_{name}": value for name, value in training.items()}


def log_training(params: Params, evaluation: dict[str, Any], training: dict[str, Any]) -> None:
    """Everything about how the current model came about, into the active run, as far as it lacks it."""
    import mlflow

    client, run_id = mlflow.MlflowClient(), active_run_id()
    known = client.get_run(run_id).data
    settings = flat(params.model_dump(by_alias=True, exclude={"tune"}))
    mlflow.log_params({name: value for name, value in settings.items() if name not in known.params})
    headlines = {name: value for name, value in evaluation.items() if name != "classes"}
    numbers = {f"test_{name.replace('.', '_')}": value for name, value in flat(headlines).items()} | {
        name: value for name, value in final(training).items() if name not in known.metrics
    }
    mlflow.log_metrics({name.removesuffix("_value"): value for name, value in numbers.items() if value is not None})
    log_curves(client, run_id, pd.read_csv(CURVES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # hints on schemas for serving; this table is not served
        dataset = mlflow.data.from_pandas(pd.read_parquet(MANIFEST), source=str(RAW), name=RAW.name, targets="label")  # type: ignore[attr-defined]
    mlflow.log_input(dataset, context="training")
    for file in (PARAMS, VALIDATION, TRAINING_METRICS, EVALUATION, CURVES, Path("dvc.lock")):
        if file.is_file():
            mlflow.log_artifact(str(file))
    for file in (DATA_REPORT, EXPECTATIONS, LABEL_ISSUES, QUARANTINE):
        mlflow.log_artifact(str(file), "data")
    for file in (EVALUATION_REPORT, MODEL_CARD, SLICES, ROBUSTNESS, TEST_PREDICTIONS):
        mlflow.log_artifact(str(file), "evaluation")
    mlflow.log_artifacts(str(FIGURES), "figures")
    for figure in (CURVES_FIGURE, AUGMENTED_FIGURE):
        mlflow.log_artifact(str(figure), "figures")
    mlflow.log_artifacts(str(DATA_DOCS), "data_docs")
