"""A training seen in MLflow while it runs, on a real store; and one that a dead store does not disturb."""

import contextlib
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.core.log import log
from pipeline.evaluation.results import TrainingResult
from pipeline.params.file import Params
from pipeline.registry.live import WAITED, live_run
from tests.fixtures import forked
from tests.fixtures.certificates import CERTIFIED
from tests.fixtures.project import REPOSITORY


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a store of its own; the memory of the training."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    monkeypatch.setattr(log, "propagate", False)  # or each line would be caught twice
    log.addHandler(caplog.handler)
    yield caplog
    log.removeHandler(caplog.handler)


METRICS = (
    "balanced_accuracy", "log_loss", "log_loss_uncalibrated", "calibration_error", "calibration_error_uncalibrated",
    "coverage", "precision_covered", "unsure_share",
)  # fmt: skip
RESULT = TrainingResult(
    val_accuracy=0.9,
    **{f"val_{name}": 0.5 for name in METRICS},
    temperature=1.0,
    unsure_below=0.5,
    gap_accuracy=0.0,
    gap_loss=0.0,
    epochs=2,
    certificate=CERTIFIED,
)


def epoch(number: int) -> dict[str, float]:
    return {"epoch": number, "val_loss": 1 / number, "val_accuracy": 0.5, "gap_accuracy": 0.1, "seconds": 2.0}


def store() -> MlflowClient:
    return MlflowClient(f"sqlite:///{Path('mlflow.db').absolute()}")  # MLflow keeps one store an address


def runs() -> list[Any]:
    client = store()
    return list(client.search_runs([found.experiment_id for found in client.search_experiments()]))


def test_a_training_is_a_run_with_parameters_epochs_and_the_machines_load(
    defaults: Params, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    client = store()
    with live_run(defaults, "abc", folder) as live:
        live.epoch("head", epoch(1))
        live.epoch("fine_tune", epoch(2))
        deadline = time.monotonic() + 60
        while not (found := runs()) or "system/cpu_utilization_percentage" not in found[0].data.metrics:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert found[0].info.status == "RUNNING"
        assert "val_loss" in found[0].data.metrics, "epochs are there before the training is over"
        live.end("contract", RESULT)
    [run] = runs()
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5)]
    assert run.data.params["train.head.learning_rate"] == "0.001"
    assert not [name for name in run.data.params if name.startswith(("register.", "evaluate.", "batch."))]
    assert run.data.tags["nightshift.contract"] == "contract"
    assert run.data.tags["nightshift.dataset_sha256"] == "abc"
    metrics = run.data.metrics
    assert metrics["final_certificate_certified"] == 1
    assert "final_certificate_more_images" not in metrics
    assert (metrics["final_val_accuracy"], metrics["head_seconds"], metrics["gap_accuracy"]) == (0.9, 2.0, 0.1)


def test_short_epochs_share_a_request_and_none_is_lost(
    defaults: Params, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[set[int]] = []  # the epochs of each request
    log_batch = MlflowClient.log_batch

    def counted(client: MlflowClient, run_id: str, metrics: Any = (), *given: Any, **named: Any) -> Any:
        if steps := {metric.step for metric in metrics if metric.key == "val_loss"}:
            sent.append(steps)
        return log_batch(client, run_id, metrics, *given, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    with live_run(defaults, "abc", folder) as live:
        for number in range(1, 301):  # more numbers than MLflow takes at once
            live.epoch("head", epoch(number))
        live.end("contract", RESULT)
    [run] = runs()
    history = store().get_metric_history(run.info.run_id, "gap_accuracy")
    assert sorted(metric.step for metric in history) == list(range(1, 301))
    assert sorted(step for steps in sent for step in steps) == list(range(1, 301)), "each once"
    assert len(sent) <= 4
    assert run.data.tags["nightshift.contract"] == "contract"


def test_a_training_that_goes_on_goes_on_in_its_when_a_run_endss_no_epoch_twice(defaults: Params, folder: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), live_run(defaults, "abc", folder) as live:
        live.epoch("head", epoch(1))
        live.epoch("head", epoch(2))
        raise ZeroDivisionError
    [run] = runs()
    assert run.info.status == "FAILED"
    with live_run(defaults, "abc", folder) as live:
        for number in (1, 2, 3):
            live.epoch("head", epoch(number))
    [run] = runs()
    assert run.info.status == "FINISHED"
    history = store().get_metric_history(run.info.run_id, "val_loss")
    assert sorted(metric.step for metric in history) == [1, 2, 3]


TOLD_TO_END = """
import os, signal, sys
from pathlib import Path
from pipeline.params.file import load_params
from pipeline.registry.live import live_run

with live_run(load_params(Path(sys.argv[1])), "abc", Path()):
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""


def test_a_training_that_is_told_to_end_says_so(folder: Path) -> None:
    words = (sys.executable, "-c", TOLD_TO_END, str(REPOSITORY / "params.yaml"))
    assert forked.run(*words, cwd=folder, check=False).returncode == 128 + signal.SIGTERM
    assert [found.info.status for found in runs()] == ["KILLED"]


def test_the_run_of_a_process_that_could_not_say_so_is_marked_by_the_next_here(
    defaults: Params, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with live_run(defaults, "abc", folder):
        pass
    client, [run] = store(), runs()
    client.update_run(run.info.run_id, status="RUNNING")
    (folder / "mlflow_run").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.chdir(elsewhere := tmp_path_factory.mktemp("elsewhere"))
    with live_run(defaults, "abc", elsewhere):
        pass
    assert client.get_run(run.info.run_id).info.status == "RUNNING", "it may be alive: it is another folder's"
    monkeypatch.chdir(folder)
    with live_run(defaults, "abc", folder):
        pass
    assert client.get_run(run.info.run_id).info.status == "KILLED"


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """It takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("store", ["nobody", "silent", "no folder"])
def test_a_store_that_does_not_answer_costs_one_warning_and_some_seconds(
    defaults: Params, folder: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture, store: str
) -> None:
    addresses = {"nobody": "http://127.0.0.1:9", "no folder": "sqlite:////dev/null/mlflow.db"}
    with silent_server() as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", addresses.get(store, silent))
        started = time.monotonic()
        with live_run(defaults, "abc", folder) as live:
            for number in range(1, 50):
                live.epoch("head", epoch(number))
            live.end("contract", RESULT)
            told = time.monotonic() - started
        waited = time.monotonic() - started - told
    assert told < 1
    assert waited < WAITED + 5
    assert len([record for record in said.records if "MLflow" in record.getMessage()]) == 1


def test_a_store_that_fails_after_nobody_waits_for_it_is_not_told_of_twice(
    defaults: Params, folder: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeline.registry.live.WAITED", 0.1)
    with silent_server() as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
        with live_run(defaults, "abc", folder) as live:
            live.epoch("head", epoch(1))
        [worker] = [thread for thread in threading.enumerate() if thread.name == "mlflow"]
    worker.join(30)
    assert not worker.is_alive()
    assert ["slow or gone" in record.getMessage() for record in said.records if "MLflow" in record.getMessage()] == [
        True
    ]
