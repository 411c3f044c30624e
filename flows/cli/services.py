"""The commands `nightshift up`, `down`, `logs`, and the services in `status`. Each imports what it needs."""

import os
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    from flows.services.configuration import Addresses

app = typer.Typer()

LIMIT = 180.0  # seconds in which each service must answer; a first start on a slow disk takes 30
POLL = 0.5  # seconds between two looks


class Service(StrEnum):
    """A service that `up` runs."""

    MLFLOW = "mlflow"
    PREFECT = "prefect"
    REVIEW = "review"
    WORKER = "worker"
    COLLECT = "collect"


@app.command()
def up(
    mlflow_port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="NIGHTSHIFT_MLFLOW_PORT", help="Port of MLflow's pages.")
    ] = 5000,
    prefect_port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="NIGHTSHIFT_PREFECT_PORT", help="Port of Prefect's pages.")
    ] = 4200,
    review_port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="NIGHTSHIFT_REVIEW_PORT", help="Port of the start page.")
    ] = 4300,
) -> None:
    """Start MLflow's and Prefect's servers, the start page with the reviews, and a worker in the background.

    The worker runs the schedules of prefect.yaml. Where params.yaml has cameras (collect.sources), their pictures are
    collected too.

    They listen on this machine only, and start again when they die.

    If MLFLOW_TRACKING_URI or PREFECT_API_URL names a server, Nightshift uses that one and starts none.
    """
    from flows.mlflow_pages import address_of
    from flows.services import configuration, orphans, processes
    from pipeline.params.file import load_params

    name = load_params().register_.model_name  # fails outside a project, before anything starts
    if (running := processes.addresses()) and processes.is_up():
        names = ", ".join(f"{one.name} {one.state.lower()}" for one in processes.processes())
        typer.echo(f"Nightshift is already running here ({names}). `nightshift down` stops it.")
        _print_addresses(running)
        return
    for line in orphans.replace(orphans.orphans()):
        typer.echo(line)
    wanted = _wanted(mlflow_port, prefect_port, review_port)
    processes.start_supervisor(wanted)
    try:
        _start_all(wanted)
    except BaseException:
        processes.stop()
        raise
    typer.echo(f"Begin here: {_start(wanted)}")
    typer.echo(f"Models, and how to promote one by hand: {address_of(wanted.mlflow, name)}")
    typer.echo(f"`nightshift logs` shows the logs ({configuration.LOGS}). `nightshift down` stops everything.")


def _wanted(mlflow_port: int, prefect_port: int, review_port: int) -> "Addresses":
    """Decide which servers to start, and where. Checks that their ports are free and that servers elsewhere answer."""
    from prefect.settings import PREFECT_API_URL

    from flows.services import configuration, listening
    from pipeline.registry.store import Store

    api, store = PREFECT_API_URL.value() or "", os.environ.get("MLFLOW_TRACKING_URI", "")
    mlflow, prefect = (f"http://{configuration.LOOPBACK}:{port}" for port in (mlflow_port, prefect_port))
    ours = []
    if store.startswith(("http://", "https://")):
        mlflow = store.rstrip("/")
        listening.require_answer(f"{mlflow}/health", "MLFLOW_TRACKING_URI")
    else:
        listening.require_free(mlflow_port, "mlflow")
        Store.of_project().follow()
        ours.append("mlflow")
    if api and api.rstrip("/") != f"{prefect}/api":
        prefect = api.rstrip("/").removesuffix("/api")
        listening.require_answer(f"{prefect}/api/health", "PREFECT_API_URL")
    else:
        listening.require_free(prefect_port, "prefect")
        ours.append("prefect")
    listening.require_free(review_port, configuration.REVIEW)
    review = f"http://{configuration.LOOPBACK}:{review_port}"
    return configuration.Addresses(mlflow, prefect, tuple(ours), review, _collects())


def _collects() -> bool:
    """Whether there are cameras to collect from. A mistake in their section does not stop nights."""
    from pipeline.collect.start import jobs
    from pipeline.params.file import load_params

    try:
        return bool((rules := load_params().collect).sources and jobs(rules))
    except NightshiftError as error:
        typer.echo(f"WARNING: no pictures are collected. {error}")
        return False


def _keep_token(where: "Addresses") -> None:
    """Keep where the start page is, with its token, which is made at the first `up`."""
    from flows.services.configuration import START
    from pipeline.review.address import keep_address, last_address

    keep_address(last_address(START).model_copy(update={"port": int(where.review.rpartition(":")[2])}), START)


def _start(where: "Addresses") -> str:
    """The address of the start page, with its token where it is known."""
    from flows.services.configuration import START
    from pipeline.review.address import last_address

    found = last_address(START)
    return found.page if where.review.endswith(f":{found.port}") else where.review


