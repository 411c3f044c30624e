"""A running training in MLflow: parameters at its start, metrics within a second of each judgement, and the load.

A separate thread logs everything to the store. A slow or dead store costs the training only a few seconds of waiting
at its end; one warning says what is missing. Does not know how the model is fitted.
"""

import logging
import signal
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pipeline.core.log import log
from pipeline.evaluation.results import TrainingResult
from pipeline.params.file import Params
from pipeline.registry.runs import final, log_end, log_epochs, logged_steps, training_params, training_tags
from pipeline.registry.store import Store, TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

PLACE_TAG = "nightshift.place"  # machine and folder: a folder has one training at a time
WAITED = 10  # seconds to wait at the end for a remote store
WAITED_FOR_FILE = 60  # and for a local file, so that its run is complete
TOGETHER = 1  # seconds between two requests with epochs: those of short epochs have several


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch to log."""

    step: int  # counted over all phases
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class End:
    """The end of training, to log."""

    contract_hash: str
    numbers: Mapping[str, float]


@dataclass(slots=True)
class LiveRun:
    """One training's run; its methods return at once."""

    store: Store
    params: Params
    dataset_sha256: str
    memory: Path  # file with the run's id, for a resumed training
    _jobs: "SimpleQueue[Epoch | End | str]" = field(
        default_factory=SimpleQueue, init=False
    )  # the string: MLflow's status for the run
    _seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float), init=False)  # by phase
    _step: int = field(default=0, init=False)
    _run_id: str = field(default="", init=False)
    _logged: set[int] = field(default_factory=set, init=False)
    _given_up: threading.Lock = field(
        default_factory=threading.Lock, init=False
    )  # acquired by the one thread that warns

    def epoch(self, phase: str, epoch: dict[str, float]) -> None:
        """Log an epoch, unless an earlier process has logged it."""
        self._step += 1
        self._seconds[phase] += epoch["seconds"]
        self._jobs.put(Epoch(self._step, dict(epoch)))

    def end(self, contract_hash: str, result: TrainingResult) -> None:
        """Log the end of training: the tag by which registration finds the run, and the validation metrics."""
        seconds = {f"{phase}_seconds": value for phase, value in self._seconds.items()}
        self._jobs.put(End(contract_hash, final(result) | seconds))

    def close(self, status: str) -> None:
        """End the run with an MLflow status; later jobs are ignored."""
        self._jobs.put(status)

    def work(self) -> None:
        """The thread: log everything in order until the end."""
        try:
            with self.store.connected() as client:
                import mlflow

                logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
                self._begin(client)
                mlflow.end_run(self._log_all(client))
        except TrackingError as error:
            self.give_up(f"The training continues without MLflow, which lacks some or all of its epochs. {error}")

    def give_up(self, warning: str) -> None:
        """Warn once that the run is not complete, after an error of the store or a timeout."""
        if self._given_up.acquire(blocking=False):
            log.warning("%s", warning)

    def _begin(self, client: "MlflowClient") -> None:
        import mlflow

        experiment = self.store.experiment(client, self.params.register_.model_name)
        place = f"{socket.gethostname()}:{Path.cwd()}"
        before = self._run_before(client)
        for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            if run.data.tags.get(PLACE_TAG) == place and run.info.run_id != before:
                client.set_terminated(run.info.run_id, "KILLED")
        active = mlflow.start_run(
            before,
            experiment_id=experiment,
            run_name=f"{self.params.model.backbone} training",
            tags={PLACE_TAG: place, **training_tags(self.dataset_sha256)},
            log_system_metrics=True,
        )
        self._run_id = active.info.run_id
        self.memory.write_text(self._run_id, encoding="utf-8")
        if before:
            self._logged = logged_steps(client, before)
            return
        mlflow.log_params(training_params(self.params))

    def _run_before(self, client: "MlflowClient") -> str | None:
        """The id of the run of a resumed training, if the store still has it."""
        from mlflow import MlflowException

        if not self.memory.is_file():
            return None
        try:
            found: Any = client.get_run(self.memory.read_text(encoding="utf-8"))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return str(found.info.run_id) if found.info.lifecycle_stage == "active" else None

    def _log_all(self, client: "MlflowClient") -> str:
        """Log what comes, until the status comes, and return that."""
        sent = 0.0
        while True:
            epochs, last = self._collected(until=sent + TOGETHER)
            log_epochs(client, self._run_id, {one.step: one.numbers for one in epochs if one.step not in self._logged})
            sent = time.monotonic()
            match last:
                case End(contract_hash, numbers):
                    log_end(client, self._run_id, contract_hash, numbers)
                case str(status):
                    return status

    def _collected(self, until: float) -> tuple[list[Epoch], End | str | None]:
        """At least one job: the epochs that come until then, or until what comes after them, which is there too."""
        epochs: list[Epoch] = []
        job = self._jobs.get()
        while isinstance(job, Epoch):
            epochs.append(job)
            try:
                job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return epochs, None
        return epochs, job


@contextmanager
def live_run(params: Params, dataset_sha256: str, folder: Path) -> Iterator[LiveRun]:
    """The run of the training in this block; `folder` remembers it for a resumed training.

    The run ends as FINISHED, or FAILED by an error, or KILLED by a person or a scheduler; if the process was killed
    before that, the next training in `folder` ends it.
    """
    store = Store.in_passing()
    live = LiveRun(store, params, dataset_sha256, folder / "mlflow_run")
    worker = threading.Thread(target=live.work, name="mlflow", daemon=True)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    worker.start()
    status = "FAILED"
    try:
        yield live
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        live.close(status)
        worker.join(WAITED_FOR_FILE if store.is_file else WAITED)
        if worker.is_alive():
            live.give_up(
                f"The MLflow store {store.shown} is slow or gone, so its run of this training is not complete."
            )
