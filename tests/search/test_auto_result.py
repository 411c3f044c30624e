"""Which trial is best, which are on the Pareto front, and what the page says of them."""

from typing import Any

import pytest

from flows.show_auto import lines_of, lines_of_change
from pipeline.params.file import Params
from pipeline.search.auto_page import draw_trials, rows_of, verdict
from pipeline.search.auto_result import AutoResult, Tried
from pipeline.search.candidates import AVERAGES, ENSEMBLE, FLIPS, HEAD, RATE, STEPS, base_of
from pipeline.search.space import value_of, with_values

Numbers = tuple[int, float, float]  # image size, accuracy, log loss


def tried(params: Params, number: int, size: int, accuracy: float, loss: float | None, **more: Any) -> Tried:
    """A trial of Lite0; images/s fall with the size."""
    values = base_of(params).values | {"images.width": size, "images.height": size}
    values |= {name: value_of(params, name) for name in HEAD} | more
    measured = {
        "accuracy": accuracy, "accuracy_low": accuracy - 0.05, "accuracy_high": accuracy + 0.03,
        "log_loss": loss or 0.0, "images_per_second": 100_000 / size, "megabytes": 13.4, "seconds": 60.0,
    }  # fmt: skip
    return Tried(number, values, loss, measured)


def of(params: Params, *trials: Tried) -> AutoResult:
    return AutoResult(params, trials, {}, ("efficientnet_lite2 was left out: <too slow>",), 393, 61.0)


def heads_of(params: Params, *found: Numbers) -> AutoResult:
    return of(params, *(tried(params, number, *one) for number, one in enumerate(found)))


@pytest.mark.parametrize(
    ("found", "winner", "front", "faster"),
    [
        ([(224, 0.8, 0.4)], 0, [0], []),
        ([(224, 0.8, 0.4), (160, 0.7, 0.5)], 0, [1, 0], [1]),
        ([(224, 0.8, 0.4), (160, 0.9, 0.3)], 1, [1], []),
        ([(224, 0.8, 0.4), (160, 0.7, 0.5), (160, 0.75, 0.45), (192, 0.72, 0.44)], 0, [2, 0], [2]),
        ([(224, 0.8, 0.4), (160, 0.8, 0.4)], 0, [1], [1]),
        ([(224, 0.8, 0.5), (240, 0.79, 0.4)], 1, [0], [0]),
    ],
    ids=["one", "faster and worse", "faster and better", "dominated", "equal", "best by loss, not by accuracy"],
)
def test_the_front_has_what_none_beats_in_both(
    found: list[Numbers], winner: int, front: list[int], faster: list[int], defaults: Params
) -> None:
    result = heads_of(defaults, *found)
    assert result.winner.number == winner
    assert [one.number for one in result.front] == front
    assert [one.number for one in result.faster] == faster


def test_of_an_accuracy_the_highest_is_best(defaults: Params) -> None:
    by_accuracy = with_values(defaults, {"tune.metric": "val_accuracy"})
    result = of(
        by_accuracy, *(tried(by_accuracy, number, 224, score, score) for number, score in enumerate((0.7, 0.9)))
    )
    assert result.winner.number == 1


def test_a_loss_that_is_no_number_is_never_best_and_is_listed_last(defaults: Params) -> None:
    result = of(defaults, tried(defaults, 0, 224, 0.0, None), tried(defaults, 1, 224, 0.8, 0.4))
    assert result.winner.number == 1
    assert [row.trial.number for row in rows_of(result)] == [1, 0]
    draw_trials(result).canvas.draw()


def test_without_fine_tuning_it_stays_as_it_is_and_else_a_better_head_turns_it_off(defaults: Params) -> None:
    head, tuned = tried(defaults, 0, 224, 0.9, 0.3), tried(defaults, 1, 224, 0.8, 0.4, **tuned_values(defaults, 57))
    assert STEPS not in of(defaults, head).values_of(head)
    assert of(defaults, head, tuned).values_of(head)[STEPS] == 0
    assert of(defaults, head, tuned).values_of(tuned)[STEPS] == 57
    with_views = with_values(defaults, {"embed.views": 2})
    assert of(with_views, head).values_of(head)["embed.views"] == 0


