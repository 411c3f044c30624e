"""What an MLflow run records of a training: parameters, metrics, curves, files, tags. Knows no version and no alias."""

import time
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    MODEL_CARD,
    MODEL_CARD_PAGE,
    PARAMS,
    PREPARED,
    QUARANTINE,
    RAW,
    ROBUSTNESS,
    SLICES,
    TEST_PREDICTIONS,
    TRAINING_METRICS,
    VALIDATION,
)
from pipeline.core.text import without_password
from pipeline.evaluation.results import Evaluation, TrainingResult
from pipeline.model.contract import Contract
from pipeline.params.file import Params
from pipeline.registry.sending import files_below, send
from pipeline.versions.dvc import git_commit, locked_hashes

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.data.pandas_dataset import PandasDataset
    from mlflow.entities import Run

CONTRACT_TAG = "nightshift.contract"  # on runs and on model versions: the contract's hash
CARD_FOLDER = "evaluation"  # of the reports on a model, in its run
DESCRIPTION_TAG = "mlflow.note.content"  # what MLflow shows above a run
NO_METRIC = ("network", "phase", "judgement", "steps", "epoch", "step")  # columns of the curves that are not metrics
CONTEXTS = {"train": "training", "val": "validation", "test": "test"}  # split -> MLflow's word for its part in a run
DIGEST = 8  # characters of a dataset's hash, as MLflow's own
BATCH = 1000  # most metrics that MLflow accepts in a request
# Sections of params.yaml that no training depends on.
LATER = {"evaluate", "register", "batch", "tune", "privacy", "notify", "collect"}


def training_params(params: Params) -> dict[str, Any]:
    """The parameters that a training depends on, with the names of params.yaml, joined by dots."""
    values = params.model_dump(mode="json", by_alias=True)
    return flat({name: value for name, value in values.items() if name not in LATER})


def all_params(params: Params) -> dict[str, Any]:
    """All parameters but those of a search and of cameras, with the names of params.yaml, joined by dots."""
    return flat(params.model_dump(by_alias=True, exclude={"tune", "collect"}))


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
    """Tags of the data below `folder` in dvc.lock; code and reports are in git, and its commit has its own tag."""
    found = {path: digest for path, digest in locked_hashes().items() if path.startswith(folder)}
    return {f"dvc.{path.replace('/', '.')}": digest for path, digest in found.items()}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def log_curves(client: "MlflowClient", run_id: str, curves: "pd.DataFrame") -> None:
    """Log every epoch that the run does not have yet."""
    missing = curves[~curves["step"].isin(logged_steps(client, run_id))]
    rows = [{str(name): value for name, value in row.items()} for row in missing.to_dict("records")]
    log_epochs(client, run_id, {row["step"]: row for row in rows})


def logged_steps(client: "MlflowClient", run_id: str) -> set[int]:
    """The epochs that a run has, counted over all phases."""
    return {metric.step for metric in client.get_metric_history(run_id, "val_loss")}


def log_epochs(client: "MlflowClient", run_id: str, epochs: Mapping[int, Mapping[str, Any]]) -> None:
    """Log the numbers of these epochs, by step, in few requests: a run has all numbers of an epoch or none."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    names = {"seconds": "epoch_seconds"}
    found = [
        [
            Metric(names.get(name, name), float(value), now, step)
            for name, value in epoch.items()
            if name not in NO_METRIC
        ]
        for step, epoch in epochs.items()
    ]
    at_once = BATCH // max(map(len, found), default=1)
    for start in range(0, len(found), at_once):
        client.log_batch(run_id, metrics=list(chain(*found[start : start + at_once])))


def log_end(client: "MlflowClient", run_id: str, contract_hash: str, numbers: Mapping[str, float]) -> None:
    """Log the numbers of a finished model, and the tag by which registration finds its run."""
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
    client.log_batch(run_id, metrics, tags=[RunTag(CONTRACT_TAG, contract_hash)])


def tag_run(client: "MlflowClient", run_id: str, tags: dict[str, str]) -> None:
    """Set the tags of a run, in one request."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def final(training: TrainingResult) -> dict[str, float]:
    """Numbers of the finished model, under names that no epoch uses."""
    known = {name: value for name, value in flat(training.model_dump()).items() if value is not None}
    return {f"final_{name.replace('.', '_')}": float(value) for name, value in known.items()}


def on_test_images(evaluation: Evaluation) -> dict[str, float]:
    """Numbers of the finished model on the test split: `test_<name>`, and the ends of its interval."""
    measured = flat(evaluation.model_dump(exclude={"classes": True, "candidates": {"classes"}}))
    named = {f"test_{name.replace('.', '_')}".removesuffix("_value"): value for name, value in measured.items()}
    return {name: value for name, value in named.items() if value is not None}


def log_training(
    client: "MlflowClient", run: "Run", model_id: str, params: Params, numbers: Mapping[str, float]
) -> None:
    """Log all about the making of the current model into its run, which is active, except what the run has already.

    numbers: metrics of the finished model, for the run and for the model.
    """
    import mlflow
    import pandas as pd
    from mlflow.entities import Metric, Param

    run_id, now = run.info.run_id, int(time.time() * 1000)
    logged = {metric.key: metric.timestamp for metric in run.data.to_proto().metrics}  # MLflow keeps what is equal once
    settings = all_params(params)
    client.log_batch(
        run_id,
        [Metric(name, value, logged.get(name, now), 0, model_id, run_id=run_id) for name, value in numbers.items()],
        [Param(name, str(value)) for name, value in settings.items() if name not in run.data.params],
    )
    log_curves(client, run_id, pd.read_csv(CURVES))
    mlflow.log_inputs([_dataset(name) for name in CONTEXTS], list(CONTEXTS.values()), [None] * len(CONTEXTS))
    send(partial(client.log_artifact, run_id), list(_reports()))
    if PARAMS.is_file():
        client.log_text(run_id, without_cameras(params), str(PARAMS))


def without_cameras(params: Params) -> str:
    """The text of params.yaml without the addresses of cameras: they may hold passwords, and many read the store."""
    text = PARAMS.read_text(encoding="utf-8")
    for source in params.collect.sources:
        text = text.replace(source.address, "…")
    return without_password(text)


def _dataset(split: str) -> "PandasDataset":
    """The images of a split and their labels, by name and hash; MLflow keeps neither."""
    import mlflow
    import pandas as pd

    from pipeline.data.prepared import dataset_sha256

    table = pd.read_parquet(PREPARED / f"{split}.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # hints for serving schemas; this table is not served
        return mlflow.data.from_pandas(  # type: ignore[attr-defined,no-any-return]
            table, source=str(RAW), name=split, targets="label", digest=dataset_sha256(table)[:DIGEST]
        )


def _reports() -> Iterator[tuple[str, str]]:
    """The reports, and the folder in the store for each."""
    for file in (VALIDATION, TRAINING_METRICS, EVALUATION, CURVES, Path("dvc.lock")):
        if file.is_file():
            yield str(file), ""
    for place, files in (
        ("data", (DATA_REPORT, EXPECTATIONS, LABEL_ISSUES, QUARANTINE)),
        (CARD_FOLDER, (EVALUATION_REPORT, MODEL_CARD, MODEL_CARD_PAGE, SLICES, ROBUSTNESS, TEST_PREDICTIONS)),
        ("figures", (CURVES_FIGURE, AUGMENTED_FIGURE)),
    ):
        for file in files:
            yield str(file), place
    yield from files_below(FIGURES, "figures")
    yield from files_below(DATA_DOCS, "data_docs")
