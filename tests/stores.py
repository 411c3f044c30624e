"""A real S3 server, moto's, in a process of its own; and what tests ask of it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def s3_server(port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The server's address and its process."""
    port = port or free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        try:
            yield address, server
        finally:
            server.kill()


def environment_of(address: str) -> dict[str, str]:
    """What leads S3 addresses to that server."""
    return {**KEYS, "AWS_ENDPOINT_URL": address}


def upload(folder: Path, address: str) -> None:
    """Every file below a folder, under the same names."""
    fs, root = fsspec.url_to_fs(address)
    for base, _, names in os.walk(folder):
        for name in names:
            file = Path(base, name)
            fs.pipe_file(f"{root}/{file.relative_to(folder).as_posix()}", file.read_bytes())