def _start_all(wanted: "Addresses") -> None:
    """Start the servers in parallel, then register pool and deployments with Prefect, then start the worker."""
    from datetime import UTC, datetime

    from flows.services import configuration, listening, processes
    from flows.services import prefect as server

    began, api = time.monotonic(), f"{wanted.prefect}/api"
    checks = {"mlflow": f"{wanted.mlflow}/health", "prefect": f"{api}/health", "review": f"{wanted.review}/health"}
    _keep_token(wanted)
    started = (*wanted.ours, configuration.REVIEW)
    for name in started:
        processes.start(name)
    for name, address in checks.items():
        if name in started:
            _wait(name, lambda address=address: listening.answers(address))  # type: ignore[misc]
        of_ours = f"{time.monotonic() - began:.0f} s" if name in started else "not started here"
        typer.echo(f"{name:8} {getattr(wanted, name)}  ({of_ours})")
    began = time.monotonic()
    server.make_pool(api, configuration.POOL)
    server.deploy(configuration.environment(wanted))
    server.watch_for_zombies(api)
    typer.echo(f"{'plan':8} the deployments of prefect.yaml  ({time.monotonic() - began:.0f} s)")
    began, since = time.monotonic(), datetime.now(UTC)
    processes.start("worker")
    lacking = server.not_ready(api)  # while it starts
    _wait("worker", lambda: server.worker_is_online(api, configuration.POOL, configuration.worker_name(), since))
    typer.echo(f"{'worker':8} of the work pool {configuration.POOL}  ({time.monotonic() - began:.0f} s)")
    if wanted.collects:
        processes.start(configuration.COLLECT)
        typer.echo(f"{'collect':8} the sources in params.yaml; `nightshift status` shows each")
    for line in lacking:
        typer.echo(f"WARNING: {line}.")


def _wait(name: str, is_there: Callable[[], bool]) -> None:
    """Wait until a service answers. Raises ServicesError with its last log lines when it ended or takes too long."""
    from flows.services import configuration, processes

    deadline, pid = time.monotonic() + LIMIT, 0
    while not is_there():
        pid = processes.require_alive(name, pid)
        if time.monotonic() > deadline:
            raise configuration.ServicesError(
                f"{name} did not answer within {LIMIT:.0f} s. Its last log lines:\n{processes.last_lines(name)}"
            )
        time.sleep(POLL)


def _print_addresses(running: "Addresses") -> None:
    for name in ("mlflow", "prefect"):
        typer.echo(f"{name:8} {getattr(running, name)}")
    if running.review:
        typer.echo(f"{'review':8} {_start(running)}")


@app.command()
def down() -> None:
    """Stop what `nightshift up` started. The next run resumes an interrupted night."""
    from flows.services import processes

    count = processes.stop()
    typer.echo(f"Stopped: {count} processes." if count else "Nothing was running.")


@app.command()
def logs(
    service: Annotated[Service | None, typer.Argument(help="One service; without it, all.", show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new lines, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines to show of each service.")] = 50,
) -> None:
    """Show the last lines of the services' logs."""
    from flows.services import configuration, processes

    names = [
        name
        for name in ([service.value] if service else configuration.SERVICES)
        if configuration.log_file(name).is_file()
    ]
    if not names:
        raise NightshiftError(f"There is no log in {configuration.LOGS} yet. `nightshift up` starts the services.")
    processes.show_logs(names, lines, follow=follow)


def service_lines() -> list[str]:
    """Which services run, since when, with how much memory; the last and the next night."""
    from datetime import datetime

    from flows.services import configuration, listening, orphans, processes
    from flows.show_nights import unfinished_lines

    left = orphans.orphans()
    where, running = processes.addresses(), orphans.as_processes(left) or processes.processes()
    if not where or not running:
        stopped = ["Services:", "  stopped; `nightshift up` starts them"]
        return [*stopped, *unfinished_lines(list)]
    lines = ["Services:"]
    if left:
        lines.append(
            "  their supervisor was killed, so nothing starts them again: `nightshift up` does, and takes over"
        )
    for one in running:
        address = _start(where) if one.name == configuration.REVIEW else getattr(where, one.name, "")
        since = f"since {datetime.fromtimestamp(one.since).astimezone():%Y-%m-%d %H:%M}  {one.megabytes} MB"
        lines.append(f"  {one.name:8} {one.state.lower():8} {since if one.megabytes else ''}  {address}".rstrip())
    there = {one.name for one in running}
    lines += [
        f"  {name:8} stopped" for name in (*where.ours, configuration.REVIEW, configuration.WORKER) if name not in there
    ]
    elsewhere = [name for name in configuration.SERVERS if name not in where.ours]
    lines += [f"  {name:8} elsewhere  {getattr(where, name)}" for name in elsewhere]
    if not listening.answers(f"{where.prefect}/api/health"):
        return [*lines, "Nights:", "  unknown: Prefect's server does not answer", *unfinished_lines(list)]
    from flows.services import prefect as server

    api = f"{where.prefect}/api"
    lines += ["Nights:", *(f"  {line}" for line in server.nights(api))]
    lines += [f"  WARNING: {line}." for line in server.not_ready(api)]
    return [*lines, *unfinished_lines(lambda: server.coming_nights(api))]
