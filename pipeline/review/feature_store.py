"""Features of images on disk, by content and network: each image goes through a network once. Computes nothing."""

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]  # (d,)

FOLDER = Path(".nightshift/review/features")  # may be deleted


class FeatureStore:
    """The features of one network, (d,) float32 for each SHA-256. For several threads; a kill loses only the last."""

    def __init__(self, key: str, folder: Path = FOLDER) -> None:
        """key: of the network, as `Backbone.key`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._alone = threading.Lock()
        self._table = sqlite3.connect(folder / f"{key}.sqlite", check_same_thread=False, timeout=30)
        self._table.execute("PRAGMA journal_mode = WAL")
        self._table.execute("CREATE TABLE IF NOT EXISTS features (sha256 TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def get(self, sha256: str) -> Vector | None:
        """The features of an image; None if they are not known."""
        with self._alone:
            found = self._table.execute("SELECT vector FROM features WHERE sha256 = ?", (sha256,)).fetchone()
        return None if found is None else np.frombuffer(found[0], np.float32)

    def add(self, features: Mapping[str, Vector] | Iterable[tuple[str, Vector]]) -> None:
        """Keep features by SHA-256."""
        rows = [(sha256, np.asarray(vector, np.float32).tobytes()) for sha256, vector in dict(features).items()]
        with self._alone, self._table:
            self._table.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)

    def close(self) -> None:
        """Let the file go."""
        with self._alone:
            self._table.close()
