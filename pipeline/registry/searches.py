"""A search in MLflow: a run for the search, and a nested run for each trial. Knows no study."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.params.file import Params
from pipeline.registry.runs import DESCRIPTION_TAG, NO_METRIC, tag_run, training_params, training_tags
from pipeline.registry.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPERIMENT = "tune"  # after the model's name
TRIAL_TAG, STATE_TAG, COMPARED_TAG = "nightshift.trial", "nightshift.state", "nightshift.trials_compared"
MOST_TRIALS = 50_000  # largest page of runs that MLflow returns


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial."""

    number: int  # not counting killed trials
    is_complete: bool  # False: pruned
    score: float | None
    values: Mapping[str, Any]  # tried values, by dotted names
    history: Sequence[Mapping[str, float]]  # the numbers of each epoch
    started: datetime | None
    ended: datetime | None
    metrics: Mapping[str, float] = field(default_factory=dict)  # measured once, besides the score


@dataclass(frozen=True, slots=True)
class SearchRun:
    """The run of one search; every method raises TrackingError when the store does not answer."""

    store: Store
    experiment: str
    run_id: str
    logged: set[int]  # numbers of the trials that the store has

    def describe(self, params: Params, mode: str) -> None:
        """Log the searched ranges, and the fixed parameters."""
        settings = {"trials_of": mode, "metric": params.tune.metric, **training_params(params)}
        tried = {name: of.model_dump(exclude_none=True) for name, of in params.tune.ranges.items()}
        with self.store.connected() as client:
            from mlflow.entities import Param

            client.log_batch(self.run_id, params=[Param(name, str(value)) for name, value in settings.items()])
            client.log_dict(self.run_id, tried, "ranges.json")

    def add(self, trial: Trial) -> None:
        """Add a trial as a nested run."""
        state = "complete" if trial.is_complete else "pruned"
        tags = {"mlflow.parentRunId": self.run_id, TRIAL_TAG: str(trial.number), STATE_TAG: state}
        began, ended = _milliseconds(trial.started), _milliseconds(trial.ended)
        with self.store.connected() as client:
            from mlflow.entities import Metric, Param

            run_id = client.create_run(self.experiment, began, tags, run_name=f"trial {trial.number}").info.run_id
            metrics = [
                Metric(name, value, ended, step)
                for step, row in enumerate(trial.history, start=1)
                for name, value in row.items()
                if name not in NO_METRIC
            ]
            if trial.is_complete and trial.score is not None:
                metrics.append(Metric("score", trial.score, ended, 0))
            metrics += [Metric(name, value, ended, 0) for name, value in trial.metrics.items()]
            client.log_batch(run_id, metrics, [Param(name, str(value)) for name, value in trial.values.items()])
            client.set_terminated(run_id, "FINISHED" if trial.is_complete else "KILLED", ended)
        self.logged.add(trial.number)

    def note(self, compared: int, words: str) -> None:
        """Note how many trials were compared, and how far to trust the best one."""
        with self.store.connected() as client:
            tag_run(client, self.run_id, {COMPARED_TAG: str(compared), DESCRIPTION_TAG: words})

    def log_result(self, metrics: Mapping[str, float], picture: "Figure") -> None:
        """Log the result of the search."""
        with self.store.connected() as client:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            client.log_batch(self.run_id, [Metric(name, value, now, 0) for name, value in metrics.items()])
            client.log_figure(self.run_id, picture, "search.png")

    def end(self, status: str) -> None:
        """End the run with an MLflow status."""
        with self.store.connected() as client:
            client.set_terminated(self.run_id, status)


def begun(store: Store, model_name: str, name: str, dataset_sha256: str) -> SearchRun:
    """A new run of the search `name`."""
    with store.connected() as client:
        experiment = store.experiment(client, f"{model_name}-{EXPERIMENT}")
        run = client.create_run(experiment, run_name=name, tags=training_tags(dataset_sha256))
    return SearchRun(store, experiment, run.info.run_id, set())


def continued(store: Store, model_name: str, run_id: str) -> SearchRun | None:
    """The resumed run of an earlier process; None when the store does not have it."""
    with store.connected() as client:
        from mlflow import MlflowException

        experiment = store.experiment(client, f"{model_name}-{EXPERIMENT}")
        try:
            known = client.get_run(run_id).info.run_id
            client.update_run(known, "RUNNING")
            trials = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{known}'", max_results=MOST_TRIALS)
            for cut_off in (trial for trial in trials if trial.info.status == "RUNNING"):
                client.delete_run(cut_off.info.run_id)
        except MlflowException:  # the run is in another store, or deleted
            return None
    logged = {int(trial.data.tags[TRIAL_TAG]) for trial in trials if trial.info.status != "RUNNING"}
    return SearchRun(store, experiment, known, logged)


def _milliseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
