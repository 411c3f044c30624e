"""A search in MLflow: a run for the search, a nested run for each trial, and a picture. Tries nothing itself.

What MLflow shows is what the study holds: trials that it lacks, because the store did not answer or the process was
killed, are added the next time. A store that does not answer is spoken of once; the search goes on.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from pipeline.core.log import log
from pipeline.core.paths import PREPARED
from pipeline.data.prepared import read_dataset
from pipeline.params.file import Params
from pipeline.registry.live import PATIENCE, training_params
from pipeline.registry.store import TrackingError, connected, flat, training_tags, use_experiment
from pipeline.search.space import Mode
from pipeline.search.study import HISTORY, VALUES

if TYPE_CHECKING:
    import optuna
    from mlflow import MlflowClient
    from optuna.trial import FrozenTrial

TRIAL_TAG, STATE_TAG, COMPARED_TAG = "nightshift.trial", "nightshift.state", "nightshift.trials_compared"
RUN = "mlflow_run"  # of a study: its run
FEWEST = 10  # completed trials before anything is said of importance
BATCH = 1000  # metrics that MLflow takes at once


class SearchLog:
    """The run of one study; every call returns, whatever the store does."""

    def __init__(self, study: "optuna.Study", params: Params, mode: Mode, images: int) -> None:
        """Of no run yet. images: of validation, on which all trials are compared."""
        self.study, self.params, self.mode, self.images = study, params, mode, images
        self.run_id = ""
        self.logged: set[int] = set()  # trials, counted without those that were killed
        self.answers = True

    def update(self, trials: "Sequence[FrozenTrial]") -> None:
        """Add the finished trials that the store lacks."""
        with self._or_without() as client:
            if client is None:
                return
            if not self.run_id:
                self._open(client)
            for number, trial in enumerate(trials):
                if number not in self.logged:
                    self._add(client, number, trial)
            client.set_tag(self.run_id, COMPARED_TAG, str(len(trials)))
            client.set_tag(self.run_id, "mlflow.note.content", optimism(len(trials), self.images))

    def close(self, trials: "Sequence[FrozenTrial]", ending: str) -> None:
        """Add what is missing, the picture and the best score, and say how the search ended."""
        self.update(trials)
        with self._or_without() as client:
            if client is None:
                return
            scores = [trial.value for trial in trials if trial.value is not None and trial.state.name == "COMPLETE"]
            if scores:
                lower = self.study.direction.name == "MINIMIZE"
                client.log_metric(self.run_id, f"best_{self.params.tune.metric}", min(scores) if lower else max(scores))
                client.log_metric(self.run_id, "trials_compared", len(trials))
                picture = draw_search(trials, importances(self.study), self.params.tune.metric)
                client.log_figure(self.run_id, picture, "search.png")
            client.set_terminated(self.run_id, ending)

    def _open(self, client: "MlflowClient") -> None:
        from mlflow import MlflowException

        experiment = use_experiment(client, f"{self.params.register_.model_name}-tune")
        try:
            self.run_id = client.get_run(self.study.user_attrs.get(RUN, "none")).info.run_id
            client.update_run(self.run_id, "RUNNING")
            of_search = f"tags.`mlflow.parentRunId` = '{self.run_id}'"
            for run in client.search_runs([experiment], of_search, max_results=50_000):
                if run.info.status == "RUNNING":  # its logging was cut off
                    client.delete_run(run.info.run_id)
                else:
                    self.logged.add(int(run.data.tags[TRIAL_TAG]))
        except MlflowException:  # there is none yet, or it is in another store
            run = client.create_run(
                experiment, run_name=self.study.study_name, tags=training_tags(read_dataset(PREPARED).sha256)
            )
            self.run_id = run.info.run_id
            self.study.set_user_attr(RUN, self.run_id)
            said = {
                name: self.params.tune.ranges[name].model_dump(exclude_none=True) for name in self.params.tune.ranges
            }
            fixed = training_params(self.params)
            for name, value in {"trials_of": self.mode, "metric": self.params.tune.metric, **flat(fixed)}.items():
                client.log_param(self.run_id, name, value)
            client.log_dict(self.run_id, said, "ranges.json")

    def _add(self, client: "MlflowClient", number: int, trial: "FrozenTrial") -> None:
        from mlflow.entities import Metric, Param

        state = trial.state.name.lower()
        tags = {"mlflow.parentRunId": self.run_id, TRIAL_TAG: str(number), STATE_TAG: state}
        experiment = client.get_run(self.run_id).info.experiment_id
        run_id = client.create_run(
            experiment, _milliseconds(trial.datetime_start), tags, run_name=f"trial {number}"
        ).info.run_id
        ended = _milliseconds(trial.datetime_complete)
        metrics = [
            Metric(name, value, ended, step)
            for step, (_, row) in enumerate(trial.user_attrs[HISTORY], start=1)
            for name, value in row.items()
            if name != "epoch"
        ]
        if state == "complete" and trial.value is not None:
            metrics.append(Metric("score", trial.value, ended, 0))
        params = [Param(name, str(value)) for name, value in trial.user_attrs[VALUES].items()]
        client.log_batch(run_id, params=params)
        for start in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics[start : start + BATCH])
        client.set_terminated(run_id, "FINISHED" if state == "complete" else "KILLED", ended)
        self.logged.add(number)

    @contextmanager
    def _or_without(self) -> "Iterator[MlflowClient | None]":
        if not self.answers:
            yield None
            return
        try:
            with connected() as client:
                yield client
        except TrackingError as error:
            log.warning("MLflow does not show this search until it is run again: %s", error)
            self.answers = False


@contextmanager
def search_log(study: "optuna.Study", params: Params, mode: Mode, images: int) -> Iterator[SearchLog]:
    """The run of the search inside, continued where there is one; the caller closes it when all went well.

    Otherwise it ends as killed (interrupted) or failed.
    """
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    shown = SearchLog(study, params, mode, images)
    try:
        yield shown
    except BaseException as error:
        if shown.run_id:
            with shown._or_without() as client:
                if client is not None:
                    client.set_terminated(shown.run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise


def optimism(trials: int, images: int) -> str:
    """What to think of the best of many."""
    return (
        f"{trials} trials were compared on the same {images} validation images: the best one's score is better than it "
        "would be on others. The test images, which no trial has seen, tell."
    )


def importances(study: "optuna.Study") -> dict[str, float]:
    """How much each parameter matters for being among the best, in shares of 1; {} of too few trials.

    PED-ANOVA (Watanabe, Bansal and Hutter, 2023); fANOVA took half for what does not matter at all, of 30 trials.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    scores = {trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(scores) < FEWEST:
        return {}
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def draw_search(trials: "Sequence[FrozenTrial]", shares: dict[str, float], metric: str) -> Figure:
    """Every trial's score and the best so far; and what each parameter matters."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    done = [(number, trial.value) for number, trial in enumerate(trials) if trial.state.name == "COMPLETE"]
    stopped = [
        (number, trial.user_attrs[HISTORY][-1][1][metric])
        for number, trial in enumerate(trials)
        if trial.state.name != "COMPLETE" and trial.user_attrs[HISTORY]
    ]
    left.plot(*_columns(done), "o", label="trial")
    left.plot(*_columns(stopped), "x", color="grey", label="stopped early")
    best: list[tuple[int, Any]] = []
    for number, score in done:
        better = min if metric == "val_loss" else max
        best.append((number, better([score, *(value for _, value in best[-1:])])))
    left.step(*_columns(best), where="post", color="black", linewidth=1, label="best so far")
    left.set(xlabel="trial", ylabel=metric, title="trials; 0: the parameters before the search")
    left.legend()
    names = list(shares)[::-1]
    right.barh(names, [shares[name] for name in names])
    right.set(
        xlabel="share in what makes trials good", title="importance" if names else "too few trials to tell importance"
    )
    return figure


def _columns(points: list[tuple[int, Any]]) -> tuple[list[int], list[Any]]:
    return [x for x, _ in points], [y for _, y in points]


def _milliseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
