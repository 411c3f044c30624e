"""The limit keeps its rate of false alarms for every number of validation images, or says which rate it keeps."""

import numpy as np
import pytest

from pipeline.model.false_alarms import limit, rank


@pytest.mark.parametrize("alarms", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("images", [1, 2, 9, 18, 19, 30, 99, 100, 153])
def test_of_all_ways_to_choose_the_new_image_at_most_the_rate_is_an_alarm(images: int, alarms: float) -> None:
    """What makes the rate hold for any distribution: each of n + 1 like images is as often the new one."""
    scores = np.random.default_rng(images).exponential(1, images + 1).astype(np.float32)
    false = 0
    for new in range(images + 1):
        above, rate = limit(np.delete(scores, new), alarms)
        false += int(scores[new] > above)
    assert false / (images + 1) <= rate + 1e-9
    assert false == rank(images, rate), "not fewer than the rate allows, either"
    assert rate == (alarms if images >= 1 / alarms - 1 else pytest.approx(1 / (images + 1)))


@pytest.mark.parametrize("images", [1, 2, 30, 153, 393, 3000])
def test_the_place_of_an_earlier_models_limit_is_that_of_its_percentile(images: int) -> None:
    scores = np.arange(images, dtype=np.float32)
    above = np.percentile(scores, 99, method="higher")
    assert rank(images, None) - 1 == (scores > above).sum() or images == 1


def test_equal_scores_raise_no_alarm() -> None:
    assert limit(np.full(40, 0.5, np.float32), 0.05) == (0.5, 0.05)
