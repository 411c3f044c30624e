"""How many steps and judgements a phase has, for few images and many, and for little time."""

from itertools import pairwise

import pytest

from pipeline.params.file import Params
from pipeline.training.pace import JUDGEMENTS, WORTH_A_SCHEDULE, Pace, fine_tuning, steps_for, whole_passes


@pytest.mark.parametrize(
    ("images", "least", "most"), [(60, 100, 200), (245, 100, 250), (1838, 200, 400), (10_000, 500, 1000)]
)
def test_few_images_are_seen_often_and_the_demo_takes_minutes(images: int, least: int, most: int) -> None:
    assert least <= steps_for(images, 32) <= most


def test_more_images_never_take_fewer_steps_and_each_is_seen() -> None:
    counts = [30, 100, 245, 1_000, 1_838, 10_000, 100_000, 1_000_000]
    assert all(fewer <= more for fewer, more in pairwise(steps_for(count, 32) for count in counts))
    assert all(steps_for(count, 32) * 32 >= count for count in counts)


@pytest.mark.parametrize(("steps", "expected"), [("auto", 150), (7, 7), (0, 0), (1, 1)])
def test_steps_are_the_rules_or_the_given_number(defaults: Params, steps: int | str, expected: int) -> None:
    how = defaults.train.fine_tune.model_copy(update={"steps": steps})
    pace = fine_tuning(how, 100, 40)
    assert pace.steps == expected
    assert min(expected, JUDGEMENTS[0]) <= pace.judgements <= min(expected, JUDGEMENTS[1])
    assert fine_tuning(how, 20, 40).batch_size == 20, "a batch has no image twice"


def test_many_validation_images_are_judged_less_often(defaults: Params) -> None:
    how = defaults.train.fine_tune.model_copy(update={"steps": 300})
    found = [fine_tuning(how, 1838, judged).judgements for judged in (50, 650, 100_000)]
    assert found[0] == JUDGEMENTS[1] > found[1] > found[2] == JUDGEMENTS[0]


@pytest.mark.parametrize(("steps", "judgements"), [(300, 6), (7, 3), (10, 10)])
def test_judgements_are_spread_over_all_steps(steps: int, judgements: int) -> None:
    pace = Pace(steps, judgements, 4)
    places = [pace.until(judgement) for judgement in range(judgements + 1)]
    assert (places[0], places[-1]) == (0, steps)
    gaps = [later - earlier for earlier, later in pairwise(places)]
    assert max(gaps) - min(gaps) <= 1
    assert pace.rows_until(judgements) == 4 * steps


def test_an_epoch_is_a_pass_and_on_several_replicas_all_its_batches_are_full() -> None:
    assert whole_passes(3, 10, 4) == Pace(9, 3, 4, 10)
    assert whole_passes(3, 10, 4, together=True) == Pace(6, 3, 4, 8)
    assert whole_passes(3, 10, 64, together=True) == Pace(3, 3, 10, 10)


def test_time_that_is_enough_changes_nothing() -> None:
    pace = Pace(300, 6, 32)
    assert pace.within(300 + 6 * 5, 1.0, 5.0) == pace


@pytest.mark.parametrize("seconds", [30.0, 60.0, 120.0, 240.0, 329.0])
def test_fine_tuning_is_shortened_to_the_time_there_is(seconds: float) -> None:
    found = Pace(300, 6, 32).within(seconds, step=1.0, judging=5.0)
    assert seconds - 2 <= found.seconds(1.0, 5.0) <= seconds
    assert 1 <= found.judgements <= 6
    assert found.until(found.judgements) == found.steps, "the rate falls to nothing with the last step"


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 10.0, WORTH_A_SCHEDULE + 4.0])
def test_there_is_no_fine_tuning_of_a_few_steps(seconds: float) -> None:
    assert Pace(300, 6, 32).within(seconds, step=1.0, judging=5.0).steps == 0


@pytest.mark.parametrize(("seconds", "epochs"), [(0.0, 1), (25.0, 1), (49.0, 2), (1000.0, 30)])
def test_training_from_scratch_keeps_whole_epochs_and_one_at_least(seconds: float, epochs: int) -> None:
    found = whole_passes(30, 64, 4).within(seconds, step=1.0, judging=4.0)
    assert (found.judgements, found.steps, found.rows_until(1)) == (epochs, 16 * epochs, 64)
