"""MLflow's own servers over a project's store: the one that serves a model, and the one with the pages."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.project import environment

START_SECONDS = 120


@contextlib.contextmanager
def mlflow_server(project: Path, *words: str, check: str) -> Iterator[str]:
    """`mlflow WORDS` on a free port of this machine until the block ends; its address, once `check` answers there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)],
        cwd=project,
        env=environment(MLFLOW_TRACKING_URI="sqlite:///mlflow.db", MLFLOW_DISABLE_TELEMETRY="true"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}{check}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def answer_of_server(project: Path, images: list[bytes]) -> list[dict[str, Any]]:
    """Serve the champion, send the encoded images in one request, stop; one answer an image."""
    words = ["models", "serve", "--model-uri", "models:/nightshift@champion", "--env-manager", "local"]
    with mlflow_server(project, *words, check="/ping") as address:
        rows = [[base64.b64encode(image).decode()] for image in images]
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
        request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answers: list[dict[str, Any]] = json.load(reply)["predictions"]
            return answers


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers, dies, or its time is up."""
    for _ in range(START_SECONDS * 2):
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(address, timeout=2).close()
            return
        assert server.poll() is None, "the server ended"
        time.sleep(0.5)
    raise AssertionError("the server did not start")
