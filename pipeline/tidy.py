"""Disk space: what takes it, and how to free it (old nights, their MLflow runs, cached data that no commit uses)."""

import datetime
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.cells import listed_path
from pipeline.core.paths import AUTO, CHECKPOINTS, PREDICTIONS, RAW
from pipeline.data.label_folders import LabelError, folder_of
from pipeline.night.kept_labels import labelled
from pipeline.night.ledger import Run
from pipeline.night.rows import CORRECTION
from pipeline.night.summary import summary_if_any
from pipeline.registry.history import EXPERIMENT
from pipeline.registry.store import LOCAL_ARTIFACTS, LOCAL_STORE, Store
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from pipeline.versions import dvc

DVC_CACHE = Path(".dvc/cache")
GOING = ".deleted."
SERVICES = Path(".nightshift")  # of `nightshift up`: its logs and Prefect's history


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of the project, and the disk space that it takes."""

    path: Path
    bytes: int
    what: str


def tidy(model: str, nights: int | None, runs: int | None, cache: bool, say: Callable[[str], None]) -> None:
    """Delete old data, then say what takes disk space.

    nights: delete folders below predictions/ that are older than so many days. runs: the same for the MLflow runs of
    the nights of `model`. cache: delete cached data that no commit uses.
    Raises LedgerError, TrackingError, VersionsError.
    """
    now = datetime.datetime.now(datetime.UTC)
    sweep()
    for folder in old_nights(nights, now) if nights else []:
        if why := labels_only_here(folder):
            say(f"kept {folder}: {why}")
            continue
        delete_night(folder)
        say(f"deleted {folder}")
    if runs:
        say(f"deleted {delete_runs(model, runs, now, say)} nights from MLflow")
    if cache:
        collect_cache(say)
    for part in taken():
        say(f"{part.bytes / 1e6:10,.1f} MB  {part.path}  ({part.what})")


def taken() -> list[Taken]:
    """What takes disk space in this project, the largest first."""
    parts = {
        PREDICTIONS: "nights: CSVs, reviews, finished shards of interrupted nights",
        LOCAL_ARTIFACTS: "MLflow: models, figures, nights' reviews",
        LOCAL_STORE: "MLflow: runs",
        DVC_CACHE: "DVC: all versions of the images and of what the stages made",
        CHECKPOINTS: "checkpoints of an unfinished training",
        AUTO: "features of other networks, for `nightshift tune --auto`",
        SERVICES: "services: logs, Prefect's history",
    }
    found = [Taken(path, _size(path), what) for path, what in parts.items() if path.exists()]
    return sorted(found, key=lambda one: -one.bytes)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


def sweep() -> None:
    """Delete what an interrupted deletion has left behind."""
    for folder in PREDICTIONS.glob(f"{GOING}*"):
        shutil.rmtree(folder)


def old_nights(days: int, now: datetime.datetime) -> list[Path]:
    """Folders below predictions/ whose last sign of a night is more than `days` days old; the oldest first."""
    limit = now - datetime.timedelta(days=days)
    ended = [(when, folder) for folder in PREDICTIONS.glob("*/") if (when := _last_sign(folder)) and when < limit]
    return [folder for _, folder in sorted(ended)]


def _last_sign(folder: Path) -> datetime.datetime | None:
    """When the night in `folder` ended, or began if it has not ended; None if it holds no night."""
    if run := Run.unfinished_in(folder_at(folder)):
        return datetime.datetime.fromisoformat(run.plan.started_at)
    summary = summary_if_any(folder_at(folder))
    return datetime.datetime.fromisoformat(summary.finished_at) if summary else None


def labels_only_here(folder: Path) -> str:
    """Why a night's folder must stay: a person's labels in its reviews that were never imported; empty if it may go.

    A label is imported when the image stands in data/raw/<label>/, under its name, with the same bytes.
    """
    for file, rows in labelled(folder):
        if rows is None:
            return f"{file.name} was changed by hand, and cannot be read as a review. Delete the file if it may go."
        if left := _not_imported(rows):
            return (
                f"{len(left)} labels in {file.name} are in no class of {RAW}. `nightshift data import {file}` imports "
                f"them; to give them up, empty its column {CORRECTION}."
            )
    return ""


def _not_imported(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    left = []
    for label in {row[CORRECTION].strip() for row in rows}:
        images = _files_of(label)
        for row in (row for row in rows if row[CORRECTION].strip() == label):
            name = os.fsencode(PurePosixPath(listed_path(row["path"])).name).decode("utf-8", "backslashreplace")
            same = (image for image in images if image.name == name)
            left += [] if any(sha256_of_file(image) == row["sha256"] for image in same) else [row]
    return left


def _files_of(label: str) -> list[Path]:
    try:
        folder = RAW / folder_of(label)
    except LabelError:  # no import takes it
        return []
    return [file for file in folder.rglob("*") if file.is_file()]


def delete_night(folder: Path) -> None:
    """Delete a night's folder. Raises LedgerError while a run is working in it."""
    with folder_at(folder).hold():
        pass  # no run is working in it
    going = folder.with_name(f"{GOING}{folder.name}")  # so that a half-deleted folder never counts as a night
    folder.rename(going)
    shutil.rmtree(going)


def delete_runs(name: str, days: int, now: datetime.datetime, say: Callable[[str], None] = print) -> int:
    """Delete the MLflow runs of the nights of model `name` that began more than `days` days ago; returns how many.

    In a local store this deletes their files too; on a server, `mlflow gc` does that. Raises TrackingError.
    """
    before = int((now - datetime.timedelta(days=days)).timestamp() * 1000)
    store = Store.of_project()
    with store.connected() as client:
        experiment = client.get_experiment_by_name(f"{name}-{EXPERIMENT}")
        if experiment is None:
            return 0
        deleted: list[str] = []
        while runs := client.search_runs([experiment.experiment_id], f"attributes.start_time < {before}"):
            for run in runs:
                client.delete_run(run.info.run_id)
                deleted.append(run.info.run_id)
    if deleted and store.is_server:
        say("Their files stay until somebody runs `mlflow gc` on the server.")
    elif deleted:
        where = ("--backend-store-uri", store.address, "--run-ids", ",".join(deleted))
        dvc.run_python("-m", "mlflow", "gc", *where, say=lambda _: None)
    return len(deleted)


def collect_cache(say: Callable[[str], None] = print) -> None:
    """Delete data from DVC's cache that neither a commit nor the working folder names. Raises VersionsError."""
    dvc.run_python("-m", "dvc", "gc", "--workspace", "--all-commits", "--force", say=say)
