"""The third stage of automatic training: fine-tuning of the best networks, by successive halving within the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.core.log import log
from pipeline.params.file import Params
from pipeline.search.auto_result import Tried
from pipeline.search.auto_trials import Trials
from pipeline.search.candidates import HEAD, STEPS, Base, base_of_values, recipes
from pipeline.search.embedded import in_words
from pipeline.search.rungs import KEPT, SAFETY, Costs, Rungs, plan_rungs
from pipeline.search.space import Values, with_values
from pipeline.search.speed import Speed, measure_speed, pace_of
from pipeline.training.pace import Pace

TRAINING_TIMES = 40.0  # a step takes at most so many times as long, an image, as the frozen network
STARTING = 30.0  # seconds at most to build a network and its graph
SLOWER = 1.2  # how much longer another network may take than its images/s suggest


@dataclass(frozen=True, slots=True)
class Timed:
    """How long trainings of one network take now; what earlier calls measured may have been on a busier machine."""

    base: Base
    speed: Speed
    since: int  # the number of the first trial after that


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to train: with a share of the steps, and with all."""

    short: Values
    whole: Values
    costs: Costs


def fine_tune_best(trials: Trials, after_each: Callable[[], None]) -> None:
    """Train the best candidates as far as the time goes; `after_each` training."""
    before, ways = len(trials.tried), recipes(trials.params, [(one.base, _head(one)) for one in trials.best_heads()])
    ways = [way for way in ways if base_of_values(way) in trials.measured]  # the present network may be left out
    if not _is_wanted(trials, ways):
        return
    if (timed := _time(trials, ways[0])) is None:
        trials.note(f"Nothing was fine-tuned: {in_words(max(trials.left, 0))} were left, too few to time a training.")
        return
    while True:
        candidates = [_candidate(trials, way, timed) for way in ways]
        if not _train(trials, candidates, plan_rungs([one.costs for one in candidates], trials.left), after_each):
            break
    done = len(trials.tried) - before
    open_costs = [cost for one in candidates for cost in (one.costs.short, one.costs.whole) if cost]
    if open_costs and not done:
        trials.note(
            f"Nothing more was fine-tuned: {in_words(max(trials.left, 0))} were left, and the shortest training takes "
            f"about {in_words(SAFETY * min(open_costs))}."
        )
    best = trials.result(0).winner
    log.info(
        "Fine-tuning: %d trainings. The best of all trials, number %d, on %s: accuracy %.3f, log loss %.3f.",
        done, best.number, best.base, best.accuracy, best.measured["log_loss"],
    )  # fmt: skip


def _train(trials: Trials, candidates: Sequence[Candidate], rungs: Rungs, after_each: Callable[[], None]) -> bool:
    """Run what is planned and has time; whether anything was trained."""
    before = len(trials.tried)
    short = candidates[: rungs.short]
    for one in short:
        reserve = min((other.costs.whole for other in short), default=0.0) if rungs.whole else 0.0
        if one.costs.short and one.costs.short + reserve <= trials.left:
            _run(trials, one.short, one.costs.short)
            after_each()
    ranked = sorted(short, key=lambda one: _rank(trials, one.short, one.whole)) if short else list(candidates[:1])
    for one in ranked[: rungs.whole]:
        if one.costs.whole and one.costs.whole <= trials.left:
            _run(trials, one.whole, one.costs.whole)
            after_each()
    return len(trials.tried) > before


def _run(trials: Trials, values: Values, expected: float) -> None:
    params = _params(trials, values)
    log.info(
        "Trial %d: fine-tuning of %s, %d steps, learning rate %g, about %s",
        len(trials.tried), base_of_values(values), _pace(trials, values).steps, params.train.fine_tune.learning_rate,
        in_words(expected),
    )  # fmt: skip
    done = trials.training(values)
    if done.score is None:
        log.info("Trial %d: NaN loss.", done.number)
        return
    log.info(
        "Trial %d: accuracy %.3f, log loss %.3f, %s",
        done.number, done.accuracy, done.measured["log_loss"], in_words(done.measured["seconds"]),
    )  # fmt: skip


def _rank(trials: Trials, short: Values, whole: Values) -> int:
    """The better place of a candidate's trainings among all trials; last where neither was run, or has a score."""
    ranked = [one.values for one in trials.result(0).ranked]
    return min((ranked.index(values) for values in (short, whole) if values in ranked), default=len(ranked))


def _is_wanted(trials: Trials, ways: Sequence[Values]) -> bool:
    """Whether anything would be trained if there were time for all."""
    both = [_both(trials, way) for way in ways]
    if any(trials.known(short) is None and trials.known(whole) is None for short, whole in both):
        return True
    ranked = sorted(both, key=lambda one: _rank(trials, *one))
    return any(trials.known(whole) is None for _, whole in ranked[: max(1, len(both) // KEPT)])


def _both(trials: Trials, way: Values) -> tuple[Values, Values]:
    """A short and a whole training."""
    whole = way | {STEPS: trials.params.train.fine_tune.steps or "auto"}
    return way | {STEPS: max(1, _pace(trials, whole).steps // KEPT)}, whole


def _candidate(trials: Trials, way: Values, timed: Timed) -> Candidate:
    short, whole = _both(trials, way)
    cost = _cost(trials, whole, timed)
    # A short training says nothing more once the whole one is done.
    return Candidate(short, whole, Costs(_cost(trials, short, timed) if cost else 0.0, cost))


def _cost(trials: Trials, values: Values, timed: Timed) -> float:
    """About how many seconds a training takes, by the speed of those before; 0: it is done."""
    if trials.known(values):
        return 0.0
    base = base_of_values(values)
    speed = _scaled(trials, base, timed)
    same = [one for one in trials.tried if one.base == base]
    head = max((one.measured["seconds"] for one in same if not one.is_tuned), default=0.0)
    # How much longer than expected the last training of this network took.
    new = [one for one in same if one.number >= timed.since and "steps" in one.measured]
    late = [one.measured["seconds"] / (head + speed.seconds(_done(one))) for one in new]
    return (head + speed.seconds(_pace(trials, values))) * max(late[-1:], default=1.0)


def _done(one: Tried) -> Pace:
    """What a finished training has done."""
    return Pace(int(one.measured["steps"]), int(one.measured["judgements"]), 1)


def _time(trials: Trials, way: Values) -> Timed | None:
    """Measure how long trainings of a network take; None: there is no time for that."""
    params, base = _params(trials, way), base_of_values(way)
    step = params.train.fine_tune.batch_size * TRAINING_TIMES / trials.measured[base].images_per_second
    if STARTING + 10 * step > trials.left:
        return None
    log.info("Timing some steps of fine-tuning of %s", base)
    found = measure_speed(params, trials.gallery.data(base, pixels=True), trials.strategy)
    return Timed(base, found, len(trials.tried))


def _scaled(trials: Trials, base: Base, timed: Timed) -> Speed:
    """The speed of the network that was timed, scaled to another one by their images a second."""
    if base == timed.base:
        return timed.speed
    times = SLOWER * trials.measured[timed.base].images_per_second / trials.measured[base].images_per_second
    return Speed(timed.speed.start * max(times, 1.0), timed.speed.step * times, timed.speed.judging * times)


def _pace(trials: Trials, values: Values) -> Pace:
    return pace_of(_params(trials, values), trials.gallery.splits["train"].labels, trials.gallery.splits["val"].labels)


def _params(trials: Trials, values: Values) -> Params:
    return with_values(base_of_values(values).of(trials.params), values)


def _head(one: Tried) -> Values:
    return {name: one.values[name] for name in HEAD}
