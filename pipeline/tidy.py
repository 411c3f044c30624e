"""What takes room in a project, and what of it may go: old nights, their runs in MLflow, data nobody's commit names."""

import datetime
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.paths import CHECKPOINTS, PREDICTIONS
from pipeline.night.ledger import Run, held
from pipeline.night.summary import read_summary
from pipeline.registry.history import EXPERIMENT
from pipeline.registry.store import LOCAL_ARTIFACTS, LOCAL_STORE, Store
from pipeline.versions import dvc

DVC_CACHE = Path(".dvc/cache")
GOING = ".deleted."
SERVICES = Path(".nightshift")  # of `nightshift up`: its logs and Prefect's history


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of the project that grows."""

    path: Path
    bytes: int
    what: str


def tidy(model: str, nights: int | None, runs: int | None, cache: bool, say: Callable[[str], None]) -> None:
    """Delete what is older than so many days, then say what takes room.

    nights: folders below predictions/; runs: in MLflow, of the nights of `model`; cache: what no commit names.
    Raises LedgerError, TrackingError, VersionsError.
    """
    now = datetime.datetime.now(datetime.UTC)
    sweep()
    for folder in old_nights(nights, now) if nights else []:
        delete_night(folder)
        say(f"deleted {folder}")
    if runs:
        say(f"deleted {delete_runs(model, runs, now, say)} nights from MLflow")
    if cache:
        collect_cache(say)
    for part in taken():
        say(f"{part.bytes / 1e6:10,.1f} MB  {part.path}  ({part.what})")


def taken() -> list[Taken]:
    """What takes room here, the largest first."""
    parts = {
        PREDICTIONS: "nights: CSVs, reviews, books of unfinished ones",
        LOCAL_ARTIFACTS: "MLflow: models, figures, nights' reviews",
        LOCAL_STORE: "MLflow: runs",
        DVC_CACHE: "DVC: all versions of images and of what was made of them",
        CHECKPOINTS: "a training that has not ended",
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
    """Delete what an interrupted deletion has left."""
    for folder in PREDICTIONS.glob(f"{GOING}*"):
        shutil.rmtree(folder)


def old_nights(days: int, now: datetime.datetime) -> list[Path]:
    """Folders below predictions/ whose night ended, or was given up, more than `days` days ago; oldest first."""
    limit = now - datetime.timedelta(days=days)
    ended = [(when, folder) for folder in PREDICTIONS.glob("*/") if (when := _last_sign(folder)) and when < limit]
    return [folder for _, folder in sorted(ended)]


def _last_sign(folder: Path) -> datetime.datetime | None:
    """When the night in `folder` ended, or began if it never did; None where there is none."""
    if run := Run.unfinished_in(folder):
        return datetime.datetime.fromisoformat(run.plan.started_at)
    summary = read_summary(folder)
    return datetime.datetime.fromisoformat(summary.finished_at) if summary else None


def delete_night(folder: Path) -> None:
    """Delete a night's folder. Raises LedgerError where a run is at work in it."""
    with held(folder):
        pass  # nobody is there
    going = folder.with_name(f"{GOING}{folder.name}")  # so that half of it is never taken for a night
    folder.rename(going)
    shutil.rmtree(going)


def delete_runs(name: str, days: int, now: datetime.datetime, say: Callable[[str], None] = print) -> int:
    """Delete the MLflow runs of the nights of model `name` that began more than `days` days ago; returns how many.

    In a local store their files go too; on a server `mlflow gc` does that. Raises TrackingError.
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
        say("Their files stay until `mlflow gc` is run on the server.")
    elif deleted:
        where = ("--backend-store-uri", store.address, "--run-ids", ",".join(deleted))
        dvc.run_python("-m", "mlflow", "gc", *where, say=lambda _: None)
    return len(deleted)


def collect_cache(say: Callable[[str], None] = print) -> None:
    """Delete what no commit, and nothing in the folder, names from DVC's cache. Raises VersionsError."""
    dvc.run_python("-m", "dvc", "gc", "--workspace", "--all-commits", "--force", say=say)
