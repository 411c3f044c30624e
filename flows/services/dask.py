"""Shards on a Dask cluster: a bounded number at a time, retried when a worker dies. Computes nothing.

Workers classify in their own process, as Dask's processes may have no children. A shard that kills its workers goes
back to the caller, who classifies it carefully.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.night.ledger import Done, Run
from pipeline.night.options import Cluster
from pipeline.night.shard import classify_alone
from pipeline.night.workers import Classifier, classify_shards
from pipeline.params.file import Params

if TYPE_CHECKING:
    from distributed import Client

THREADS = 2  # per worker: one runs the model on a shard, the other reads the files of the next
AHEAD = 2  # shards per thread, with the current one, so that no thread waits for work
POLL = 2.0  # seconds between two checks that workers are alive
ANSWERS = 30.0  # timeout in seconds for the scheduler's first answer
NOBODY = 60.0  # seconds without any worker before giving up; a cluster restarts a worker sooner


class ClusterError(NightshiftError):
    """The cluster cannot be reached or is gone; what is done is kept."""


@dataclass(frozen=True)
class Work:
    """How to submit a shard, and how to read its result."""

    submit: Callable[[int], Any]  # a shard's number -> its Dask future
    files: Callable[[Any], int] = int  # the future's result -> count of files; raises what classifying raised


Way = Callable[["Client", Run, Params], AbstractContextManager[Work]]  # as plain work, or as tasks of an orchestrator


@contextmanager
def connected(cluster: Cluster) -> "Iterator[Client]":
    """A client of the cluster; without an address it starts a local one, and stops it at the end.

    Raises ClusterError when Dask is not installed or no scheduler answers at the cluster's address.
    """
    address, workers = cluster.address, cluster.workers
    try:
        import distributed
        import prefect_dask  # noqa: F401 - of the same extra
    except ImportError as error:
        raise ClusterError(
            f"--runner dask needs packages that are not installed ({error}). Install them: "
            "pip install 'nightshift[dask]'."
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)  # this module logs a dead worker itself
    if address is None:
        with (
            distributed.LocalCluster(n_workers=workers, threads_per_worker=THREADS, dashboard_address=None) as local,
            distributed.Client(local) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(address, timeout=ANSWERS)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address}: {error}. Start one (`dask scheduler`) and its workers (`dask "
            f"worker {address} --nthreads {THREADS}`), or leave out --dask-address for a cluster on this machine."
        ) from error
    with client:
        yield client


@contextmanager
def plain_work(client: "Client", run: Run, params: Params) -> Iterator[Work]:
    """Shards as Dask's own work."""
    yield Work(lambda number: client.submit(classify_alone, run, number, params, pure=False))


def classifier(cluster: Cluster, way: Way = plain_work, rest: Classifier = classify_shards) -> Classifier:
    """A classifier that uses a cluster.

    rest: classifies the shards that killed their workers.
    """

    def classify(run: Run, numbers: list[int], params: Params) -> Done:
        left = numbers
        if numbers:
            with connected(cluster) as client, way(client, run, params) as work:
                left = yield from finished(client, numbers, work)
        yield from rest(run, left, params)

    return classify


def finished(client: "Client", numbers: list[int], work: Work) -> Generator[tuple[int, int], None, list[int]]:
    """Number and count of files of each shard as it comes back, with at most AHEAD per thread submitted.

    Returns the shards that killed several workers. Raises what classifying raises, and
    ClusterError when all workers, or the scheduler, are gone.
    """
    from distributed import KilledWorker

    coming = iter(numbers)
    left: list[int] = []
    on_their_way: dict[Any, int] = {}  # Dask's future -> shard
    back: SimpleQueue[Any] = SimpleQueue()
    while True:
        for number in islice(coming, max(0, _room(client) - len(on_their_way))):
            future = work.submit(number)
            on_their_way[future] = number
            future.add_done_callback(back.put)
        if not on_their_way:
            return left
        future = _patiently(lambda: back.get(timeout=POLL), client)
        number = on_their_way.pop(future)
        try:
            # If its worker has died since, Dask retries it elsewhere, so this may wait again.
            yield number, work.files(_patiently(partial(_result, future), client))
        except KilledWorker:
            log.warning("Shard %d killed the workers that tried it; this machine will classify it carefully.", number)
            left.append(number)


def _room(client: "Client") -> int:
    return max(1, AHEAD * sum(_threads(client).values()))


def _threads(client: "Client") -> dict[str, int]:
    """Worker -> its threads. Raises ClusterError when the scheduler is gone."""
    try:
        found: dict[str, int] = client.nthreads()
    except (OSError, AttributeError) as error:  # closed just now; closed earlier
        raise _gone(client, "scheduler") from error
    return found


def _result(future: Any) -> Any:
    if future.cancelled():
        raise CancelledError
    try:
        return future.result(timeout=POLL)
    except TimeoutError:
        if future.status == "error":  # the shard's own TimeoutError
            raise
        raise Empty from None


def _patiently(take: Callable[[], Any], client: "Client") -> Any:
    """Repeat `take` while it raises Empty. Raises ClusterError when the cluster is gone."""
    alone_since: float | None = None
    while True:
        try:
            return take()
        except Empty:
            if _threads(client):
                alone_since = None
            elif time.monotonic() - (alone_since := alone_since or time.monotonic()) >= NOBODY:
                raise _gone(client, "workers") from None
        except CancelledError:
            raise _gone(client, "scheduler") from None


def _gone(client: "Client", what: str) -> ClusterError:
    return ClusterError(
        f"The Dask cluster at {client.scheduler.address if client.scheduler else 'its address'} has no {what} any "
        "more. What is done is kept: when the cluster is back, run the same command again."
    )
