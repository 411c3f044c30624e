"""The last stage of automatic training: whether averages of the best trial's answers pay for what they cost.

First the mean over each image and its mirror image, which takes no training; then the mean of two networks, if there is
time to train the second. Each is compared image by image with the best so far. It pays if `tune.metric` is better by
more than one standard error.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.data.split_units import unit_numbers
from pipeline.search.auto_result import Tried
from pipeline.search.auto_trials import History, Trials, ViewLogits
from pipeline.search.candidates import ENSEMBLE, FLIPS
from pipeline.search.embedded import in_words
from pipeline.search.judging import Judged, judge
from pipeline.search.rungs import SAFETY
from pipeline.search.space import with_values
from pipeline.training.choice import difference


def average_best(trials: Trials, best: Tried, after_each: Callable[[], None]) -> None:
    """Judge the averages of the best trial that there is time for; `after_each` of them."""
    if not trials.result(0).tuned:
        trials.note("Averages were not tried: nothing was fine-tuned.")
    elif best.base not in trials.measured:
        trials.note(f"Averages were not tried: {best.base} was left out this time.")
    else:
        flips = _flips(trials, best)
        after_each()
        _two_networks(trials, best, flips if flips and flips.pays else best)
        after_each()


def _flips(trials: Trials, best: Tried) -> Tried | None:
    """The mean over each image and its mirror image; None: not tried."""
    values = best.values | {FLIPS: True}
    if why_not := "" if trials.known(values) else _no_flips(trials, best):
        trials.note(f"Test-time flips were not tried: {why_not}.")
        return None

    def fit(_: History) -> Judged:
        found = trials.answers(best.values) if best.is_tuned else _answers_of_head(trials, best)
        return _judged(trials, best, found.mean(axis=0), found[0], runs=len(found))

    return trials.attempt(best.base, values, fit)


def _no_flips(trials: Trials, best: Tried) -> str:
    if not trials.params.augment.horizontal_flip:
        return "augment.horizontal_flip is off, so left and right may not mean the same"
    if best.is_tuned:
        return _gone(trials, best)
    return _no_time(trials, trials.measured[best.base].seconds + best.measured["seconds"])


def _two_networks(trials: Trials, best: Tried, before: Tried) -> None:
    """The mean of two networks, compared with the trial before: the best one, or its flips if those pay."""
    values = before.values | {ENSEMBLE: 2}
    if why_not := "" if trials.known(values) else _no_second(trials, best):
        trials.note(f"A second network was not tried: {why_not}.")
        return
    views = 2 if FLIPS in values else 1

    def fit(history: History) -> Judged:
        both = trials.answers(best.values), trials.trained(best.values, 2, history)
        one, other = (answers[:views].mean(axis=0) for answers in both)
        return _judged(trials, best, (one + other) / 2, one, runs=2 * views, networks=2)

    trials.attempt(best.base, values, fit)
    trials.forget_training()


def _no_second(trials: Trials, best: Tried) -> str:
    if not best.is_tuned:
        return "the best trial is not fine-tuned, and the head of another seed answers much the same"
    if trials.params.train.budget_minutes:
        return "train.budget_minutes would leave each network half of its time"
    return _gone(trials, best) or _no_time(trials, SAFETY * best.measured["seconds"])


def _gone(trials: Trials, best: Tried) -> str:
    return "" if trials.has_answers(best.values) else f"the answers of trial {best.number} are no longer on disk"


def _no_time(trials: Trials, seconds: float) -> str:
    if seconds <= trials.left:
        return ""
    return f"it takes about {in_words(seconds)}, and {in_words(max(trials.left, 0))} were left"


def _answers_of_head(trials: Trials, best: Tried) -> ViewLogits:
    """The answers of a head on the frozen network, which is fitted again, to the images and to their mirror images."""
    from pipeline.training.recipe import fit_head, logits_of

    params, data = with_values(best.base.of(trials.params), best.values), trials.gallery.data(best.base)
    with trials.strategy.scope():
        fitted = fit_head(data, params.train, params.seed)
    return np.stack([fitted.val_logits, logits_of(fitted.layer, trials.gallery.mirrored(best.base))])


def _judged(
    trials: Trials, best: Tried, logits: NDArray[np.float32], before: NDArray[np.float32], runs: int, networks: int = 1
) -> Judged:
    """How good the average is, how much better than `before`, and its cost.

    logits, before: (n, classes), of the validation images; runs: of a network, for each image.
    """
    params, val, cost = trials.params, trials.gallery.splits["val"], trials.measured[best.base]
    found = judge(logits, val, params.evaluate.interval_level)
    gain = difference(logits, before, val.labels, unit_numbers(val.table), params.tune.metric)
    steps = {name: best.measured[name] for name in ("steps", "judgements") if name in best.measured}
    return Judged(
        found.metrics
        | steps
        | {
            "gain": gain.mean,
            "gain_error": gain.error,
            "images_per_second": cost.images_per_second / runs,
            "megabytes": cost.megabytes * networks,
        }
    )