def tuned_values(params: Params, steps: object) -> dict[str, Any]:
    names = ("augment.mix_up", "augment.random_erasing", "augment.brightness", "augment.contrast")
    return {STEPS: steps, RATE: value_of(params, RATE)} | {name: value_of(params, name) for name in names}


def average(before: Tried, number: int, gain: float, **more: Any) -> Tried:
    """An average that was compared with the trial before, with a standard error of 0.01."""
    assert before.score is not None
    measured = {**before.measured, "gain": gain, "gain_error": 0.01, "images_per_second": before.images_per_second / 2}
    return Tried(number, before.values | more, before.score - gain, measured)


@pytest.mark.parametrize(
    ("gains", "winner", "taken"),
    [
        ((), 0, (False, 1)),
        ((0.02,), 1, (True, 1)),
        ((0.005,), 0, (False, 1)),
        ((0.02, 0.03), 2, (True, 2)),
        ((0.02, 0.009), 1, (True, 1)),
        ((-0.02, 0.03), 2, (False, 2)),
    ],
    ids=["none", "flips pay", "within the error", "both pay", "flips alone pay", "two networks alone pay"],
)
def test_an_average_is_taken_where_it_is_better_by_more_than_a_standard_error(
    gains: tuple[float, ...], winner: int, taken: tuple[bool, int], defaults: Params
) -> None:
    best = tried(defaults, 0, 224, 0.85, 0.4, **tuned_values(defaults, 57))
    trials = [best]
    for gain, (name, value) in zip(gains, AVERAGES.items(), strict=False):
        before = trials[-1] if len(trials) == 1 or trials[-1].pays else best
        trials.append(average(before, len(trials), gain, **{name: value}))
    found = of(defaults, *trials, tried(defaults, 9, 240, 0.8, 0.5))
    assert [one.number for one in found.averages] == list(range(1, len(trials)))
    assert (found.best_alone.number, found.winner.number, found.tuned) == (0, winner, 1)
    values = found.values_of(found.winner)
    assert (values[FLIPS], values[ENSEMBLE]) == taken
    said = " ".join(verdict(found))
    assert said.count("It pays, and is used.") == sum(one.pays for one in trials[1:])
    assert said.count("It does not pay") == sum(not one.pays for one in trials[1:])
    assert ("register.gate.max_slowdown allows 2 times" in said) == (winner > 0)
    if gains == (0.02, 0.009):
        assert "Mean of 2 networks, test-time flips (trial 2): log loss better by 0.0090, with a standard error" in said
        assert "at 112 images/s instead of 223." in said
    draw_trials(found).canvas.draw()


def test_the_parameters_before_the_search_are_its_longest_training_of_them(defaults: Params) -> None:
    head = tried(defaults, 0, 224, 0.8, 0.4)
    other = tried(defaults, 1, 240, 0.9, 0.3)
    tuned = tried(defaults, 2, 224, 0.85, 0.35, **tuned_values(defaults, 57))
    assert of(defaults, other).present is None
    assert of(defaults, head, other).present == head
    assert of(defaults, head, other, tuned).present == tuned


def test_the_verdict_comes_first_with_interval_speed_and_the_command_for_the_faster_one(defaults: Params) -> None:
    result = heads_of(defaults, (224, 0.8, 0.4), (160, 0.7, 0.5), (240, 0.85, 0.3))
    first, before, last = verdict(result)
    assert first.startswith("Trial 2 is the best: efficientnet_lite0, 240 px, head: ")
    assert "accuracy 0.850 [0.800, 0.880], log loss 0.300, 417 images/s" in first
    assert before.startswith("The parameters before the search (trial 0: ")
    assert "Nothing was fine-tuned" in last
    said = "\n".join(lines_of(result, {"images.width": (224, 240)}))
    assert "Faster: efficientnet_lite0, 160 px, 625 images/s at an accuracy of 0.700: nightshift tune --take 1" in said
    assert said.endswith("params.yaml: images.width: 224 -> 240\nNext: nightshift train")
    assert lines_of_change({}) == ["params.yaml stays as it is: it has these values already."]
    assert "--no-write" in lines_of_change(None)[0]


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_the_picture_is_drawn_of_any_number_of_trials(count: int, defaults: Params) -> None:
    found = [(64 + 8 * number, 0.6 + 0.01 * number, 0.9 - 0.01 * number) for number in range(count)]
    draw_trials(heads_of(defaults, *found)).canvas.draw()
