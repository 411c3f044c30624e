"""The third stage of automatic training: fine-tuning of the best networks, by successive halving within the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.core.log import log
from pipeline.params.file import Params
from pipeline.search.auto_result import Tried
from pipeline.search.auto_trials import Trials
from pipeline.search.candidates import HEAD, STEPS, base_of_values, recipes
from pipeline.search.embedded import in_words
from pipeline.search.rungs import KEPT, SAFETY, Costs, Rungs, plan_rungs
from pipeline.search.space import Values, with_values
from pipeline.search.speed import Speed, measure_speed, pace_of
from pipeline.training.pace import Pace

SPEED, TIMED = "speed", "timed"  # of a study: how long trainings of one network take, and which network that was
TRAINING_TIMES = 40.0  # a step takes at most so many times as long, an image, as the frozen network
STARTING = 30.0  # seconds at most to build a network and its graph
SLOWER = 1.2  # how much longer another network may take than its images/s suggest


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
    if _speed(trials, ways) is None:
        trials.note(f"Nothing was fine-tuned: {in_words(max(trials.left, 0))} were left, too few to time a training.")
        return
    while True:
        candidates = [_candidate(trials, way) for way in ways]
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
    ranked = sorted(short, key=lambda one: _rank(trials, one.short)) if short else list(candidates[:1])
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


def _rank(trials: Trials, values: Values) -> int:
    """The place among all trials; last for what was not run, or has no score."""
    ranked = [one.values for one in trials.result(0).ranked]
    return ranked.index(values) if values in ranked else len(ranked)


def _candidate(trials: Trials, way: Values) -> Candidate:
    steps = trials.params.train.fine_tune.steps or "auto"
    whole = way | {STEPS: steps}
    pace = _pace(trials, whole)
    short = way | {STEPS: max(1, pace.steps // KEPT)}
    return Candidate(short, whole, Costs(_cost(trials, short), _cost(trials, whole)))


def _cost(trials: Trials, values: Values) -> float:
    """About how many seconds a training takes, by the speed of those before; 0: it is done."""
    if trials.known(values):
        return 0.0
    base = base_of_values(values)
    speed = _scaled(trials, values)
    same = [one for one in trials.tried if one.base == base]
    head = max((one.measured["seconds"] for one in same if not one.is_tuned), default=0.0)
    # How much longer than expected the last training of this network took.
    late = [one.measured["seconds"] / (head + speed.seconds(_done(one))) for one in same if "steps" in one.measured]
    return (head + speed.seconds(_pace(trials, values))) * max(late[-1:], default=1.0)


def _done(one: Tried) -> Pace:
    """What a finished training has done."""
    return Pace(int(one.measured["steps"]), int(one.measured["judgements"]), 1)


def _speed(trials: Trials, ways: Sequence[Values]) -> Speed | None:
    """How long trainings of the first candidate's network take: measured once a study; None: no time to measure."""
    if (known := trials.study.user_attrs.get(SPEED)) is not None:
        return Speed(**known)
    params, base = _params(trials, ways[0]), base_of_values(ways[0])
    step = params.train.fine_tune.batch_size * TRAINING_TIMES / trials.measured[base].images_per_second
    if STARTING + 10 * step > trials.left:
        return None
    log.info("Timing some steps of fine-tuning of %s", base)
    found = measure_speed(params, trials.gallery.data(base, pixels=True), trials.strategy)
    trials.study.set_user_attr(SPEED, found.stored())
    trials.study.set_user_attr(TIMED, base.values)
    return found


def _scaled(trials: Trials, values: Values) -> Speed:
    """The speed of the network that was timed, scaled to another one by their images a second."""
    found, timed = Speed(**trials.study.user_attrs[SPEED]), base_of_values(trials.study.user_attrs[TIMED])
    base = base_of_values(values)
    if base == timed or timed not in trials.measured:
        return found
    times = SLOWER * trials.measured[timed].images_per_second / trials.measured[base].images_per_second
    return Speed(found.start * max(times, 1.0), found.step * times, found.judging * times)


def _pace(trials: Trials, values: Values) -> Pace:
    return pace_of(_params(trials, values), trials.gallery.splits["train"].labels, trials.gallery.splits["val"].labels)


def _params(trials: Trials, values: Values) -> Params:
    return with_values(base_of_values(values).of(trials.params), values)


def _head(one: Tried) -> Values:
    return {name: one.values[name] for name in HEAD}
