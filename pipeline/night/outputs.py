"""The folder of a night whose OUTPUT nobody names: that of the unfinished run, else a free one of today; the command
that goes on with one. A finished night keeps its folder.
"""

import datetime
import itertools
import os
import shlex
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.core.text import shown
from pipeline.night.at_work import listing_over
from pipeline.night.ledger import PLAN, WORK, Run, RunPlan
from pipeline.night.summary import SUMMARY, summary_if_any
from pipeline.params.file import load_params
from pipeline.storage.folders import Folder, folder_at
from pipeline.storage.output_lock import HOLDER, LOCK

LIVE = "collect-"  # begins the name of the folder of a day whose pictures were classified as they came
PHOTOS = "photos"  # the folder of images where nobody names one


def folder_for(source: Folder, suffix: str = "", model: str | None = None) -> Path:
    """The output folder of a run over `source` without a named one: that of an unfinished run, else a free one.

    suffix: what the folder's name has after the date; model: the registered model's name, None for that of params.yaml.
    The first free of today's names is taken, which end in -2, -3, ... after the first. The folder of a night that still
    lists `source` is taken, and its lock then keeps this run away.
    """
    model = model or _usual_model()
    if unfinished := unfinished_over(source, PREDICTIONS, model) or [*listing_over(source)]:
        return max(unfinished)
    today = datetime.datetime.now().astimezone().date().isoformat()
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    return next(folder for end in ends if _is_free(folder := PREDICTIONS / f"{today}{suffix}{end}"))


def is_in_predictions(output: Folder) -> bool:
    """Whether an output is one of the folders in this project's predictions/."""
    return output.local is not None and output.local.absolute().parent == PREDICTIONS.absolute()


def latest_night(predictions: Path = PREDICTIONS) -> Path | None:
    """The folder of the night in `predictions` that ended last; None when there is none."""
    files = sorted(predictions.glob(f"*/{SUMMARY}"), key=lambda file: file.stat().st_mtime, reverse=True)
    return next((file.parent for file in files if summary_if_any(folder_at(file.parent))), None)


def command_over(source: str, output: Folder) -> str:
    """The command that goes on with the night over `source`, as one types it in the project."""
    named = "" if is_in_predictions(output) else f" {_typed(str(output))}"
    return f"nightshift classify {_typed(source)}{named}"


def _typed(path: str) -> str:
    return shlex.quote(shown(relative(path)))


def relative(path: str) -> str:
    """An absolute path in the project from here; any other path, or an address, as it is."""
    here = os.path.relpath(path) if Path(path).is_absolute() else path
    return path if here.startswith("..") else here


def _usual_model() -> str | None:
    try:
        return load_params().register_.model_name
    except NightshiftError:  # the run itself will say what is wrong
        return None


def unfinished_over(source: Folder, parent: Path, model: str | None = None) -> list[Path]:
    """The folders in `parent` with an unfinished run over `source`, by this registered model if one is named."""
    return [folder for folder in _folders(parent) if (run := _run_in(folder)) and _is_of(run.plan, source, model)]


def _is_of(plan: RunPlan, source: Folder, model: str | None) -> bool:
    return source.is_at(plan.input) and model in (None, plan.model_name)


def _folders(parent: Path) -> list[Path]:
    return [books.parent for books in parent.glob(f"*/{WORK}")]


def _run_in(folder: Path) -> Run | None:
    try:
        return Run.unfinished_in(folder_at(folder))
    except OSError as error:
        log.warning("Passed over: %s cannot be read: %s.", folder, error.strerror)
        return None


def _is_free(folder: Path) -> bool:
    """Whether nothing is there, or only what is left of a run that planned nothing."""
    if not os.path.lexists(folder):  # nor can it be reached: the run will say why
        return True
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:  # a file, for example
        return False
    has_plan = WORK in names and (not (folder / WORK).is_dir() or (folder / WORK / PLAN).exists())
    return names <= {LOCK, HOLDER, WORK} and not has_plan
