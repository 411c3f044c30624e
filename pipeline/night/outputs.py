"""The folder of a night whose OUTPUT nobody names: that of the unfinished run, else a free one of today; the command
that goes on with one.
"""

import datetime
import os
import shlex
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.core.text import shown
from pipeline.night.at_work import listing_over
from pipeline.night.ledger import WORK, Run, RunPlan
from pipeline.night.summary import SUMMARY, summary_if_any
from pipeline.params.file import load_params
from pipeline.storage.folders import Folder, folder_at

LIVE = "collect-"  # begins the name of the folder of a day whose pictures were classified as they came
PHOTOS = "photos"  # the folder of images where nobody names one


def folder_for(source: Folder, suffix: str = "", model: str | None = None) -> Path:
    """The output folder of a run over `source` without a named one: that of an unfinished run, else today's.

    suffix: what the folder's name has after the date; model: the registered model's name, None for that of params.yaml.
    A folder with the night of another source or model is never taken: the next free name ends in -2, -3, ... That of a
    night that still lists `source` is taken, and its lock then keeps this run away.
    """
    model = model or _usual_model()
    if unfinished := unfinished_over(source, PREDICTIONS, model) or [*listing_over(source)]:
        return max(unfinished)
    today = datetime.datetime.now().astimezone().date().isoformat()
    names = (f"{today}{suffix}", *(f"{today}{suffix}-{number}" for number in range(2, 100)))
    return next(
        (PREDICTIONS / name for name in names if _is_free(PREDICTIONS / name, source, model)), PREDICTIONS / names[0]
    )


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


def _is_free(folder: Path, source: Folder, model: str | None) -> bool:
    if run := _run_in(folder):
        return _is_of(run.plan, source, model)
    if (summary := summary_if_any(folder_at(folder))) is None:
        return True
    return source.is_at(listed_path(summary.input)) and model in (None, summary.model_name)
