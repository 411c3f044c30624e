"""MLflow's server, Prefect's server and the worker as processes of this project, run by supervisord.

Starts, watches and stops them. Knows nothing about a server but its name.
"""

import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from flows.services.configuration import (
    ADDRESSES,
    CONFIGURATION,
    HOME,
    LOGS,
    LOOPBACK,
    MARK,
    PID,
    SERVICES,
    SOCKET,
    STOPPING,
    WORKER,
    Addresses,
    ServicesError,
    configuration,
    environment,
    log_file,
)
from pipeline.storage.files import read_json, write_json

LONGEST_SOCKET = 107  # bytes of a socket's path on Linux
FLOWS_END = 30.0  # seconds that a flow run has to save its progress after it is told to end
KILLED_END = 5.0  # seconds that a killed process takes at most


@dataclass(frozen=True, slots=True)
class Process:
    """A service as supervisord sees it."""

    name: str
    state: str  # RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL
    since: float  # seconds since 1970
    megabytes: int  # of memory, with its children


def supervisor() -> Any:
    """supervisord's remote procedures, through its socket; a call raises OSError when supervisord does not run."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport("", "", f"unix://{SOCKET.absolute()}")
    return xmlrpc.client.ServerProxy(f"http://{LOOPBACK}", transport=transport).supervisor


def is_up() -> bool:
    """Whether this project's supervisord runs."""
    try:
        return SOCKET.exists() and bool(supervisor().getState()["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error):
        return False


def addresses() -> Addresses | None:
    """Where the servers of the last `up` are; None before the first."""
    if not ADDRESSES.is_file():
        return None
    found = read_json(ADDRESSES)
    return Addresses(
        found["mlflow"], found["prefect"], tuple(found["ours"]), found.get("review", ""), found.get("collects", False)
    )


def start_supervisor(wanted: Addresses) -> None:
    """Start supervisord in the background, without any service yet. Raises ServicesError."""
    if len(os.fsencode(SOCKET.absolute())) > LONGEST_SOCKET:
        raise ServicesError(
            f"{SOCKET.absolute()} is too long for the path of a socket, which has at most {LONGEST_SOCKET} bytes. "
            "Move the project to a folder with a shorter path."
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o700)
    STOPPING.unlink(missing_ok=True)  # left by a `down` that was killed
    CONFIGURATION.write_text(configuration(wanted), encoding="utf-8")
    CONFIGURATION.chmod(0o600)
    write_json(ADDRESSES, asdict(wanted))
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(CONFIGURATION.absolute())]
    done = subprocess.run(
        command, env=environment(wanted), text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    deadline = time.monotonic() + 20
    while not done.returncode and not is_up() and time.monotonic() < deadline:
        time.sleep(0.1)
    if not is_up():
        raise ServicesError(f"supervisord does not start:\n{done.stdout}{done.stderr}{last_lines('supervisord')}")


def start(name: str) -> None:
    """Start one service, unless it runs already."""
    try:
        supervisor().startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise ServicesError(f"{name} does not start ({fault.faultString}):\n{last_lines(name)}") from fault


def require_alive(name: str, pid: int = 0) -> int:
    """The process id of a service. Raises ServicesError with its last log lines when it ended instead of starting.

    pid: what the previous call returned, 0 at first; another process now means that the first attempt failed.
    """
    found = supervisor().getProcessInfo(name)
    state = found["statename"] if not pid or found["pid"] == pid else "EXITED"
    if state not in ("STARTING", "RUNNING"):
        raise ServicesError(f"{name} does not start ({state}). Its last log lines:\n{last_lines(name)}")
    return int(found["pid"])


def last_lines(name: str, count: int = 20) -> str:
    """The end of a service's log."""
    file = log_file(name)
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return "\n".join([*(f"  {line}" for line in lines[-count:]), f"  ({file})"])


def processes() -> list[Process]:
    """The services that were started, in order; none where supervisord does not run."""
    if not is_up():
        return []
    found = {one["name"]: one for one in supervisor().getAllProcessInfo()}
    return [
        Process(name, one["statename"], float(one["start"]), megabytes(one["pid"]))
        for name, one in ((name, found[name]) for name in SERVICES if name in found)
    ]


def megabytes(pid: int) -> int:
    """Memory of a process and its children; 0 for none."""
    total = 0
    try:
        parent = psutil.Process(pid) if pid else None
        for one in [parent, *parent.children(recursive=True)] if parent else []:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return round(total / 1e6)


def stop() -> int:
    """Stop everything that `up` started, flow runs first: they save their progress. Returns how many processes."""
    try:
        return _stop()
    finally:
        STOPPING.unlink(missing_ok=True)


def _stop() -> int:
    if HOME.is_dir():
        STOPPING.touch()
    count = end(flow_runs())  # while the worker and the server can still record how they end
    if is_up():
        running = [one["name"] for one in supervisor().getAllProcessInfo() if one["pid"]]
        count += len(running)
        if WORKER in running:
            supervisor().stopProcess(WORKER)
        pid = supervisor().getPID()
        supervisor().shutdown()
        _wait_for_end(pid)
    count += end(marked())
    for leftover in (SOCKET, PID):
        leftover.unlink(missing_ok=True)
    return count


def _wait_for_end(pid: int) -> None:
    try:
        psutil.Process(pid).wait(60)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        raise ServicesError(
            f"supervisord (process {pid}) does not end. Run `kill -9 {pid}`, then `nightshift down`."
        ) from None


def marked() -> Iterator[psutil.Process]:
    """Processes that this project's services started, directly or not, even if their parent has ended."""
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if one.environ().get(MARK) == str(Path.cwd()) and one.pid != os.getpid():
                yield one


def flow_runs() -> Iterator[psutil.Process]:
    """The marked processes that run a flow, without their helper processes."""
    for one in marked():
        with suppress(psutil.Error):
            if is_flow_run(one):
                yield one


def is_flow_run(one: psutil.Process) -> bool:
    """Whether it runs a flow, and is no helper process of one. Raises psutil.Error."""
    return bool(one.cmdline()[-1:] == ["prefect.engine"])


def end(found: Iterable[psutil.Process], grace: float = FLOWS_END, *, kill: bool = False) -> int:
    """Tell processes to end, wait, and kill those that do not, or with `kill` all; returns how many there were."""
    left = told = list(found)
    for signal, seconds in (("kill", KILLED_END),) if kill else (("terminate", grace), ("kill", KILLED_END)):
        for one in left:
            with suppress(psutil.Error):
                getattr(one, signal)()
        _, left = psutil.wait_procs(left, timeout=seconds)
    return len(told)


def show_logs(names: Sequence[str], lines: int, *, follow: bool) -> None:
    """Show the end of the logs, and with `follow` new lines too, also after a rotation. Ends this process."""
    words = ["tail", "-n", str(lines), *(["-F"] if follow else []), *(str(log_file(name)) for name in names)]
    os.execvp("tail", words)  # noqa: S606 - fixed words
