"""MLflow's server, Prefect's server and the worker as processes of this project, run by supervisord.

Their files are in `.nightshift/`, which only the owner can read: configuration, socket, logs, Prefect's database.
Knows nothing about a server but its address and its health check.
"""

import os
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from pipeline.core.errors import NightshiftError
from pipeline.registry.store import LOCAL_ARTIFACTS, Store
from pipeline.storage.files import read_json, write_json

HOME = Path(".nightshift")
CONFIGURATION, SOCKET, PID = HOME / "supervisord.conf", HOME / "supervisor.sock", HOME / "supervisord.pid"
LOGS, ADDRESSES = HOME / "logs", HOME / "addresses.json"
SERVERS, WORKER, POOL = ("mlflow", "prefect"), "worker", "nightshift"
SERVICES = (*SERVERS, WORKER)
LOOPBACK = "127.0.0.1"
LONGEST_SOCKET = 107  # bytes of a socket's path on Linux
MARK = "NIGHTSHIFT_SERVICES"  # environment variable of all our processes and their children: the folder
HEARTBEAT = 30  # seconds between two heartbeats of a flow run; Prefect's minimum
FLOWS_END = 30.0  # seconds that a flow run has to save its progress after it is told to end


class ServicesError(NightshiftError):
    """A service does not start, or does not answer; the message names it and shows its last log lines."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are. `up` and `down` start and stop those in `ours`, and only use the others."""

    mlflow: str
    prefect: str  # of its page; the API is below /api
    ours: tuple[str, ...]  # which of SERVERS


@dataclass(frozen=True, slots=True)
class Process:
    """A service as supervisord sees it."""

    name: str
    state: str  # RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL
    since: float  # seconds since 1970
    megabytes: int  # of memory, with its children


def configuration(addresses: Addresses) -> str:
    """supervisord's configuration: one program per service, which starts when `start` says so."""
    here = Path.cwd()
    python = [sys.executable, "-m"]
    alone = [*python, "flows.services.restart", f"mlflow {here}"]  # ends what a killed server left behind
    artifacts = (here / LOCAL_ARTIFACTS).as_uri()
    commands = {
        # Its store is in the environment: the address may hold a password, which the list of processes would show.
        "mlflow": [*alone, *python, "mlflow", "server", "--no-serve-artifacts",
                   "--default-artifact-root", artifacts, "--workers", "1", "--host", LOOPBACK,
                   "--port", _port(addresses.mlflow)],
        "prefect": [*python, "prefect", "server", "start", "--host", LOOPBACK, "--port", _port(addresses.prefect)],
        WORKER: [*python, "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", worker_name()],
    }  # fmt: skip
    programs = [_program(name, commands[name]) for name in (*addresses.ours, WORKER)]
    return "\n".join(
        [
            "[unix_http_server]",
            f"file={_escaped(str(here / SOCKET))}",
            "chmod=0700",
            "[supervisord]",
            f"pidfile={_escaped(str(here / PID))}",
            f"logfile={_escaped(str(here / LOGS / 'supervisord.log'))}",
            "logfile_maxbytes=10MB",
            "logfile_backups=5",
            "umask=077",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            *programs,
            "",
        ]
    )


def _program(name: str, command: Sequence[str]) -> str:
    here = Path.cwd()
    return "\n".join(
        [
            f"[program:{name}]",
            f"command={_escaped(shlex.join(command))}",
            f"directory={_escaped(str(here))}",
            "autostart=false",  # `up` starts each in its turn
            "autorestart=true",
            "startsecs=3",
            "startretries=1000",  # with growing pauses: a server that fails for an hour must come back before the night
            "stopasgroup=true",
            "killasgroup=true",
            "stopwaitsecs=20",
            "redirect_stderr=true",
            f"stdout_logfile={_escaped(str(here / log_file(name)))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=5",
            "umask=022",  # other users may read the files that a night writes
        ]
    )


def _escaped(text: str) -> str:
    """`text` for supervisord's configuration, where % begins a variable."""
    return text.replace("%", "%%")


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def worker_name() -> str:
    """The worker's name: the same at every start on this machine in this project."""
    return f"{socket.gethostname()} {Path.cwd().name}"


def log_file(name: str) -> Path:
    """The log of a service; older lines are beside it, in .1 to .5."""
    return LOGS / f"{name}.log"


