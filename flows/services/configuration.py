"""What supervisord and the services are told: their commands, environment, addresses and files. Starts nothing.

Their files are in `.nightshift/`, which only the owner can read: configuration, socket, logs, Prefect's database.
"""

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.registry.store import LOCAL_ARTIFACTS, Store

HOME = Path(".nightshift")
CONFIGURATION, SOCKET, PID = HOME / "supervisord.conf", HOME / "supervisor.sock", HOME / "supervisord.pid"
LOGS, ADDRESSES = HOME / "logs", HOME / "addresses.json"
STOPPING = HOME / "stopping"  # there while `down` ends what runs: nobody needs a message about that
START = HOME / "start.json"  # port and token of the start page; only its owner can read it
SERVERS, REVIEW, WORKER, POOL = ("mlflow", "prefect"), "review", "worker", "nightshift"
COLLECT = "collect"  # only where params.yaml has sources
SERVICES = (*SERVERS, REVIEW, WORKER, COLLECT)
LOOPBACK = "127.0.0.1"
MARK = "NIGHTSHIFT_SERVICES"  # environment variable of all our processes and their children: the folder
HEARTBEAT = 30  # seconds between two heartbeats of a flow run; Prefect's minimum


class ServicesError(NightshiftError):
    """A service does not start, or does not answer; the message names it and shows its last log lines."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are. `up` and `down` start and stop those in `ours`, and only use the others."""

    mlflow: str
    prefect: str  # of its page; the API is below /api
    ours: tuple[str, ...]  # which of SERVERS
    review: str = ""  # of the start page, without its token; it is always ours
    collects: bool = False  # whether cameras are collected


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
        REVIEW: [*python, "flows.services.review"],
        WORKER: [*python, "flows.services.worker", "worker", "start", "--pool", POOL, "--type", "process",
                 "--name", worker_name()],
        COLLECT: [*python, "flows.cli.main", "collect"],
    }  # fmt: skip
    collect = (COLLECT,) if addresses.collects else ()
    programs = [_program(name, commands[name]) for name in (*addresses.ours, REVIEW, WORKER, *collect)]
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
