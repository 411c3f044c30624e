"""A project's own MLflow store follows its folder: moved, renamed, copied or restored elsewhere.

MLflow keeps the absolute addresses of a run's and a model's files. In a folder that has moved they name the old place:
nothing is found there, or, after a copy, the original's files would be read and overwritten.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.core.log import log

# Where MLflow's tables name files; model_versions.source is such an address in stores of older versions of MLflow.
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
ARTIFACTS = "mlartifacts"  # of our experiments
FOLDERS = (ARTIFACTS, "mlruns")  # directly in a project; the second is of MLflow's own experiment


def follow(database: Path) -> bool:
    """Let the store in `database`, if it is there, name the files beside it; returns whether it named others.

    Only addresses in another project's folders of artifacts change, all in one transaction; buckets and other places
    that a person chose stay. Raises sqlite3.Error.
    """
    here = database.absolute().parent
    if not database.is_file():
        return False
    with closing(sqlite3.connect(database, timeout=30)) as store, store:
        old = {root for (address,) in _experiments(store) if (root := _root(address)) and not _same(root, here)}
        for root in old:
            for folder in FOLDERS:
                for before in {(Path(root) / folder).as_uri(), f"{root}/{folder}"}:
                    after = (here / folder).as_uri() if before.startswith("file:") else str(here / folder)
                    _replace(store, before, after)
    if old:
        log.info("This project was at %s: its MLflow store now names its files here.", ", ".join(sorted(old)))
    return bool(old)


def _experiments(store: sqlite3.Connection) -> list[tuple[str | None]]:
    known = store.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone()
    return store.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall() if known else []


def _root(address: str | None) -> str | None:
    """The project whose folder of artifacts a local address names."""
    parts = urlsplit(address or "")
    if parts.scheme not in ("", "file"):
        return None
    place = Path(unquote(parts.path) if parts.scheme else parts.path)
    inside = [parent for parent in (place, *place.parents) if parent.name in FOLDERS]
    return str(inside[0].parent) if inside and place.is_absolute() else None


def _same(root: str, here: Path) -> bool:
    place = Path(root)
    return place == here or (place.exists() and place.samefile(here))


def _replace(store: sqlite3.Connection, before: str, after: str) -> None:
    for table, column in LOCATIONS:
        if store.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)).fetchone():
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - the names are ours
                f"WHERE substr({column} || '/', 1, ?) = ?",
                (after, len(before) + 1, len(before) + 1, f"{before}/"),
            )
