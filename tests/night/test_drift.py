"""A night beside training: distributions that are the same, moved, or hardly any."""

import numpy as np
import pytest
from scipy import stats

from pipeline.model.reference import About, Validation
from pipeline.night.counts import feed
from pipeline.night.drift import LEAST, Distribution, Tonight, ks_p_value, of_classes
from pipeline.night.summary import Drift

QUANTILES = np.linspace(0, 1, 101)


def quantiles(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(values, QUANTILES)]


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 5.0])
def test_the_statistic_is_that_of_kolmogorov_and_smirnov(shift: float) -> None:
    rng = np.random.default_rng(1)
    usual, tonight = rng.normal(0, 1, 5000), rng.normal(shift, 1, 3000)
    distribution = Distribution(quantiles(usual))
    for part in np.array_split(tonight, 7):
        distribution.add(part)
    expected = stats.ks_2samp(usual, tonight)
    assert distribution.statistic() == pytest.approx(expected.statistic, abs=0.012), "100 quantiles tell to 1/100"
    assert distribution.mean == pytest.approx(tonight.mean())
    assert distribution.usual_mean == pytest.approx(usual.mean(), abs=0.05)


@pytest.mark.parametrize(("tonight", "statistic"), [([300.0] * 9, 0.0), ([299.0] * 9, 1.0), ([301.0] * 9, 1.0)])
def test_where_all_images_have_one_size_another_size_is_far_away(tonight: list[float], statistic: float) -> None:
    distribution = Distribution([300.0] * 101)
    distribution.add(np.array(tonight))
    assert distribution.statistic() == statistic


def test_p_values_agree_with_scipy() -> None:
    rng = np.random.default_rng(2)
    usual, tonight = rng.normal(0, 1, 400), rng.normal(0.15, 1, 500)
    expected = stats.ks_2samp(usual, tonight, method="asymp")
    assert ks_p_value(float(expected.statistic), 500, 400) == pytest.approx(expected.pvalue, rel=0.2)
    _, p_value = of_classes({"cat": 60, "dog": 40}, {"cat": 50, "dog": 70})
    assert p_value == pytest.approx(stats.chi2_contingency([[60, 40], [50, 70]], correction=False).pvalue)


def test_classes_differ_by_their_shares() -> None:
    assert of_classes({"cat": 10, "dog": 30}, {"cat": 500, "dog": 500})[0] == pytest.approx(0.25)
    assert of_classes({"cat": 10}, {"cat": 99}) == (0.0, 1.0)
    assert of_classes({"dog": 10}, {"cat": 10, "dog": 0})[0] == 1.0


def about(rng: np.random.Generator) -> About:
    measures = {name: quantiles(rng.normal(100, 10, 1000)) for name in ("brightness", "contrast", "sharpness")}
    sizes = {name: quantiles(np.full(10, 300.0)) for name in ("width", "height")}
    return About(
        neighbours=10, paths=["a"] * 900, sha256=["0"] * 900, labels=["cat"] * 900, ranges={},
        quantiles={**measures, **sizes},
        validation=Validation(
            images=400, labels={"cat": 200, "dog": 200}, answers={"cat": 200, "dog": 200}, confidence=[],
            confidence_quantiles=quantiles(rng.uniform(0.5, 1, 400)),
            outlier_score_quantiles=quantiles(rng.uniform(0, 0.2, 400)),
        ),
    )  # fmt: skip


def rows(rng: np.random.Generator, count: int, brightness: float = 100) -> list[dict[str, str]]:
    return [
        {
            "label": ("cat", "dog")[number % 2], "confidence": f"{rng.uniform(0.5, 1):.6f}",
            "outlier_score": f"{rng.uniform(0, 0.2):.4f}", "width": "300", "height": "300",
            "brightness": f"{rng.normal(brightness, 10):.4g}", "contrast": f"{rng.normal(100, 10):.4g}",
            "sharpness": f"{rng.normal(100, 10):.4g}",
        }
        for number in range(count)
    ]  # fmt: skip


def compare(rows: list[dict[str, str]], about: About, most: float) -> Drift:
    tonight = Tonight(about, most)
    feed(rows, [tonight])
    return tonight.found()


def test_a_night_like_training_has_not_drifted() -> None:
    rng = np.random.default_rng(3)
    found = compare([*rows(rng, 500), {"label": ""}], about(rng), 0.2)
    assert found.images == 500
    assert found.drifted == ()
    assert [one.measure for one in found.measures] == [
        "label", "confidence", "outlier_score", "brightness", "contrast", "sharpness", "width", "height",
    ]  # fmt: skip
    assert found.labels == {"cat": (250, 200), "dog": (250, 200)}


def test_a_darker_night_is_called_by_its_name() -> None:
    rng = np.random.default_rng(4)
    found = compare(rows(rng, 500, brightness=80), about(rng), 0.2)
    assert found.drifted == ("brightness",)
    (measure,) = [one for one in found.measures if one.measure == "brightness"]
    assert measure.tonight == pytest.approx(80, abs=2)
    assert measure.usual == pytest.approx(100, abs=2)


def test_of_a_few_images_nothing_is_said() -> None:
    rng = np.random.default_rng(5)
    assert compare(rows(rng, LEAST - 1, brightness=0), about(rng), 0.2).drifted == ()
    # So few may be dark by chance; so many are not.
    assert compare(rows(rng, LEAST, brightness=0), about(rng), 0.2).drifted == ("brightness",)


def test_answers_of_one_class_only_are_drift() -> None:
    rng = np.random.default_rng(6)
    found = compare([{**row, "label": "cat"} for row in rows(rng, 200)], about(rng), 0.2)
    assert found.drifted == ("label",)
