"""A finished night as an MLflow run: a history that outlives the output folders. Never changes a night."""

import datetime
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.params.file import Params
from pipeline.registry import versions
from pipeline.registry.runs import CONTRACT_TAG, DESCRIPTION_TAG, flat
from pipeline.registry.store import Store
from pipeline.storage.folders import Folder

EXPERIMENT = "nights"  # after the model's name
STARTED_TAG = "nightshift.started_at"  # with the name of its folder it identifies a night in the history
# Without predictions.csv, which may be huge.
FILES = ("summary.json", "review.csv", "review.html", "morning.html", "model_card.html")


@dataclass(frozen=True, slots=True)
class Finished:
    """What MLflow records of a night."""

    model_name: str
    model_version: str
    contract_hash: str
    input: str
    started_at: str  # ISO 8601, UTC
    finished_at: str
    drifted: tuple[str, ...]  # measures
    numbers: Mapping[str, float]  # counts, `share_of` each class, how far each measure drifted
    words: str = ""  # the night in a few lines


def record(output: Folder, night: Finished, params: Params, flow_run: str = "") -> None:
    """Record a night's model, parameters, numbers and review; if the store does not answer, only log a warning."""
    import mlflow
    from mlflow.entities import LoggedModelInput

    try:
        store = Store.of_project()
        with store.connected() as client:
            tags = {
                CONTRACT_TAG: night.contract_hash,
                DESCRIPTION_TAG: night.words,
                "nightshift.model_version": night.model_version,
                "nightshift.input": night.input,
                STARTED_TAG: night.started_at,
                "nightshift.drifted": " ".join(night.drifted),
                "prefect.flow_run_id": flow_run,
            }
            with mlflow.start_run(
                experiment_id=store.experiment(client, f"{night.model_name}-{EXPERIMENT}"),
                run_name=output.name,
                tags={name: value for name, value in tags.items() if value},
            ) as active:
                model = versions.find(client, night.model_name, int(night.model_version))
                if model and model.model_id:  # not of versions that MLflow 2 registered
                    client.log_inputs(active.info.run_id, models=[LoggedModelInput(model.model_id)])
                mlflow.log_params(_params_of(night, params))
                mlflow.log_metrics(dict(night.numbers))
                for name in FILES:
                    if output.exists(name):
                        with tempfile.TemporaryDirectory() as room:
                            copy = Path(room) / name
                            copy.write_bytes(output.read(name))
                            mlflow.log_artifact(str(copy))
    except NightshiftError as error:
        log.warning("predictions.csv is complete, but the night could not be recorded in MLflow: %s", error)


def _params_of(night: Finished, params: Params) -> dict[str, object]:
    """What the night ran on, and the sections of params.yaml that a night follows."""
    ran_on = {"input": night.input, "model_name": night.model_name, "model_version": night.model_version}
    return ran_on | flat(params.model_dump(mode="json", by_alias=True, include={"batch", "compute"}))


def share_of(label: str) -> str:
    """The name of the metric for a class's share, without the characters that MLflow does not allow."""
    return "share." + "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in label)


@dataclass(frozen=True, slots=True)
class Night:
    """An earlier night, as the store has it."""

    name: str  # of its folder
    model_version: str
    numbers: Mapping[str, float]  # as they were recorded


def earlier(night: Finished, name: str, most: int) -> list[Night]:
    """The at most `most` nights recorded before this one, in the folder `name`, newest first. Raises TrackingError.

    Read-only: it does not create a missing experiment.
    """
    with Store.of_project().connected() as client:
        experiment = client.get_experiment_by_name(f"{night.model_name}-{EXPERIMENT}")
        if experiment is None:
            return []
        # A night's run starts after the night's end, which is in whole seconds.
        end = datetime.datetime.fromisoformat(night.finished_at) + datetime.timedelta(seconds=1)
        found = client.search_runs(
            [experiment.experiment_id],
            f"attributes.status = 'FINISHED' and attributes.start_time < {int(end.timestamp() * 1000)}",
            max_results=most + 1,  # this one may be among them
            order_by=["attributes.start_time DESC"],
        )
    names = [(run.data.tags.get(STARTED_TAG), run.info.run_name) for run in found]
    own = (night.started_at, name)  # already recorded: what is newer ended within the same second
    first = names.index(own) + 1 if own in names else 0
    return [
        Night(run.info.run_name, run.data.tags.get("nightshift.model_version", ""), run.data.metrics)
        for run in found[first:]
        if run.data.metrics.get("listed")
    ][:most]
