"""A group of images on which the model is worse is found, and chance is not taken for one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from pipeline.core.errors import NightshiftError
from pipeline.evaluation.slices import SLICE_COLUMNS, holm, measure_slices, p_worse, slice_columns, slices_of
from tests.fixtures.evaluations import PARAMS, judge, right_or_wrong, tables

IMAGES = 400


def columns(rng: np.random.Generator, count: int = IMAGES) -> pd.DataFrame:
    """As a test table has them: numbers, and words of which some are rare."""
    return pd.DataFrame(
        {
            "brightness": rng.normal(100, 30, count),
            "sharpness": rng.lognormal(3, 1, count),
            "site": rng.choice(["north", "south", "east"], count),
            "operator": rng.choice(list("ABCDEFGH"), count),
        }
    )


def flagged(table: pd.DataFrame, correct: Any, groups: Any = None) -> list[tuple[str, str]]:
    found = measure_slices(table, right_or_wrong(correct, groups), PARAMS)
    return [(row.column, row.value) for row in found[found["worse"]].itertuples()]  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_bad_slice_is_flagged_and_stands_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = columns(rng)
    correct = rng.random(IMAGES) < np.where(table["site"] == "north", 0.6, 0.92)
    found = measure_slices(table, right_or_wrong(correct), PARAMS)
    assert found["worse"].iloc[0]
    assert (found["column"].iloc[0], found["value"].iloc[0]) == ("site", "north")
    assert found["images"].iloc[0] == (table["site"] == "north").sum()
    assert found["accuracy"].iloc[0] == pytest.approx(correct[table["site"] == "north"].mean())


def test_a_planted_range_of_numbers_is_flagged() -> None:
    rng = np.random.default_rng(0)
    table = columns(rng)
    dark = table["brightness"] < table["brightness"].quantile(0.25)
    assert [name for name, _ in flagged(table, rng.random(IMAGES) < np.where(dark, 0.5, 0.95))] == ["brightness"]


def test_noise_is_hardly_ever_flagged() -> None:
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        alarms += bool(flagged(columns(rng), rng.random(IMAGES) < 0.85))
    assert alarms <= 8  # at 5 %, more than 8 of 100 come in 6 of 100 runs; Holm and Fisher stay below it


def test_noise_of_whole_scenes_is_not_taken_for_a_bad_slice() -> None:
    naive = known = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scenes = np.repeat(np.arange(IMAGES // 10), 10)  # ten images each, all right or all wrong
        table = columns(rng, IMAGES // 10).loc[scenes].reset_index(drop=True)
        correct = (rng.random(IMAGES // 10) < 0.85)[scenes]
        naive += bool(flagged(table, correct))
        known += bool(flagged(table, correct, scenes))
    assert naive >= 30, "else the scenes would not matter"
    assert known <= 8


def test_a_bad_slice_of_many_scenes_is_still_found() -> None:
    rng = np.random.default_rng(3)
    scenes = np.repeat(np.arange(200), 2)
    north = (rng.random(200) < 0.4)[scenes]
    correct = (rng.random(200) < np.where(north[::2], 0.5, 0.95))[scenes]
    assert flagged(pd.DataFrame({"site": np.where(north, "north", "south")}), correct, scenes) == [("site", "north")]


def test_the_numbers_of_a_slice_worked_by_hand() -> None:
    # Eight images of the slice: 6 right; sure are those at 0.9. The other eight: all right.
    correct = np.array([True] * 6 + [False] * 2 + [True] * 8)
    judged = right_or_wrong(correct)
    table = pd.DataFrame({"site": ["x"] * 8 + ["y"] * 8})
    params = PARAMS.model_copy(update={"smallest_slice": 8})
    row = measure_slices(table, judged, params).set_index("value").loc["x"]
    assert (row["images"], row["accuracy"], row["balanced_accuracy"]) == (8, 0.75, 0.75)
    assert (row["low"], row["high"]) == pytest.approx((0.3491, 0.9681), abs=1e-4)  # exact, 6 of 8
    assert row["unsure_share"] == 0
    one = fisher_exact([[6, 2], [8, 0]], alternative="less").pvalue
    assert row["p"] == pytest.approx(min(1, 2 * one))  # Holm: two slices, this one first
    assert not row["worse"]


def test_small_slices_and_slices_of_everything_are_left_out() -> None:
    table = pd.DataFrame({"site": ["rare"] * 5 + ["usual"] * 35, "camera": ["one"] * 40})
    found = measure_slices(table, right_or_wrong(np.arange(40) > 4), PARAMS)
    assert list(found["value"]) == ["usual"]
    nothing = measure_slices(table[["camera"]], right_or_wrong(np.arange(40) > 4), PARAMS)
    assert list(nothing.columns) == list(SLICE_COLUMNS)
    assert nothing.empty


def test_the_share_of_unsure_is_of_the_slice() -> None:
    labels = np.zeros(40, np.int64)
    judged = judge(labels, [[0.9, 0.1]] * 30 + [[0.55, 0.45]] * 10, unsure_below=0.6)
    found = measure_slices(pd.DataFrame({"site": ["x"] * 20 + ["y"] * 20}), judged, PARAMS).set_index("value")
    assert found["unsure_share"].to_dict() == {"x": 0, "y": 0.5}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        pytest.param(np.arange(100.0), ["0 to 24.75", "24.75 to 49.5", "49.5 to 74.25", "74.25 to 99"], id="numbers"),
        pytest.param([str(n) for n in range(12)], ["0 to 2.75", "2.75 to 5.5", "5.5 to 8.25", "8.25 to 11"], id="text"),
        pytest.param(["0.3333333", "1.0", "1.0"], ["1", "0.3333"], id="few numbers are values"),
        pytest.param([0.0] * 60 + [*range(1, 41)], ["0 to 15.25", "15.25 to 40"], id="most are one value"),
        pytest.param(["b", "a", "b"], ["b", "a"], id="words, the most frequent first"),
        pytest.param(["1", "2", "x"], ["1", "2", "x"], id="not all numbers"),
        pytest.param([None, None], [], id="nothing known"),
    ],
)
def test_slices_of_a_column(values: list[Any], names: list[str]) -> None:
    found = list(slices_of(pd.Series(values)))
    assert [name for name, _ in found] == names


def test_the_bins_hold_every_known_value_once() -> None:
    values = pd.Series([*np.random.default_rng(0).integers(0, 30, 200).astype(float), np.nan], dtype="Float64")
    inside = np.stack([rows for _, rows in slices_of(values)])
    assert inside.sum(axis=0).tolist() == [1] * 200 + [0]


def test_columns_are_those_that_may_tell_or_those_asked_for() -> None:
    table = tables(["a"] * 3).assign(site=["x", "y", "z"], group="g")
    chosen = list(slice_columns(table, None))
    assert chosen == [
        "pixels", "aspect", "brightness", "contrast", "sharpness", "entropy", "format", "mode", "bits", "orientation",
        "group", "site",
    ]  # fmt: skip
    assert list(slice_columns(table, ["site", "width"])) == ["site", "width"]
    assert list(slice_columns(table, None)["pixels"]) == [1200, 1230, 1260]


def test_hours_are_the_cameras_own_and_what_is_private_or_unique_is_no_slice() -> None:
    times = ["2026-11-26T03:59:59+09:00", "2026-11-26T04:00:00", "", "2026-11-26T23:10:00.25Z"]
    table = tables(["a"] * 4).assign(taken_at=times, camera=["gate", "", "gate", "door"], latitude=1.5, patient="p")
    columns = slice_columns(table, None)
    assert columns["hour"].tolist() == ["00 to 04 h", "04 to 08 h", pd.NA, "20 to 24 h"]
    assert [name for name, _ in slices_of(columns["camera"])] == ["gate", "door"]
    assert not {"taken_at", "latitude", "patient"} & {*columns}
    assert list(slice_columns(table, ["hour"])) == ["hour"]


def test_a_column_that_is_none_is_named_with_those_there_are() -> None:
    with pytest.raises(NightshiftError, match=r"evaluate.slices: 'place' is not a column.*site"):
        slice_columns(tables(["a"]).assign(site="x"), ["place"])


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([0.04], [0.04], id="one test needs no correction"),
        pytest.param([0.01, 0.04, 0.03], [0.03, 0.06, 0.06], id="steps down, never smaller than the one before"),
        pytest.param([0.5, 0.6], [1.0, 1.0], id="never above 1"),
    ],
)
def test_holm(p: list[float], corrected: list[float]) -> None:
    assert holm(np.array(p, np.float64)) == pytest.approx(corrected)


def test_scenes_of_one_image_are_images() -> None:
    correct, inside = np.array([True, False] * 20), np.arange(40) < 10
    assert p_worse(correct, inside, np.arange(40)) == p_worse(correct, inside, np.arange(40)[::-1] * 7)
