"""A finished night as an MLflow run: a history that outlives the output folders. Never changes a night."""

import datetime
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.params.file import Params
from pipeline.registry import versions
from pipeline.registry.direct import Direct, FoundRun, NewRun
from pipeline.registry.direct_run import require_plain, surroundings
from pipeline.registry.runs import CONTRACT_TAG, DESCRIPTION_TAG, flat
from pipeline.registry.store import Store
from pipeline.storage.folders import Folder, folder_at

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "nights"  # after the model's name
INPUT_TAG = "nightshift.input"
STARTED_TAG = "nightshift.started_at"  # with the name of its folder it identifies a night in the history
AT_FIRST, AT_MOST = 4, 500  # runs asked for: for each night that is wanted; and in all, if too few were over the input
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
    tags = {
        CONTRACT_TAG: night.contract_hash,
        DESCRIPTION_TAG: night.words,
        "nightshift.model_version": night.model_version,
        INPUT_TAG: night.input,
        STARTED_TAG: night.started_at,
        "nightshift.drifted": " ".join(night.drifted),
        "prefect.flow_run_id": flow_run,
    }
    try:
        run = NewRun(
            f"{night.model_name}-{EXPERIMENT}", output.name, {name: value for name, value in tags.items() if value},
            {name: str(value) for name, value in _params_of(night, params).items()}, dict(night.numbers),
            files={name: output.read(name) for name in FILES if output.exists(name)},
        )  # fmt: skip
        store = Store.of_project()
        store.ask(lambda client: _record(store, client, run, night))
    except (NightshiftError, OSError) as error:
        log.warning("predictions.csv is complete, but the night could not be recorded in MLflow: %s", error)


def _record(store: Store, client: "MlflowClient | Direct", run: NewRun, night: Finished) -> None:
    model = versions.find(client, night.model_name, int(night.model_version))
    used = model.model_id if model else ""  # empty for a version that MLflow 2 registered
    if isinstance(client, Direct):
        whole = replace(run, tags={**surroundings(run.name), **run.tags}, model_id=used)
        require_plain(whole)
        client.record(whole)
        return
    import mlflow
    from mlflow.entities import LoggedModelInput

    experiment = store.experiment(client, run.experiment)
    with mlflow.start_run(experiment_id=experiment, run_name=run.name, tags=dict(run.tags)) as active:
        if used:
            client.log_inputs(active.info.run_id, models=[LoggedModelInput(used)])
        mlflow.log_params(dict(run.params))
        mlflow.log_metrics(dict(run.metrics))
        for name, content in run.files.items():
            with tempfile.TemporaryDirectory() as room:
                copy = Path(room) / name
                copy.write_bytes(content)
                mlflow.log_artifact(str(copy))


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
    """The at most `most` nights over the same input recorded before this one, newest first. Raises TrackingError.

    Of a folder the latest of each day: a night that was run again is one night. Nights over another input have other
    images, and are no measure for this one. Read-only: it does not create a missing experiment.
    """
    # A night's run starts after the night's end, which is in whole seconds.
    end = datetime.datetime.fromisoformat(night.finished_at) + datetime.timedelta(seconds=1)
    experiment, milliseconds = f"{night.model_name}-{EXPERIMENT}", int(end.timestamp() * 1000)
    source, nights = folder_at(listed_path(night.input)), dict[tuple[str, str], Night]()
    today = name, _day(night.started_at)
    for asked in (AT_FIRST * most, AT_MOST):
        ask = partial(_runs_before, experiment=experiment, end=milliseconds, most=asked)
        found = Store.of_project().ask(ask) or []
        names = [(run.tags.get(STARTED_TAG), run.name) for run in found]
        own = (night.started_at, name)  # already recorded: what is newer ended within the same second
        first = names.index(own) + 1 if own in names else 0
        for run in found[first:]:
            place = run.name, _day(run.tags.get(STARTED_TAG, ""))
            if place != today and run.metrics.get("listed") and _is_over(source, run):
                version = run.tags.get("nightshift.model_version", "")
                nights.setdefault(place, Night(run.name, version, run.metrics))
        if len(nights) >= most or len(found) < asked:
            break
    return [*nights.values()][:most]


def _day(started_at: str) -> str:
    return started_at.partition("T")[0]


def _is_over(source: Folder, run: FoundRun) -> bool:
    recorded = run.tags.get(INPUT_TAG, "")
    return bool(recorded) and source.is_at(listed_path(recorded))


def _runs_before(client: "MlflowClient | Direct", experiment: str, end: int, most: int) -> list[FoundRun] | None:
    """As `Direct.runs_before`."""
    if isinstance(client, Direct):
        return client.runs_before(experiment, end, most)
    if (known := client.get_experiment_by_name(experiment)) is None:
        return None
    found = client.search_runs(
        [known.experiment_id],
        f"attributes.status = 'FINISHED' and attributes.start_time < {end}",
        max_results=most,
        order_by=["attributes.start_time DESC"],
    )
    return [FoundRun(run.info.run_name, run.data.tags, run.data.metrics) for run in found]
