"""Services whose supervisord was killed: they run on, and nothing starts them again when they die."""

import os
from collections.abc import Iterable

import psutil

from flows.services.configuration import PID, SERVICES, SOCKET
from flows.services.processes import Process, end, flow_runs, is_flow_run, is_up, marked, megabytes

NAME = "SUPERVISOR_PROCESS_NAME"  # in the environment of a service and its children, by supervisord: which service
GRACE = 20.0  # seconds to end in an orderly way


def orphans() -> dict[str, psutil.Process]:
    """By name, the services that run without their supervisord; none while that runs."""
    if is_up():
        return {}
    found: dict[str, psutil.Process] = {}
    for one in marked():
        try:
            name = _service(one)
            if name in SERVICES and _service(one.parent()) != name and not is_flow_run(one):
                found[name] = one
        except (psutil.Error, OSError):
            continue
    return {name: found[name] for name in SERVICES if name in found}


def _service(one: psutil.Process | None) -> str:
    """Which service a process belongs to; empty for another user's, such as the system's first one."""
    try:
        return str(one.environ().get(NAME, "")) if one else ""
    except (psutil.Error, OSError):
        return ""


def as_processes(found: dict[str, psutil.Process]) -> list[Process]:
    """They, as `status` shows services."""
    return [Process(name, "RUNNING", one.create_time(), megabytes(one.pid)) for name, one in found.items()]


def replace(found: dict[str, psutil.Process]) -> list[str]:
    """End them, so that others can take their places; returns what is said of it. A flow run goes on."""
    if not found:
        return []
    runs = {one.pid for one in flow_runs()}
    runs |= {child.pid for pid in runs for child in _children(pid)}
    names = ", ".join(f"{name} (process {one.pid})" for name, one in found.items())
    lines = [f"Left by a supervisor that was killed: {names}. They are ended, and started again."]
    if runs:
        lines.append("A flow run goes on beside it.")
    # The worker first and at once: told to end in an orderly way, it would end its flow runs.
    _end([one for name, one in found.items() if name == "worker"], runs, kill=True)
    _end([one for name, one in found.items() if name != "worker"], runs)
    for leftover in (SOCKET, PID):
        leftover.unlink(missing_ok=True)
    return lines


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _end(firsts: Iterable[psutil.Process], but: set[int], *, kill: bool = False) -> None:
    """End processes and their children, but for those in `but`; `kill`: without asking them first."""
    told = [
        one
        for first in firsts
        for one in (first, *_children(first.pid))
        if one.pid not in but and one.pid != os.getpid()
    ]
    end(told, GRACE, kill=kill)
