"""Successive halving under a deadline: which trainings to begin, so that none ends too late. Knows only numbers.

A quarter of the steps for many, all steps for the best quarter of them (Jamieson and Talwalkar, Non-stochastic Best Arm
Identification and Hyperparameter Optimization, 2016). Each training has its whole schedule of the learning rate, so a
short one is a model as good as its steps allow, and is not continued: a rate that has not fallen yet says little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

KEPT = 4  # one of so many goes on; a short training has this share of the steps
SAFETY = 1.1  # times the estimated seconds


@dataclass(frozen=True, slots=True)
class Costs:
    """Estimated seconds of one candidate's two trainings; 0: it is done."""

    short: float
    whole: float


@dataclass(frozen=True, slots=True)
class Rungs:
    """So many candidates, the first ones, get a short training; so many, the best of them, a whole one."""

    short: int
    whole: int


def plan_rungs(costs: Sequence[Costs], seconds: float) -> Rungs:
    """The most candidates whose trainings end within `seconds`, whichever of them are the best.

    One candidate alone gets its whole training at once. Where none has time for it: short ones, as many as there is
    time for.
    """
    for count in range(len(costs), 1, -1):
        whole = max(1, count // KEPT)
        if SAFETY * (_short(costs, count) + _dearest(costs, count, whole)) <= seconds:
            return Rungs(count, whole)
    if costs and 0 < SAFETY * costs[0].whole <= seconds:
        return Rungs(0, 1)
    count = max((n for n in range(1, len(costs) + 1) if SAFETY * _short(costs, n) <= seconds), default=0)
    return Rungs(count, 0)


def _short(costs: Sequence[Costs], count: int) -> float:
    return sum(cost.short for cost in costs[:count])


def _dearest(costs: Sequence[Costs], count: int, whole: int) -> float:
    return sum(sorted((cost.whole for cost in costs[:count]), reverse=True)[:whole])
