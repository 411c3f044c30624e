"""Ranges of a search: what they become, and what is said of those that make no sense."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pipeline.params.file import Params, ParamsError, load_params
from pipeline.params.model import Range
from pipeline.search.space import Mode, rounded, searched, value_of, with_values, without_part
from tests.fixtures.project import REPOSITORY

RATE = {"train.head.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


def params_with(ranges: dict[str, Any], tmp_path: Path, **changes: Any) -> Params:
    """The shipped parameters with other ranges, read from a file as a person's are."""
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["tune"]["ranges"] = ranges
    for section, of_section in changes.items():
        values[section] |= of_section
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("mode", ["head", "fine_tune", "scratch"])
def test_the_shipped_ranges_serve_every_kind_of_trial(defaults: Params, mode: Mode) -> None:
    space = searched(defaults, mode)
    assert space
    assert set(space) | set(without_part(defaults, mode)) == set(defaults.tune.ranges)


def test_a_range_becomes_the_distribution_that_the_parameters_type_asks_for(tmp_path: Path) -> None:
    ranges = {
        **RATE,
        "train.head.batch_size": {"low": 16, "high": 128, "log": True},
        "train.head.patience": {"low": 5, "high": 30},
        "train.head.dropout": {"low": 0, "high": 0.5},
        "train.class_weights": {"choices": ["balanced", "none"]},
        "train.fine_tune.ema": {"choices": [0.0, 0.99]},
    }
    assert searched(params_with(ranges, tmp_path), "fine_tune") == {
        "train.head.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "train.head.batch_size": IntDistribution(16, 128, log=True),
        "train.head.patience": IntDistribution(5, 30),
        "train.head.dropout": FloatDistribution(0, 0.5),
        "train.class_weights": CategoricalDistribution(["balanced", "none"]),
        "train.fine_tune.ema": CategoricalDistribution([0.0, 0.99]),
    }


NONSENSE = {
    "unknown name": ({"train.head.learning_rat": {"low": 0.1, "high": 1}}, "did you mean train.head.learning_rate?"),
    "no name at all": ({"xyz": {"low": 0.1, "high": 1}}, "give its whole name"),
    "a section": ({"train.head": {"low": 0.1, "high": 1}}, "train.head is not a valid parameter"),
    "of the images": ({"images.width": {"low": 32, "high": 64}}, "images.width cannot be searched"),
    "of what comes after": ({"train.target_precision": {"low": 0.5, "high": 1}}, "cannot be searched"),
    "whole number": ({"train.head.epochs": {"low": 1.5, "high": 3}}, "train.head.epochs is a whole number"),
    "words": ({"train.loss": {"low": 0, "high": 1}}, "train.loss is not a number; give {choices: [...]}"),
    "a switch": ({"augment.vertical_flip": {"low": 0, "high": 1}}, "augment.vertical_flip is not a number"),
    "unknown word": ({"train.loss": {"choices": ["focal", "hinge"]}}, "train.loss cannot be 'hinge'"),
    "wrong type": ({"train.head.batch_size": {"choices": [64, "big"]}}, "train.head.batch_size cannot be 'big'"),
    "beyond what it may be": ({"train.head.dropout": {"low": 0, "high": 1}}, "train.head.dropout cannot be 1.0"),
    "a rate of nothing": ({"train.head.learning_rate": {"low": 0, "high": 1}}, "learning_rate cannot be 0.0"),
    "not the present value": ({"train.head.dropout": {"low": 0.4, "high": 0.5}}, "dropout is 0.2, which is not in"),
    "not the present choice": ({"train.head.batch_size": {"choices": [16, 32]}}, "batch_size is 64, which is not in"),
    "nothing for these trials": (
        {"train.scratch.epochs": {"low": 1, "high": 50}},
        "has no parameter that these trials use",
    ),
    "upside down": ({"train.head.dropout": {"low": 0.4, "high": 0.1}}, "low 0.4 must be below high 0.1"),
    "both kinds": ({"train.head.dropout": {"low": 0, "high": 0.5, "choices": [0, 0.2]}}, "not both"),
    "neither kind": ({"train.head.dropout": {"low": 0.0}}, "write the range as {low: ..., high: ...}"),
    "one choice": ({"train.head.dropout": {"choices": [0.2]}}, "two or more different values"),
    "log from nothing": ({"train.head.dropout": {"low": 0, "high": 0.5, "log": True}}, "low must be above 0"),
    "a misspelt key": ({"train.head.dropout": {"low": 0, "hihg": 0.5}}, "did you mean high?"),
    "no range": ({"train.head.dropout": 0.5}, "tune.ranges.train.head.dropout is 0.5"),
}


@pytest.mark.parametrize(("ranges", "says"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_one_clear_error(ranges: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as raised:
        searched(params_with(ranges, tmp_path), "head")
    assert says in str(raised.value)
    assert str(raised.value).startswith("params.yaml: ") or "params.yaml: tune.ranges" in str(raised.value)
    assert "tune.ranges" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_augmentation_is_not_searched_where_its_features_are_made_before(tmp_path: Path) -> None:
    ranges = {**RATE, "augment.brightness": {"low": 0, "high": 0.3}}
    assert "augment.brightness" in searched(params_with(ranges, tmp_path), "fine_tune")
    with pytest.raises(ParamsError, match=r"augment\.\* cannot be searched while embed\.views is above 0"):
        searched(params_with(ranges, tmp_path, embed={"views": 2}), "fine_tune")
    assert "augment.brightness" not in searched(params_with(ranges, tmp_path, embed={"views": 2}), "head")


def test_other_values_are_other_parameters_and_nothing_else(defaults: Params) -> None:
    values = {"train.head.dropout": 0.5, "register.promote": "auto", "seed": 11}
    changed = with_values(defaults, values)
    assert {name: value_of(changed, name) for name in values} == values
    assert with_values(changed, {name: value_of(defaults, name) for name in values}) == defaults


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [(0.0012345, 1e-4, 1e-2, 0.00123), (0.12345, 0.12344, 1.0, 0.12344), (0.99999, 0.0, 0.9999, 0.9999), (7, 1, 9, 7)],
    ids=["three digits", "not below the range", "not above it", "whole numbers stay"],
)
def test_what_is_tried_is_short_and_within_the_range(value: Any, low: float, high: float, expected: Any) -> None:
    assert rounded(value, Range(low=low, high=high)) == expected
    assert rounded("focal", Range(choices=["focal", "cross_entropy"])) == "focal"
