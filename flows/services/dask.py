"""Shards on a Dask cluster: a bounded number at a time, redone where a worker dies. Computes nothing.

Workers classify in their own process: Dask's may have no children. A shard that kills the workers that try it is left
to the caller, who has the careful way.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.night import workers as shards
from pipeline.night.ledger import Plan
from pipeline.night.shard import classify_alone
from pipeline.night.workers import Classifier
from pipeline.params.file import Params
from pipeline.storage.stores import Place

if TYPE_CHECKING:
    from distributed import Client
    from prefect.task_runners import TaskRunner

AHEAD = 2  # shards a worker's thread has, the one it is at among them: it never waits for the next
POLL = 2.0  # seconds between two looks whether anybody is still there
NOBODY = 60.0  # seconds without a worker; a cluster that grows, or starts a dead one again, has one by then


class ClusterError(NightshiftError):
    """There is no cluster, or it is gone; what is done is kept."""


@dataclass(frozen=True)
class Work:
    """How a shard is sent off, and what comes back."""

    submit: Callable[[int], Any]  # a shard's number -> its Dask future
    files: Callable[[Any], int] = int  # what the future gives -> count of files; raises what classifying raised


@contextmanager
def connected(address: str | None, workers: int | None) -> "Iterator[Client]":
    """A client of the cluster at `address`, or of a local one of `workers` processes, which ends with it.

    Raises ClusterError when Dask is not installed or nobody answers at `address`.
    """
    try:
        import distributed
        import prefect_dask  # noqa: F401 - of the same extra
    except ImportError as error:
        raise ClusterError(
            f"--runner dask needs packages that are not installed ({error}). Install them: "
            "pip install 'nightshift[dask]'."
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)  # a worker that dies is told of here
    if address is None:
        with (
            distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as local,
            distributed.Client(local) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(address, timeout=30)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address}: {error}. Start one (`dask scheduler`) and its workers (`dask "
            f"worker {address} --nthreads 1`), or leave out --dask-address for a cluster on this machine."
        ) from error
    with client:
        yield client


def task_runner(client: "Client") -> "TaskRunner[Any]":
    """Prefect's way to the client's cluster."""
    from prefect_dask import DaskTaskRunner

    runner: TaskRunner[Any] = DaskTaskRunner(address=client.scheduler.address)
    return runner


def client_of_flow() -> "Client":
    """The client by which the running flow's tasks are submitted."""
    from prefect.context import FlowRunContext

    context: Any = FlowRunContext.get()
    client: Client = context.task_runner.client
    return client


def plainly(address: str | None, workers: int | None) -> Classifier:
    """The same without Prefect: what classifies shards, as `shards.classify_shards` does, on a cluster."""

    def classify_rest(output: Place, numbers: list[int], plan: Plan, params: Params) -> Iterator[tuple[int, int]]:
        if not numbers:
            return
        with connected(address, workers) as client:
            work = Work(lambda number: client.submit(classify_alone, output, number, plan, params, pure=False))
            left = yield from finished(client, numbers, work)
        yield from shards.classify_shards(output, left, plan, params)

    return classify_rest


def run_shards(client: "Client", numbers: list[int], work: Work, done: Callable[[int, int], None]) -> list[int]:
    """Classify shards, and call `done` with the number and the count of files of each; returns as `finished`."""
    coming = finished(client, numbers, work)
    while True:
        try:
            done(*next(coming))
        except StopIteration as end:
            left: list[int] = end.value
            return left


def finished(client: "Client", numbers: list[int], work: Work) -> Generator[tuple[int, int], None, list[int]]:
    """Number and count of files of each shard as it comes back, at most AHEAD a thread being on their way.

    Returns the shards that were on one worker after the other when it died. Raises what classifying raises, and
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
            # Its worker may have died since: then it is done again elsewhere, and so waited for again.
            yield number, work.files(_patiently(partial(_result, future), client))
        except KilledWorker:
            log.warning("Shard %d killed the workers that tried it; it will be done here, with care.", number)
            left.append(number)


def _room(client: "Client") -> int:
    return max(1, AHEAD * sum(_threads(client).values()))


def _threads(client: "Client") -> dict[str, int]:
    """Worker -> its threads. Raises ClusterError when the scheduler is gone."""
    try:
        found: dict[str, int] = client.nthreads()
    except (OSError, AttributeError) as error:  # closed; closed long ago
        raise _gone(client, "scheduler") from error
    return found


def _result(future: Any) -> Any:
    if future.cancelled():
        raise CancelledError
    try:
        return future.result(timeout=POLL)
    except TimeoutError:
        if future.status == "error":  # its own
            raise
        raise Empty from None


def _patiently(take: Callable[[], Any], client: "Client") -> Any:
    """What `take` gives, which raises Empty while there is nothing. Raises ClusterError when there will never be."""
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
