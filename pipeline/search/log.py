"""A search in MLflow: a run for the search, a nested run for each trial, and a picture. Tries nothing itself.

MLflow shows what the study holds: the next search adds trials that MLflow lacks, because the store did not answer or
the process was killed. A store that does not answer causes one warning, and the search continues.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from pipeline.core.log import log
from pipeline.core.paths import PREPARED
from pipeline.data.prepared import read_dataset
from pipeline.params.file import Params
from pipeline.registry.searches import SearchRun, Trial, begun, continued
from pipeline.registry.store import Store, TrackingError
from pipeline.search.study import HISTORY, MEASURED, VALUES

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

RUN = "mlflow_run"  # of a study: its run
Draw = Callable[["Sequence[FrozenTrial]"], Figure]
FEWEST = 10  # completed trials before importances are computed


class SearchLog:
    """The MLflow run of one study; no call raises an error of the store."""

    def __init__(
        self, study: "optuna.Study", params: Params, mode: str, images: int, draw: "Draw | None" = None
    ) -> None:
        """Starts without a run. images: how many validation images all trials are compared on; draw: the picture."""
        self.study, self.params, self.mode, self.images = study, params, mode, images
        self.draw: Draw = draw or self._draw_scores
        self.run: SearchRun | None = None
        self.answers = True

    def update(self, trials: "Sequence[FrozenTrial]") -> None:
        """Add the finished trials that the store lacks."""
        self._tell(lambda: self._update(trials))

    def close(self, trials: "Sequence[FrozenTrial]") -> None:
        """Add what is missing, the picture and the best score, and say that the search has ended."""
        self.update(trials)
        self._tell(lambda: self._log_result(trials))
        self.end("FINISHED")

    def end(self, status: str) -> None:
        """Record how the search ended, as an MLflow run status."""
        if run := self.run:
            self._tell(lambda: run.end(status))

    def _tell(self, job: Callable[[], None]) -> None:
        if not self.answers:
            return
        try:
            job()
        except TrackingError as error:
            log.warning("Could not record this search in MLflow; run it again to add what is missing: %s", error)
            self.answers = False

    def _update(self, trials: "Sequence[FrozenTrial]") -> None:
        run = self.run = self.run or self._open()
        for number, trial in enumerate(trials):
            if number not in run.logged:
                run.add(_recorded(number, trial))
        run.note(len(trials), optimism(len(trials), self.images))

    def _log_result(self, trials: "Sequence[FrozenTrial]") -> None:
        scores = [trial.value for trial in trials if trial.value is not None and trial.state.name == "COMPLETE"]
        if not self.run or not scores:
            return
        best = min(scores) if self.study.direction.name == "MINIMIZE" else max(scores)
        metrics = {f"best_{self.params.tune.metric}": best, "trials_compared": len(trials)}
        self.run.log_result(metrics, self.draw(trials))

    def _draw_scores(self, trials: "Sequence[FrozenTrial]") -> Figure:
        return draw_search(trials, importances(self.study), self.params.tune.metric)

    def _open(self) -> SearchRun:
        store, name = Store.in_passing(), self.params.register_.model_name
        known = self.study.user_attrs.get(RUN)
        if known and (found := continued(store, name, known)):
            return found
        new = begun(store, name, self.study.study_name, read_dataset(PREPARED).sha256)
        self.study.set_user_attr(RUN, new.run_id)
        new.describe(self.params, self.mode)
        return new


def _recorded(number: int, trial: "FrozenTrial") -> Trial:
    """A trial of the study, as MLflow keeps it."""
    return Trial(
        number=number,
        is_complete=trial.state.name == "COMPLETE",
        score=trial.value,
        values=trial.user_attrs[VALUES],
        history=[row for _, row in trial.user_attrs[HISTORY]],
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        metrics=trial.user_attrs.get(MEASURED, {}),
    )


@contextmanager
def search_log(
    study: "optuna.Study", params: Params, mode: str, images: int, draw: "Draw | None" = None
) -> Iterator[SearchLog]:
    """The search's MLflow run for this block, resumed where there is one; the caller closes it after success.

    Otherwise it ends as killed (interrupted) or failed.
    """
    shown = SearchLog(study, params, mode, images, draw)
    try:
        yield shown
    except BaseException as error:
        shown.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise


def optimism(trials: int, images: int) -> str:
    """How far to trust the best of many trials."""
    return (
        f"{trials} trials were compared on the same {images} validation images, so the best score is optimistic. "
        "The test images, which no trial has seen, give an unbiased one."
    )


def importances(study: "optuna.Study") -> dict[str, float]:
    """How much each parameter matters for being among the best, in shares of 1; {} of too few trials.

    PED-ANOVA (Watanabe, Bansal and Hutter, 2023); fANOVA gave half of the importance to a parameter
    without effect, with 30 trials.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    scores = {trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(scores) < FEWEST:
        return {}
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def draw_search(trials: "Sequence[FrozenTrial]", shares: dict[str, float], metric: str) -> Figure:
    """Draw every trial's score and the best so far, and each parameter's importance."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    done = [(number, trial.value) for number, trial in enumerate(trials) if trial.state.name == "COMPLETE"]
    stopped = [
        (number, trial.user_attrs[HISTORY][-1][1][metric])
        for number, trial in enumerate(trials)
        if trial.state.name != "COMPLETE" and trial.user_attrs[HISTORY]
    ]
    left.plot(*_columns(done), "o", label="trial")
    left.plot(*_columns(stopped), "x", color="grey", label="stopped early")
    best: list[tuple[int, Any]] = []
    for number, score in done:
        better = min if metric == "val_loss" else max
        best.append((number, better([score, *(value for _, value in best[-1:])])))
    left.step(*_columns(best), where="post", color="black", linewidth=1, label="best so far")
    left.set(xlabel="trial", ylabel=metric, title="trials; 0: the parameters before the search")
    left.legend()
    names = list(shares)[::-1]
    right.barh(names, [shares[name] for name in names])
    right.set(xlabel="importance (share)", title="importance" if names else "too few trials for importances")
    return figure


def _columns(points: list[tuple[int, Any]]) -> tuple[list[int], list[Any]]:
    return [x for x, _ in points], [y for _, y in points]
