"""Chance explains the outliers of nights like the training images, and no others."""

import numpy as np
import pytest
from scipy.stats import betabinom

from pipeline.model.false_alarms import limit, rank
from pipeline.night.outliers import p_value
from pipeline.night.summary import SURE


@pytest.mark.parametrize("validated", [1, 30, 393])
@pytest.mark.parametrize(("outliers", "images"), [(0, 0), (0, 64), (2, 2), (9, 64), (64, 64), (700, 10_000)])
def test_the_p_value_is_the_beta_binomials(outliers: int, images: int, validated: int) -> None:
    place = rank(validated, max(0.05, 1 / (validated + 1)))
    expected = betabinom.sf(outliers - 1, images, place, validated + 1 - place)
    assert p_value(outliers, images, place, validated) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_large_nights_of_the_known_kind_raise_no_alarm_though_the_limit_is_only_estimated() -> None:
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(300):
        above, rate = limit(rng.normal(0, 1, 153).astype(np.float32), 0.05)
        outliers = int((rng.normal(0, 1, 5000) > above).sum())
        alarms += p_value(outliers, 5000, rank(153, rate), 153) < SURE
    assert alarms <= 2, "a binomial test with the rate 0.05 raises an alarm on 67 of these"
