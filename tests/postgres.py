"""A real PostgreSQL server, Debian's, on a free port of this machine; it and its data are gone at the end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stores import free_port

USER, PASSWORD = "nightshift", "a password that nobody may read"


class Postgres:
    """A running server: its programs, and its address without a database."""

    def __init__(self, programs: Path, port: int) -> None:
        self.programs, self.port = programs, port
        self.environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER,
                            "PGPASSWORD": PASSWORD}  # fmt: skip

    def make(self, database: str) -> None:
        """A new database."""
        self._run("createdb", database)

    def ask(self, database: str, query: str) -> str:
        """What `psql` answers."""
        return self._run(
            "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--dbname", database, "-c", query
        ).strip()

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        return (
            subprocess.run([self.programs / "pg_isready", "--quiet"], env=self.environment, check=False).returncode == 0
        )

    def _run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [self.programs / program, *words], env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server with one user, who has to give the password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert found, "this test needs PostgreSQL: `make system` installs it (Debian's package postgresql)"
    as_root = os.geteuid() == 0
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if as_root else {}  # it refuses to be root
    with tempfile.TemporaryDirectory(prefix="postgres-") as place:
        data, secret = Path(place, "data"), Path(place, "password")
        secret.write_text(PASSWORD)
        for path in (place, secret) if as_root else ():
            shutil.chown(path, "postgres", "postgres")
        programs, port = found[-1].parent, free_port()
        make = [programs / "initdb", "--pgdata", data, "--username", USER, "--pwfile", secret]
        make += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"]
        subprocess.run(make, cwd=place, check=True, stdout=subprocess.DEVNULL, **who)  # type: ignore[call-overload]
        words = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        server = subprocess.Popen(words, cwd=place, stderr=subprocess.DEVNULL, **who)  # type: ignore[call-overload]
        try:
            running = Postgres(programs, port)
            deadline = time.monotonic() + 60
            while not running.is_ready():
                assert server.poll() is None, "PostgreSQL ended"
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.1)
            yield running
        finally:
            server.send_signal(signal.SIGINT)  # its fast end: SIGTERM would wait for the clients
            server.wait(30)
