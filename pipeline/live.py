"""The MLflow run of a training under way: every epoch as it ends, and what it takes of the machine. Never in its way.

A store that does not answer is spoken of once; the training goes on, and `register` logs everything when it is over.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.params import Params
from pipeline.stage import log
from pipeline.tracking import CONTRACT_TAG, TrackingError, connected, flat, training_tags, use_experiment

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}  # seconds
TRAINING_PARAMS = {"seed", "images", "compute", "model", "augment", "embed", "train"}


class LiveRun:
    """One run; every call returns, whatever the store does."""

    def __init__(self) -> None:
        """Of no run yet."""
        self.run_id = ""
        self.logged = 0  # steps that the store has already, of the training that this one continues
        self.offsets: dict[str, int] = {}  # steps before each phase
        self.last = 0

    def log_epoch(self, phase: str, row: dict[str, float]) -> None:
        """The numbers of an epoch, at its step over all phases."""
        offset = self.offsets.setdefault(phase, self.last)
        self.last = offset + int(row["epoch"])
        if self.run_id and self.last > self.logged:
            numbers = {name: value for name, value in row.items() if name != "epoch"}
            with self._or_without():
                import mlflow

                mlflow.log_metrics(numbers, step=self.last)

    def finish(self, contract_hash: str) -> None:
        """Say which model came of it: by that `register` finds the run."""
        if self.run_id:
            with self._or_without():
                import mlflow

                mlflow.set_tag(CONTRACT_TAG, contract_hash)

    @contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            with connected():
                yield
        except TrackingError as error:
            log.warning("This training is not shown in MLflow while it runs: %s", error)
            self.run_id = ""


@contextmanager
def live_run(params: Params, note: Path) -> Iterator[LiveRun]:
    """A run for the training inside; `note` is the file that remembers it, so that a resumed training continues it.

    Ends as finished or failed; those of trainings that were killed, and not resumed, are marked as killed.
    """
    live = LiveRun()
    before = {name: os.environ.get(name) for name in PATIENCE}
    os.environ.update({name: value for name, value in PATIENCE.items() if before[name] is None})
    try:
        with live._or_without():
            _open(live, params, note)
        ending = "FAILED"
        try:
            yield live
            ending = "FINISHED"
        finally:
            if live.run_id:
                with live._or_without():
                    import mlflow

                    mlflow.end_run(ending)
            note.unlink(missing_ok=True)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _open(live: LiveRun, params: Params, note: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    for other in note.parent.glob(f"*{note.suffix}"):
        if other != note:
            _mark_killed(client, other)
    experiment = use_experiment(client, params.register_.model_name)
    words: dict[str, Any] = {"experiment_id": experiment, "run_name": f"training {params.model.backbone}"}
    if note.is_file():
        words = {"run_id": note.read_text(encoding="utf-8").strip()}
    active = mlflow.start_run(**words, tags=training_tags(), log_system_metrics=True)
    run_id = active.info.run_id
    live.logged = max((point.step for point in client.get_metric_history(run_id, "val_loss")), default=0)
    mlflow.log_params(flat(params.model_dump(mode="json", include=TRAINING_PARAMS)))
    note.write_text(run_id, encoding="utf-8")
    live.run_id = run_id


def _mark_killed(client: Any, note: Path) -> None:
    from mlflow import MlflowException

    try:
        client.set_terminated(note.read_text(encoding="utf-8").strip(), "KILLED")
    except MlflowException as error:  # deleted, or of another store
        log.warning("The run of a training that was killed is not marked so in MLflow: %s", error)
    note.unlink()
