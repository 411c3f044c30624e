"""What a search varies, and its trials on disk: models/tune.db. Runs no trial.

All trials with the same data, ranges, other parameters and code form one study, so their scores are comparable.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipeline.backbones.weights import is_pretrained
from pipeline.core.code import code_of
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PREPARED, SEARCHES
from pipeline.data.prepared import read_dataset, read_split
from pipeline.params.file import Params
from pipeline.params.model import Monitor
from pipeline.registry.runs import flat
from pipeline.search.space import Mode, Values, searched
from pipeline.storage.files import sha256

if TYPE_CHECKING:
    import optuna

COMPARED_FROM = 5  # completed trials before the pruner compares a trial with their median
HEAD_STRIDE = 5  # epochs of a head between two reports to the pruner: each is a write to disk
HISTORY, VALUES = "history", "values"  # what is kept of a trial: (phase, row) of each epoch; what was tried
MEASURED = "measured"  # besides: numbers by name
DIVERGED = "diverged"  # of a trial with a NaN loss
UNUSED: dict[Mode, set[str]] = {  # of `train`, in trials of each mode
    "head": {"fine_tune", "scratch"},
    "fine_tune": {"scratch"},
    "scratch": {"head", "fine_tune"},
}


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched: parameters, what a trial fits, and on which images it is judged."""

    params: Params
    mode: Mode
    space: "dict[str, optuna.distributions.BaseDistribution]"
    key: str  # of all that makes trials comparable
    images: int  # of validation


def check(params: Params, fine_tune: bool) -> Mode:
    """What trials will fit. Raises NightshiftError where there is nothing to search, or a range is not valid."""
    mode: Mode = "scratch" if not is_pretrained(params.model) else "fine_tune" if fine_tune else "head"
    if mode == "fine_tune" and params.train.fine_tune.steps == 0:
        raise NightshiftError(
            "params.yaml: train.fine_tune.steps is 0, so there is no fine-tuning to search. Set it to auto, or "
            "search without --fine-tune (tune.fine_tune: false)."
        )
    searched(params, mode)
    return mode


def plan(params: Params, fine_tune: bool) -> Search:
    """What will be searched, with these parameters and the prepared images. Raises NightshiftError as `check` does."""
    mode = check(params, fine_tune)
    space = searched(params, mode)
    key = study_key(params, mode, list(space), read_dataset(PREPARED).sha256)
    return Search(params, mode, space, key, len(read_split(PREPARED, "val").labels))


def study_key(params: Params, mode: Mode, names: list[str], dataset_sha256: str) -> str:
    """Equal for trials that compare: same images, code, ranges, metric, and parameters other than those searched."""
    whole = dict.fromkeys(("seed", "images", "model", "augment", "embed", "train"), True)
    said = params.model_dump(mode="json", include={**whole, "compute": {"precision"}})
    fixed = flat({**said, "train": {name: of for name, of in said["train"].items() if name not in UNUSED[mode]}})
    for name in (*names, "train.max_gap", "train.target_precision", "train.target_confidence", "train.max_int8_loss"):
        fixed.pop(name, None)
    ranges = {name: params.tune.ranges[name].model_dump() for name in names}
    known = [mode, fixed, ranges, params.tune.metric, dataset_sha256, code_of("pipeline.embed", "pipeline.train")]
    return f"{mode}-{sha256(json.dumps(known, sort_keys=True).encode())[:16]}"


@contextmanager
def alone() -> Iterator[None]:
    """Keep other searches out of this project: none could tell a running trial from a dead one."""
    SEARCHES.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(SEARCHES.with_suffix(".db.lock"), blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise NightshiftError(
            f"Another search is running in this project (lock file {lock.lock_file}). Wait for it, or stop it."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def open_study(search: Search) -> "Iterator[optuna.Study]":
    """The study of this search, new or as it was left; poor trials are stopped early."""
    from optuna.pruners import MedianPruner

    warm_up = HEAD_STRIDE * 2 if search.mode == "head" else 0
    pruner = MedianPruner(COMPARED_FROM, n_warmup_steps=warm_up)
    with stored_study(search.key, search.params.tune.metric, pruner) as study:
        yield study


@contextmanager
def stored_study(
    key: str, metric: Monitor, pruner: "optuna.pruners.BasePruner | None" = None
) -> "Iterator[optuna.Study]":
    """The study `key`, new or as it was left. Raises NightshiftError when it cannot be read or written."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{SEARCHES}",
            study_name=key,
            load_if_exists=True,
            direction="minimize" if metric == "val_loss" else "maximize",
            pruner=pruner,
        )
        yield study
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise NightshiftError(
            f"Could not read or write the trials in {SEARCHES}: {' '.join(str(error).split())[:300]}. If the file is "
            "damaged, remove it: the search then starts again from the beginning."
        ) from error


def finished(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """Trials that ran to their end or were pruned, in their order; not those whose process was killed."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def bury_the_dead(study: "optuna.Study") -> None:
    """Mark running and waiting trials as failed: their process was killed, as only one search runs at a time."""
    from optuna.trial import TrialState

    for dead in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(dead.number, state=TrialState.FAIL)
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.tell(study.ask(), state=TrialState.FAIL)


def is_known(done: "list[optuna.trial.FrozenTrial]", values: Values) -> bool:
    """Whether these values were tried, and the trial was not pruned."""
    return any(is_whole(trial) for trial in done if trial.user_attrs[VALUES] == values)


def is_whole(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether a trial ran to its end: it has a score, or its loss was NaN."""
    return trial.state.name == "COMPLETE" or bool(trial.user_attrs.get(DIVERGED))
