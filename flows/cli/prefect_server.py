"""A flow that a command runs, and what its Prefect server has to do with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    from pipeline.notices.messages import Message

WithPrefect = Annotated[
    bool,
    typer.Option(
        "--prefect/--no-prefect", help="Run as a Prefect flow (retries, history, a web page), or without Prefect."
    ),
]


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


@contextmanager
def with_server(failed: Callable[[NightshiftError], "Message"], result: Path | None = None) -> Iterator[None]:
    """Run a flow in this block. Raises NightshiftError when its Prefect server does not answer at the start or later.

    failed: makes the message that people then get, since the flow's own hooks cannot send one. result: the file that
    the run writes last. Prefect itself goes on without its server until it has to report.
    """
    import httpx
    from prefect.settings import PREFECT_API_URL

    from pipeline.notices.send import tell

    try:
        _require_server()
    except NightshiftError as error:
        down = error  # the name above ends with its block
        tell(lambda: failed(down))
        raise
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
        tell(lambda: failed(gone))
        raise gone from error
