"""The project's status on a terminal: versions of the model, the latest night, reports. Computes nothing."""

import itertools
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.artifacts import data_pages, model_pages
from flows.mlflow_pages import OF_MLFLOW_UI, address_of, model_page
from flows.show_training import training_lines
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import EVALUATION, FIGURES, MODEL, REGISTRATION_PAGE
from pipeline.core.people_tables import TableError
from pipeline.evaluation.results import read_evaluation
from pipeline.night.accuracy import read_accuracy
from pipeline.night.neighbours import MORNING
from pipeline.night.outputs import latest_night
from pipeline.night.review import PAGE as REVIEW_PAGE
from pipeline.night.review import REVIEW
from pipeline.night.review_file import read_review
from pipeline.night.rows import CORRECTION, PREDICTIONS_CSV, RowsError, of_files, read_rows
from pipeline.night.summary import summary_if_any, summary_lines
from pipeline.registry import champions, current
from pipeline.registry.decision import GATE_TAG, REFUSED
from pipeline.registry.store import Store
from pipeline.registry.succession import CHAMPION, PREVIOUS
from pipeline.registry.versions import TEST_IMAGES_TAG, Registered
from pipeline.storage.folders import folder_at
from pipeline.versions.dvc import is_evaluated

FIRST_ROWS = 5  # of the latest CSV
SHOWN_VERSIONS = 10  # the newest ones; versions with an alias are always shown


def versions_table(every: Sequence[Registered]) -> tuple[list[dict[str, str]], list[str]]:
    """The versions of a model, one row each, and notes on refused ones and the champion."""
    shown = [model for place, model in enumerate(every) if place < SHOWN_VERSIONS or model.aliases]
    rows = [
        {
            "version": str(model.version),
            "aliases": " ".join(f"@{alias}" for alias in model.aliases),
            "gate": model.tags.get(GATE_TAG, ""),
            "accuracy": model.tags.get("nightshift.accuracy", ""),
            "balanced accuracy": model.tags.get("nightshift.balanced_accuracy", ""),
            "what": model.description.partition(",")[0],
        }
        for model in shown
    ]
    notes = _other_test_images(shown)
    for model in shown:
        if model.tags.get(GATE_TAG) == REFUSED:
            notes += [f"version {model.version} was refused:", *(f"  {line}" for line in champions.reasons(model))]
    for model in shown:
        if CHAMPION in model.aliases:
            notes.append(f"version {model.version} is champion since {model.tags.get(champions.SINCE_TAG, 'long')}")
            before = next((other.version for other in every if PREVIOUS in other.aliases), None)
            notes += [f"WARNING: {words}" for words in [champions.warning(model, before)] if words]
    return rows, notes


def _other_test_images(shown: Sequence[Registered]) -> list[str]:
    """That accuracies side by side are of different images, where they are; of older versions nobody knows."""
    sets: dict[str, list[int]] = {}
    for model in shown:
        if "nightshift.accuracy" in model.tags:
            sets.setdefault(model.tags.get(TEST_IMAGES_TAG, ""), []).append(model.version)
    if len(sets) < 2:
        return []
    groups = [
        f"{'versions' if len(group) > 1 else 'version'} {', '.join(map(str, sorted(group)))}"
        f"{'' if known else ' (of an earlier release, which did not record them)'}"
        for known, group in sets.items()
    ]
    are = "may be of different" if "" in sets else "are of different"
    return [
        f"These accuracies {are} test images: {'; '.join(groups)}. The gate compares a new version with the champion "
        f"on the same images: {REGISTRATION_PAGE}"
    ]


def status_lines(every: Sequence[Registered] = ()) -> list[str]:
    """The latest CSV with its first rows, a training at work, the last one's model, reports.

    every: the registered versions.
    """
    lines = _night_lines(found) if (found := latest_night()) else []
    training = training_lines()
    lines += [*training, *_model_lines(every, is_whole=not training)]
    for page, words in data_pages():
        lines += [f"{words}:", f"  {page.absolute().as_uri()}"]
    return lines


def mlflow_lines(name: str) -> list[str]:
    """How to open the page of the model `name` in MLflow, where a version is promoted too."""
    if page := model_page(name):
        return ["MLflow:", f"  {page}"]
    # Without an activated environment, the shell does not find the bare name.
    mlflow = "mlflow" if shutil.which("mlflow") else os.path.relpath(Path(sys.executable).with_name("mlflow"))
    command = shlex.join([mlflow, "ui", "--backend-store-uri", Store.of_project().shown])
    return ["MLflow:", f"  {command}", f"  then open {address_of(OF_MLFLOW_UI, name)}"]


def _model_lines(every: Sequence[Registered], *, is_whole: bool) -> list[str]:
    """The model of the last training here: which version it is, how good, its pages.

    is_whole: no training is at work or was interrupted, which removes the last one's model.
    """
    if not current.is_here():
        if not is_whole or not EVALUATION.is_file():
            return []
        return [
            "Last training:",
            f"  none here: no model is in {MODEL}, so the files of a model in reports/ are of a training elsewhere",
        ]
    lines = [f"Last training ({MODEL}):"]
    try:
        lines.append(f"  {_which(current.version_of(every))}")
    except NightshiftError as error:
        return [*lines, f"  {error}"]
    if not is_evaluated(MODEL) or not EVALUATION.is_file():
        return [*lines, "  not evaluated yet: `nightshift train` goes on with that"]
    lines += [f"  accuracy on the test images {read_evaluation().of('accuracy')}", f"  figures in {FIGURES}"]
    for page, words in model_pages():
        lines += [f"{words}:", f"  {page.absolute().as_uri()}"]
    return lines


def _which(version: Registered | None) -> str:
    if version is None:
        return "not registered: `nightshift train` puts it before the gate"
    if version.aliases:
        return f"version {version.version}, {' '.join(f'@{alias}' for alias in version.aliases)}"
    if version.tags.get(GATE_TAG) == REFUSED:
        return f"version {version.version}, which the gate refused: no night uses it"
    return f"version {version.version}, which is not the champion: no night uses it"


def _night_lines(folder: Path) -> list[str]:
    if not (summary := summary_if_any(folder_at(folder))):
        return []
    result, lines = folder / PREDICTIONS_CSV, ["Latest predictions:"]
    lines += [f"  {line}" for line in summary_lines(summary)]
    lines += [f"  {found.sentence}"] if (found := read_accuracy(folder_at(folder), summary)) else []
    files = (folder / MORNING, result, folder / REVIEW_PAGE)
    lines += [f"  {file}" for file in files if file == result or file.is_file()]
    lines += _open_review(folder / REVIEW)
    if not result.is_file():
        return [*lines, "    (it is missing there)"]
    try:
        for row in itertools.islice(of_files(read_rows(result)), FIRST_ROWS):
            lines.append(
                f"    {row['path']}  {row['status']}  {row['label']} {row['confidence']} {row['error']}".rstrip()
            )
    except RowsError as error:
        lines.append(f"    {error}")
    return lines


def _open_review(review: Path) -> list[str]:
    """How many rows of the latest review have no correction yet."""
    if not review.is_file():
        return []
    try:
        waiting = sum(not row[CORRECTION] for row in read_review(review.read_bytes(), str(review)))
    except TableError as error:
        return [f"  {error}"]
    return [f"  {waiting} rows of {review} have no {CORRECTION} yet"] if waiting else []
