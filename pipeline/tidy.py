"""Disk space: what takes it, and how to free it: old nights and their MLflow runs, old versions, cached data.

What is in use stays: champions, versions with an alias, tagged data.
"""

import datetime
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import AUTO, CHECKPOINTS, PREDICTIONS, RAW, REJECTED
from pipeline.core.text import named
from pipeline.data.label_folders import LabelError, folder_of
from pipeline.night.all_nights import write_all_nights
from pipeline.night.kept_labels import labelled
from pipeline.night.ledger import Run
from pipeline.night.rows import CORRECTION
from pipeline.night.summary import summary_if_any
from pipeline.params.file import load_params
from pipeline.registry import old_versions
from pipeline.registry.history import EXPERIMENT
from pipeline.registry.store import LOCAL_ARTIFACTS, LOCAL_STORE, Store
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from pipeline.storage.images_lock import working_on_images
from pipeline.versions import dvc

DVC_CACHE = Path(".dvc/cache")
GOING = ".deleted."
SERVICES = Path(".nightshift")  # of `nightshift up`: its logs
PREFECT = SERVICES / "prefect"  # and Prefect's history, also of flows that ran without it


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of the project, and the disk space that it takes."""

    path: Path
    bytes: int
    what: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What to delete."""

    nights: int | None = None  # folders below predictions/ that are older than so many days
    runs: int | None = None  # MLflow runs of nights that are older than so many days
    versions: int | None = None  # registered versions in no use that are older than so many days
    cache: bool = False  # cached data that no commit uses
    prepared: bool = False  # decoded pixels and features of data versions that nothing but an old commit names
    prefect: bool = False  # Prefect's history in this project


def tidy(model: str, asked: Asked, say: Callable[[str], None]) -> None:
    """Say what takes disk space, delete what is asked for, and say what that freed.

    model: the registered one. Raises LedgerError, TrackingError, VersionsError, NightshiftError.
    """
    now = datetime.datetime.now(datetime.UTC)
    sweep()
    before = taken()
    if asked == Asked():
        _list(before, say)
        for line in _cache_lines(model):
            say(line)
        return
    say(f"{_megabytes(_sum(before))} before")
    gone = False
    for folder in old_nights(asked.nights, now) if asked.nights else []:
        if why := labels_only_here(folder):
            say(f"kept {folder}: {why}")
            continue
        size = _size(folder)
        delete_night(folder)
        say(f"deleted {folder} ({_megabytes(size)})")
        gone = True
    if gone:
        write_all_nights(load_params().batch)
    if asked.runs:
        say(f"deleted {delete_runs(model, asked.runs, now, say)} nights from MLflow")
    if asked.versions:
        delete_versions(model, asked.versions, now, say)
    if asked.cache or asked.prepared:
        free_cache(model, asked, say)
    if asked.prefect:
        delete_prefect(say)
    after = taken()
    say(f"{_megabytes(_sum(after))} after, {_megabytes(_sum(before) - _sum(after))} freed")
    _list(after, say)


def _list(parts: Iterable[Taken], say: Callable[[str], None]) -> None:
    for part in parts:
        say(f"{_megabytes(part.bytes):>13}  {part.path}  ({part.what})")


def taken() -> list[Taken]:
    """What takes disk space in this project, the largest first."""
    parts = {
        PREDICTIONS: "nights: CSVs, reviews, finished shards of interrupted nights; --nights",
        LOCAL_ARTIFACTS: "MLflow: models, figures, nights' reviews; --versions, --runs",
        LOCAL_STORE: "MLflow: runs",
        DVC_CACHE: "DVC: all versions of the images and of what the stages made; --cache, --prepared",
        CHECKPOINTS: "checkpoints of an unfinished training",
        REJECTED: "images that people took out of data/raw; nothing deletes them",
        AUTO: "features of other networks, for `nightshift tune --auto`",
        SERVICES: "services: logs",
        PREFECT: "Prefect's history in this project; --prefect",
    }
    sizes = {path: _size(path) for path in parts if path.exists()}
    if PREFECT in sizes:
        sizes[SERVICES] -= sizes[PREFECT]
    return sorted((Taken(path, size, parts[path]) for path, size in sizes.items()), key=lambda one: -one.bytes)


def _sum(parts: list[Taken]) -> int:
    return sum(part.bytes for part in parts)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


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


def delete_versions(name: str, days: int, now: datetime.datetime, say: Callable[[str], None]) -> None:
    """Delete versions of model `name` older than `days` days without an alias that were never champion.

    Raises TrackingError.
    """
    old = old_versions.find_old(name, days, now)
    freed = old_versions.delete(old)
    numbers = ", ".join(str(one.version) for one in sorted(old, key=lambda one: one.version))
    say(f"deleted versions {numbers} of {name} ({_megabytes(freed)})" if old else f"no version of {name} to delete")
    if old and Store.of_project().is_server:
        say("Their files stay until somebody runs `mlflow gc` on the server.")


def free_cache(model: str, asked: Asked, say: Callable[[str], None]) -> None:
    """Delete from DVC's cache what is asked for. Raises VersionsError, TrackingError, InUse."""
    from pipeline.versions import cache

    with working_on_images("nightshift tidy"):
        spare = cache.find_spare(old_versions.data_of_used(model))
        for wanted, part, what in (
            (asked.cache, spare.unused, "that no commit, stash or experiment uses"),
            (asked.prepared, spare.made_again, "of decoded pixels and features that `dvc repro` makes again"),
        ):
            if wanted:
                cache.free(part)
                say(f"deleted {len(part.oids):,} files ({_megabytes(part.bytes)}) {what} from DVC's cache")
    for line in _unread_lines(spare.unread):
        say(line)


def _unread_lines(unread: tuple[str, ...]) -> list[str]:
    """What could not be read."""
    if not unread:
        return []
    return [
        f"{len(unread)} folders that commits name were never fetched into this cache, so their files are not known: "
        f"{named(unread)}. `nightshift data pull --rev REV` fetches the images of one."
    ]


def _cache_lines(model: str) -> list[str]:
    """What the two options about DVC's cache would free."""
    from pipeline.versions import cache

    if not DVC_CACHE.is_dir():
        return []
    try:
        spare = cache.find_spare(old_versions.data_of_used(model))
    except NightshiftError as error:
        return [f"What of DVC's cache may go is not known: {error}"]
    return [
        f"--cache would free {_megabytes(spare.unused.bytes)}, --prepared {_megabytes(spare.made_again.bytes)}",
        *_unread_lines(spare.unread),
    ]


def delete_prefect(say: Callable[[str], None]) -> None:
    """Delete Prefect's history in this project. Raises NightshiftError while its server runs."""
    if (SERVICES / "supervisor.sock").exists():
        raise NightshiftError(
            "`nightshift up` uses Prefect's history. Nothing of it was deleted: `nightshift down` first."
        )
    size = _size(PREFECT) if PREFECT.is_dir() else 0
    shutil.rmtree(PREFECT, ignore_errors=True)
    say(f"deleted Prefect's history ({_megabytes(size)})")