def environment(addresses: Addresses) -> dict[str, str]:
    """The services' environment: this Python's commands first, the servers, Prefect's own files in this project."""
    commands = str(Path(sys.executable).parent)
    found = {
        **os.environ,
        "PATH": os.pathsep.join([commands, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "NIGHTSHIFT_HOME": str(Path.cwd()),
        MARK: str(Path.cwd()),
        "PREFECT_API_URL": f"{addresses.prefect}/api",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes, 1.5 GB, to evaluate language models
    }
    if "prefect" in addresses.ours:  # a server elsewhere may need the API key in the user's profile
        found["PREFECT_HOME"] = str(Path.cwd() / HOME / "prefect")
    if "mlflow" in addresses.ours:
        found["MLFLOW_BACKEND_STORE_URI"] = Store.of_project().address
    return found


def require_free(port: int, service: str) -> None:
    """Raise ServicesError when another process listens on `port` of this machine."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except PermissionError:
        raise ServicesError(
            f"Port {port} needs root's rights. Choose one above 1023: `nightshift up --{service}-port {port + 8000}`."
        ) from None
    except OSError:
        raise ServicesError(
            f"Port {port}, where {service} must listen, is in use by {_listener(port)}. Stop it, or choose another: "
            f"`nightshift up --{service}-port {port + 1}` (or NIGHTSHIFT_{service.upper()}_PORT={port + 1})."
        ) from None


def answers(address: str) -> bool:
    """Whether a server answers at `address` that it is healthy."""
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.HTTPError:
        return False


def require_answer(address: str, variable: str) -> None:
    """Raise ServicesError when a server elsewhere, which `variable` names, does not answer."""
    if not answers(address):
        raise ServicesError(
            f"The server that {variable} names does not answer at {address}. Start it, correct {variable}, or unset "
            "it, so that `nightshift up` starts one here."
        )


def _listener(port: int) -> str:
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"process {one.pid} ({' '.join(psutil.Process(one.pid).cmdline())[:100]})"
    except psutil.Error:
        pass
    return f"another user's process (as root, `ss -ltnp sport = :{port}` names it)"


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
    return Addresses(found["mlflow"], found["prefect"], tuple(found["ours"]))


def start_supervisor(wanted: Addresses) -> None:
    """Start supervisord in the background, without any service yet. Raises ServicesError."""
    if len(os.fsencode(SOCKET.absolute())) > LONGEST_SOCKET:
        raise ServicesError(
            f"{SOCKET.absolute()} is too long for the path of a socket, which has at most {LONGEST_SOCKET} bytes. "
            "Move the project to a folder with a shorter path."
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o700)
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
        Process(name, one["statename"], float(one["start"]), _megabytes(one["pid"]))
        for name, one in ((name, found[name]) for name in SERVICES if name in found)
    ]


def _megabytes(pid: int) -> int:
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
    count = _end(_flow_runs())  # while the worker and the server can still record how they end
    if is_up():
        running = [one["name"] for one in supervisor().getAllProcessInfo() if one["pid"]]
        count += len(running)
        if WORKER in running:
            supervisor().stopProcess(WORKER)
        pid = supervisor().getPID()
        supervisor().shutdown()
        _wait_for_end(pid)
    count += _end(_marked())
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


def _marked() -> Iterator[psutil.Process]:
    """Processes that this project's services started, directly or not, even if their parent has ended."""
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if one.environ().get(MARK) == str(Path.cwd()) and one.pid != os.getpid():
                yield one


def _flow_runs() -> Iterator[psutil.Process]:
    """The marked processes that run a flow, without their helper processes."""
    for one in _marked():
        with suppress(psutil.Error):
            if one.cmdline()[-1:] == ["prefect.engine"]:
                yield one


def _end(found: Iterator[psutil.Process]) -> int:
    """Tell processes to end, wait, and kill those that do not; returns how many there were."""
    told = list(found)
    for one in told:
        _signal(one.terminate)
    _, left = psutil.wait_procs(told, timeout=FLOWS_END)
    for one in left:
        _signal(one.kill)
    psutil.wait_procs(left, timeout=5)
    return len(told)


def _signal(send: Any) -> None:
    with suppress(psutil.NoSuchProcess):
        send()


def show_logs(names: Sequence[str], lines: int, *, follow: bool) -> None:
    """Show the end of the logs, and with `follow` new lines too, also after a rotation. Ends this process."""
    words = ["tail", "-n", str(lines), *(["-F"] if follow else []), *(str(log_file(name)) for name in names)]
    os.execvp("tail", words)  # noqa: S606 - fixed words
