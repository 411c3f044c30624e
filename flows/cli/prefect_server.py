"""A flow that a command runs, and what its Prefect server has to do with it."""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.guard import end_together
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PARAMS

if TYPE_CHECKING:
    from pipeline.notices.messages import Message

WithPrefect = Annotated[
    bool | None,
    typer.Option(
        "--prefect/--no-prefect",
        help="Run as a Prefect flow (retries, history, a web page), or without Prefect.",
        show_default="as a flow where `nightshift up` runs or PREFECT_API_URL names a server",
    ),
]


def is_a_flow(asked: bool | None) -> bool:
    """Whether a command runs as a flow: as asked, else where `choose_server` found a server."""
    return bool(os.environ.get("PREFECT_API_URL")) or _profile_names_a_server() if asked is None else asked


def choose_server() -> None:
    """Say in the environment which Prefect server a command uses, before Prefect reads it.

    The one that PREFECT_API_URL or the person's Prefect profile names; else the one of `nightshift up`, while it runs;
    else Prefect starts one for the time of the run, which keeps its files in this project and not in the home folder.
    """
    from flows.services.configuration import HOME, SOCKET

    if os.environ.get("PREFECT_API_URL") or not PARAMS.is_file() or _profile_names_a_server():
        return
    if SOCKET.exists():
        from flows.services import orphans, processes

        # Also one whose supervisor was killed: it answers all the same.
        if (running := processes.addresses()) and (processes.is_up() or "prefect" in orphans.orphans()):
            os.environ["PREFECT_API_URL"] = f"{running.prefect}/api"
            return
    home = Path(os.environ.setdefault("PREFECT_HOME", str((HOME / "prefect").absolute())))
    # Prefect makes its folder, but not the one around it, and says why where it cannot.
    with suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)


def _profile_names_a_server() -> bool:
    home = os.environ.get("PREFECT_HOME") or Path("~/.prefect").expanduser()
    try:
        found = tomllib.loads((Path(home) / "profiles.toml").read_text(encoding="utf-8"))
        active = os.environ.get("PREFECT_PROFILE") or found.get("active", "")
        return bool(found.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))
    except (OSError, ValueError, AttributeError):  # none, or a file that Prefect itself will complain of
        return False


def _require_server() -> None:
    """Raise NightshiftError when PREFECT_API_URL names a server that does not answer, or refuses the credentials.

    Without PREFECT_API_URL, Prefect starts a server for the time of the run.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    if not (address := PREFECT_API_URL.value()):
        return
    try:
        # A plain request first: Prefect's own client would retry a server that hangs again and again.
        httpx.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise NightshiftError(
            f"The Prefect server {address} does not answer: {error}. Start it (`nightshift up`), unset PREFECT_API_URL "
            "to run without one, or add --no-prefect."
        ) from error
    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPStatusError as error:
        raise NightshiftError(
            f"The Prefect server {address} refused the request ({error.response.status_code}): PREFECT_API_AUTH_STRING "
            "must be the server's user:password (PREFECT_API_KEY for Prefect Cloud). Correct it, or add --no-prefect."
        ) from error


def require(failed: Callable[[NightshiftError], "Message"], *checks: Callable[[], object]) -> None:
    """Make `checks` before a run begins; `failed` makes the message that people get when one of them raises."""
    from pipeline.notices.send import tell

    try:
        for check in checks:
            check()
    except NightshiftError as error:
        why = error  # the name above ends with its block
        tell(lambda: failed(why))
        raise


@contextmanager
def with_server(
    failed: Callable[[NightshiftError], "Message"], possible: Callable[[], object], result: Path | None = None
) -> Iterator[None]:
    """Run a flow in this block. Raises NightshiftError when its Prefect server does not answer at the start or later.

    failed: makes the message that people then get, since the flow's own hooks cannot send one. possible: raises for a
    mistake that needs no server to be seen. result: the file that the run writes last. Prefect itself goes on without
    its server until it has to report.
    """
    require(failed, possible, _require_server)
    end_together()  # above all a server that Prefect starts for this run
    import httpx
    from prefect.settings import PREFECT_API_URL

    from pipeline.notices import when_a_run_ends

    before = result.stat().st_mtime_ns if result and result.exists() else None
    try:
        yield
    except httpx.HTTPError as error:
        done = result is not None and result.exists() and result.stat().st_mtime_ns != before
        gone = NightshiftError(
            f"The Prefect server {PREFECT_API_URL.value() or 'of this run'} stopped answering in the middle: {error}. "
            + (
                f"The run itself finished without it and wrote {result}."
                if done
                else "What is done is kept. Start the server and run the same command again, or add --no-prefect."
            )
        )
        when_a_run_ends.of_error(lambda: failed(gone), gone)
        raise gone from error
