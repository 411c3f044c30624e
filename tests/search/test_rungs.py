"""Which trainings fit into the time that is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.rungs import KEPT, SAFETY, Costs, Rungs, plan_rungs

SAME = [Costs(25, 100)] * 16


@pytest.mark.parametrize(
    ("costs", "seconds", "planned"),
    [
        (SAME, SAFETY * 100 * 8, Rungs(16, 4)),
        (SAME, 10_000, Rungs(16, 4)),
        (SAME, SAFETY * 200, Rungs(4, 1)),
        (SAME, SAFETY * 200 - 1, Rungs(3, 1)),
        (SAME, SAFETY * 149, Rungs(0, 1)),
        (SAME, SAFETY * 99, Rungs(3, 0)),
        (SAME, 20, Rungs(0, 0)),
        ([], 1000, Rungs(0, 0)),
        ([Costs(0, 100)] * 4 + [Costs(25, 100)] * 4, SAFETY * 250, Rungs(7, 1)),
        ([Costs(25, 0), Costs(25, 100)], SAFETY * 60, Rungs(2, 0)),
        ([Costs(0, 0)] * 4, 0, Rungs(4, 1)),
    ],
    ids=["all", "more than all", "four", "three", "one, whole", "short ones only", "none", "no candidate", "some done",
         "first one done", "all done"],
)  # fmt: skip
def test_as_many_candidates_as_there_is_time_for(costs: list[Costs], seconds: float, planned: Rungs) -> None:
    assert plan_rungs(costs, seconds) == planned


@given(
    costs=st.lists(st.builds(Costs, st.floats(0, 100), st.floats(0, 400)), max_size=20), seconds=st.floats(0, 5000),
)  # fmt: skip
def test_whichever_candidates_are_the_best_all_ends_in_time(costs: list[Costs], seconds: float) -> None:
    planned = plan_rungs(costs, seconds)
    if planned.short:
        dearest = sorted((cost.whole for cost in costs[: planned.short]), reverse=True)[: planned.whole]
    else:
        dearest = [cost.whole for cost in costs[: planned.whole]]
    assert SAFETY * (sum(cost.short for cost in costs[: planned.short]) + sum(dearest)) <= seconds + 1e-6
    assert planned.short <= len(costs)
    assert planned.whole <= max(1, planned.short // KEPT)
