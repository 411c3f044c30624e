"""Nights on Dask clusters of real processes: the rows of the plain command, whoever dies meanwhile."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import distributed
import pytest

from flows.services import dask as cluster
from flows.services.dask import ClusterError, classifier
from pipeline.night.ledger import Done, Run
from pipeline.night.options import Cluster
from pipeline.night.run import Steps
from pipeline.night.workers import Classifier
from pipeline.params.file import Params, load_params
from tests.fixtures.commands import deadly_night, parts, rows_at, start
from tests.fixtures.forked import Forked, forking, nightshift
from tests.fixtures.nights import classify
from tests.fixtures.project import Rows, draw_shape
from tests.fixtures.stores import free_port, upload

FILES, SHARDS = 150, 50


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of them is none."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(FILES - 1):
        draw_shape(folder / f"{number % 7}" / f"{number:03d}.png", ("circle", "square")[number % 2], seed=number)
    (folder / "3/text.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def plain(trained: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows that the plain command gives."""
    output = tmp_path_factory.mktemp("plain")
    nightshift("classify", str(images), str(output), "--no-prefect", cwd=trained)
    return rows_at(output)


@contextmanager
def running_cluster(workers: int) -> Iterator[tuple[str, list[Forked]]]:
    """The scheduler's address, and the processes: its workers, which nobody starts again, and itself."""
    address = f"tcp://127.0.0.1:{free_port()}"
    with ExitStack() as stack:

        def start(program: str, *words: str) -> Forked:
            return stack.enter_context(forking("-m", f"distributed.cli.dask_{program}", *words, cwd=Path.cwd()))

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard")
        yield address, [*(start("worker", address, *options) for _ in range(workers)), scheduler]


def wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def test_two_workers_give_the_rows_of_the_plain_command(
    trained: Path, images: Path, plain: Rows, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = nightshift(
        "classify", str(images), str(out), "--runner", "dask", "--workers", "2", "--no-prefect", cwd=trained
    )
    assert f"{FILES} images" in done.stdout
    assert rows_at(out) == plain
    assert sorted(os.listdir(out)) == [
        ".nightshift.lock",
        "model_card.html",
        "morning.html",
        "predictions.csv",
        "review.csv",
        "review.html",
        "summary.json",
    ]


@pytest.mark.slow
def test_a_flow_from_store_to_store_loses_nothing_with_a_worker_that_is_killed(
    trained: Path,
    images: Path,
    plain: Rows,
    bucket: str,
    prefect_api: str,
) -> None:
    upload(images, f"{bucket}/photos")
    words = ["classify", f"{bucket}/photos", f"{bucket}/out", "--runner", "dask", "--dask-address"]
    with running_cluster(2) as (address, processes):
        night = start(*words, address, cwd=trained, PREFECT_API_URL=prefect_api)
        wait_for(lambda: len(parts(f"{bucket}/out")) >= 5 or night.poll() is not None)
        processes[0].kill()
        done = len(parts(f"{bucket}/out"))
        said = "".join(night.communicate())
    assert night.returncode == 0, said
    assert 5 <= done < SHARDS, "it was in the middle"
    assert rows_at(f"{bucket}/out") == plain
    logs = (trained / ".nightshift/logs").glob("command-*-classify-*.log")
    assert any(f"shard {SHARDS} of {SHARDS}: 3 images" in log.read_text() for log in logs)


def kill_after(count: int, rest: Classifier, kill: Callable[[], None]) -> Classifier:
    """Classify as `rest` does, and call `kill` when so many shards are done."""

    def classify_rest(run: Run, numbers: list[int], params: Params) -> Done:
        for done, answer in enumerate(rest(run, numbers, params), start=1):
            yield answer
            if done == count:
                kill()

    return classify_rest


def test_a_killed_worker_of_a_local_cluster_is_replaced(
    here: Params, images: Path, plain: Rows, tmp_path: Path
) -> None:
    def kill_one() -> None:
        workers = distributed.default_client().run(os.getpid)
        assert len(workers) == 2
        os.kill(next(iter(workers.values())), signal.SIGKILL)

    classify(images, tmp_path / "out", here, Steps(classify=kill_after(3, classifier(Cluster(None, 2)), kill_one)))
    assert rows_at(tmp_path / "out") == plain


@pytest.mark.parametrize("who", ["workers", "scheduler"])
def test_where_all_are_gone_it_says_so_and_a_plain_run_completes_what_they_did(
    who: str, trained: Path, images: Path, plain: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(cluster, "NOBODY", 3.0)
    out = tmp_path / "out"
    with running_cluster(2) as (address, processes):
        doomed = processes[:2] if who == "workers" else processes[2:]
        killing = kill_after(6, classifier(Cluster(address)), lambda: [process.kill() for process in doomed] and None)
        with pytest.raises(ClusterError, match=rf"has no {who} any more. What is done is kept.*run the same command"):
            classify(images, out, load_params(), Steps(classify=killing))
    assert 6 <= len(parts(out)) < SHARDS
    classify(images, out, load_params())
    assert rows_at(out) == plain


def test_a_scheduler_that_is_not_there_is_named(
    here: Params, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWERS", 1.0)
    with pytest.raises(ClusterError, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        classify(images, tmp_path / "out", here, Steps(classify=classifier(Cluster("tcp://127.0.0.1:9"))))


def test_options_of_a_cluster_need_one(trained: Path, images: Path, tmp_path: Path) -> None:
    done = nightshift("classify", str(images), str(tmp_path / "out"), "--workers", "2", cwd=trained, check=False)
    assert done.returncode == 1
    assert "Add --runner dask" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_kills_every_worker_costs_its_own_row(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        draw_shape(tmp_path / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    (tmp_path / "night/4.png").write_bytes(b"KILL")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")  # workers; it costs seconds to start one
    done = deadly_night(tmp_path / "night", tmp_path / "out", "dask", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert {row["path"]: row["error"] for row in rows_at(tmp_path / "out") if row["error"]} == {
        "4.png": "its decoder crashed; the file is damaged, or made to do harm"
    }
    assert json.loads((tmp_path / "out/summary.json").read_text())["reconciled"]
    assert "killed the workers that tried it" in done.stderr
