"""Nights on Dask clusters of real processes: the rows of the plain command, whoever dies meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from flows.services import dask as cluster
from flows.services.dask import ClusterError, classifier
from pipeline.night.ledger import books_of
from pipeline.night.options import Cluster
from pipeline.night.run import Steps
from pipeline.params.file import load_params
from pipeline.storage import stores
from pipeline.storage.addresses import place
from tests.fixtures.nights import classify
from tests.fixtures.project import NIGHTSHIFT, draw_shape, environment, nightshift
from tests.fixtures.stores import free_port, upload
from tests.night.test_remote import bucket, rows, server  # noqa: F401 - fixtures
from tests.night.test_workers import NIGHT


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hundred images, a hundred shards; one of them is none."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(299):
        draw_shape(folder / f"{number % 7}" / f"{number:03d}.png", ("circle", "square")[number % 2], seed=number)
    (folder / "3/text.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def plain(trained: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The rows that the plain command gives."""
    output = tmp_path_factory.mktemp("plain")
    nightshift("classify", str(images), str(output), "--no-prefect", cwd=trained)
    return rows(output)


def dask(*words: str) -> list[str]:
    return [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]


@contextmanager
def running_cluster(workers: int) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """The scheduler's address, and the processes: its workers, which nobody starts again, and itself."""
    address = f"tcp://127.0.0.1:{free_port()}"
    env, quiet = environment(), subprocess.DEVNULL
    with ExitStack() as stack:

        def start(*words: str) -> "subprocess.Popen[bytes]":
            process = stack.enter_context(subprocess.Popen(dask(*words), env=env, stdout=quiet, stderr=quiet))
            stack.callback(process.kill)
            return process

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard")
        yield address, [*(start("worker", address, *options) for _ in range(workers)), scheduler]


def wait_for(condition: object, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def parts(output: Path | str) -> int:
    return len(stores.names(books_of(place(output)) / "parts"))


def test_two_workers_give_the_rows_of_the_plain_command(
    trained: Path, images: Path, plain: list[dict[str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = nightshift(
        "classify", str(images), str(out), "--runner", "dask", "--workers", "2", "--no-prefect", cwd=trained
    )
    assert "300 images" in done.stdout
    assert rows(out) == plain
    assert sorted(os.listdir(out)) == [
        ".nightshift.lock",
        "morning.html",
        "predictions.csv",
        "review.csv",
        "review.html",
        "summary.json",
    ]


def test_a_flow_from_store_to_store_loses_nothing_with_a_worker_that_is_killed(
    trained: Path,
    images: Path,
    plain: list[dict[str, str]],
    bucket: str,  # noqa: F811
) -> None:
    upload(images, f"{bucket}/photos")
    words = [str(NIGHTSHIFT), "classify", f"{bucket}/photos", f"{bucket}/out", "--runner", "dask", "--dask-address"]
    with (
        running_cluster(2) as (address, processes),
        subprocess.Popen([*words, address], cwd=trained, env=environment(), text=True, stdout=-1, stderr=-2) as night,
    ):
        wait_for(lambda: parts(f"{bucket}/out") >= 5 or night.poll() is not None)
        processes[0].kill()
        done = parts(f"{bucket}/out")
        said, _ = night.communicate(timeout=400)
    assert night.returncode == 0, said
    assert 5 <= done < 100, "it was in the middle"
    assert rows(f"{bucket}/out") == plain
    assert "shard 100 of 100: 3 images" in said


def test_a_killed_worker_of_a_local_cluster_is_replaced(
    trained: Path, images: Path, plain: list[dict[str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [str(NIGHTSHIFT), "classify", str(images), str(out), "--runner", "dask", "--workers", "2", "--no-prefect"]
    with subprocess.Popen(words, cwd=trained, env=environment(), text=True, stdout=-1, stderr=-2) as night:
        wait_for(lambda: parts(out) >= 3 or night.poll() is not None)
        children = psutil.Process(night.pid).children(recursive=True)
        os.kill(next(child.pid for child in children if "spawn_main" in " ".join(child.cmdline())), signal.SIGKILL)
        said, _ = night.communicate(timeout=400)
    assert night.returncode == 0, said
    assert rows(out) == plain


@pytest.mark.parametrize("who", ["workers", "scheduler"])
def test_where_all_are_gone_it_says_so_and_a_plain_run_completes_what_they_did(
    who: str, trained: Path, images: Path, plain: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(cluster, "NOBODY", 3.0)
    out = tmp_path / "out"
    with running_cluster(2) as (address, processes):
        rest = classifier(Cluster(address))

        def kill_after_five(*work: object) -> Iterator[tuple[int, int]]:
            for count, answer in enumerate(rest(*work)):  # type: ignore[arg-type]
                yield answer
                if count == 5:
                    for process in processes[:2] if who == "workers" else processes[2:]:
                        process.kill()

        with pytest.raises(ClusterError, match=rf"has no {who} any more. What is done is kept.*run the same command"):
            classify(images, out, load_params(), Steps(classify=kill_after_five))
    assert 6 <= parts(out) < 100
    classify(images, out, load_params())
    assert rows(out) == plain


def test_a_scheduler_that_is_not_there_or_goes_is_named(trained: Path, images: Path, tmp_path: Path) -> None:
    words = ["classify", str(images), str(tmp_path / "out"), "--no-prefect", "--runner", "dask", "--dask-address"]
    done = nightshift(*words, "tcp://127.0.0.1:9", cwd=trained, check=False)
    assert done.returncode == 1
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    done = nightshift("classify", str(images), str(tmp_path / "out"), "--workers", "2", cwd=trained, check=False)
    assert "Add --runner dask" in done.stderr


def test_a_file_that_kills_every_worker_costs_its_own_row(trained: Path, tmp_path: Path) -> None:
    for number in range(10):
        draw_shape(tmp_path / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    (tmp_path / "night/4.png").write_bytes(b"KILL")
    on_dask = NIGHT.replace(
        "from pipeline.params", "from flows.services.dask import Cluster, classifier\nfrom pipeline.params"
    ).replace("Steps()", "Steps(classify=classifier(Cluster(None, 2)))")
    (tmp_path / "night.py").write_text(on_dask)
    words = [sys.executable, str(tmp_path / "night.py"), str(tmp_path / "night"), str(tmp_path / "out")]
    env = environment(PYTHONPATH=str(trained))
    done = subprocess.run(words, cwd=trained, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {row["path"]: row["error"] for row in rows(tmp_path / "out") if row["error"]} == {
        "4.png": "its decoder crashed; the file is damaged, or made to do harm"
    }
    assert json.loads((tmp_path / "out/summary.json").read_text())["reconciled"]
    assert "killed the workers that tried it" in done.stderr
