"""What a network has made of images, on disk: each image goes through a network once. Computes nothing.

Half precision is enough, 2.5 KB for 1,280 numbers. It is a cache: a damaged file is made again, a full disk keeps
nothing, and a kill loses at most what was not kept yet.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.log import log

Vector = NDArray[np.float32]  # (d,)

FOLDER = Path(".nightshift/review/features")  # may be deleted


class FeatureStore:
    """The vectors (d,) by one network, by SHA-256. Each call opens the file, so any thread and process may call."""

    def __init__(self, key: str, folder: Path = FOLDER) -> None:
        """key: of the network, and of how its images become pixels."""
        self._file = folder / f"{key}.sqlite"

    def of(self, digests: Iterable[str]) -> dict[str, Vector]:
        """Those of these images that are known."""
        if not self._file.is_file():
            return {}
        asked = "SELECT sha256, vector FROM features WHERE sha256 IN (SELECT value FROM json_each(?))"
        try:
            with closing(sqlite3.connect(self._file)) as table:
                rows = table.execute(asked, (json.dumps([*digests]),)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # another thread is making it
                return {}
            # Locked for long, or the disk does not answer.
            log.warning("%s cannot be read (%s): its images go through the network again.", self._file, error)
            return {}
        except sqlite3.DatabaseError:  # damaged, as after a power cut
            self._file.unlink(missing_ok=True)
            return {}
        return {sha256: np.frombuffer(data, np.float16).astype(np.float32) for sha256, data in rows}

    def keep(self, found: Mapping[str, Vector]) -> None:
        """Keep vectors by SHA-256."""
        rows = [(sha256, vector.astype(np.float16).tobytes()) for sha256, vector in found.items()]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file)) as table, table:
                table.execute("CREATE TABLE IF NOT EXISTS features (sha256 TEXT PRIMARY KEY, vector BLOB)")
                table.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)
        except (OSError, sqlite3.Error) as error:
            log.warning("%s could not be written (%s): the next review computes it again.", self._file, error)
