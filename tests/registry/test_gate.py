"""The decision as tables: what a model must be by itself, and beside the champion."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.confidence import calibration_error_ends
from pipeline.evaluation.metrics import expected_calibration_error
from pipeline.evaluation.results import Interval
from pipeline.registry.comparison import Changed, Difference, OfClass
from pipeline.registry.decision import (
    Check,
    Decision,
    earlier_tags,
    from_tags,
    limits_changed,
    to_markdown,
    to_tags,
)
from pipeline.registry.gate import Contest, Incomparable, decide
from tests.fixtures.certificates import UNCERTAIN
from tests.fixtures.contests import GATE, contest, evaluation
from tests.fixtures.evaluations import an_evaluation, judge


def missed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


@pytest.mark.parametrize(
    ("metrics", "difference", "names"),
    [
        ({}, 1e-6, []),
        (
            {"accuracy": 0.8, "balanced_accuracy": 0.7, "log_loss": 0.5, "expected_calibration_error": 0.1},
            0.001,
            [],
        ),
        ({"accuracy": 0.79}, 1e-6, ["min_accuracy"]),
        ({"balanced_accuracy": 0.5}, 1e-6, ["min_balanced_accuracy"]),
        ({"log_loss": 0.6}, 1e-6, ["max_log_loss"]),
        ({"expected_calibration_error": 0.11}, 1e-6, ["max_expected_calibration_error"]),
        ({}, 0.01, ["max_export_difference"]),
        ({"accuracy": 0.1, "log_loss": 9.0}, 0.5, ["min_accuracy", "max_log_loss", "max_export_difference"]),
        ({"accuracy": float("nan")}, 1e-6, ["min_accuracy"]),
    ],
    ids=[
        "good",
        "just good enough",
        "accuracy",
        "balanced",
        "log loss",
        "calibration",
        "export",
        "several",
        "no number",
    ],
)
def test_the_gate_names_every_limit_that_is_missed(
    metrics: dict[str, float], difference: float, names: list[str]
) -> None:
    assert missed(decide(evaluation(**metrics), difference, None, GATE, 0.95)) == names


@pytest.mark.parametrize(
    ("different", "names"),
    [
        ({}, []),
        ({"balanced_accuracy": Difference(0.88, 0.90, -0.05, 0.01)}, []),
        ({"balanced_accuracy": Difference(0.87, 0.90, -0.05, 0.01)}, ["max_loss"]),
        ({"balanced_accuracy": Difference(0.95, 0.90, 0.01, 0.09)}, []),
        ({"balanced_accuracy": Difference(0.89, 0.90, -0.02, 0), "changed": Changed(1, 9)}, ["mcnemar"]),
        ({"balanced_accuracy": Difference(0.89, 0.90, -0.02, 0), "changed": Changed(9, 1)}, []),
        ({"balanced_accuracy": Difference(0.89, 0.90, -0.02, 0), "changed": Changed(0, 5)}, []),
        ({"balanced_accuracy": Difference(0.91, 0.90, 0, 0.02), "changed": Changed(1, 9)}, []),
        ({"calibration": Difference(0.09, 0.05, 0.001, 0.08)}, ["max_calibration_loss"]),
        ({"calibration": Difference(0.09, 0.05, -0.001, 0.08)}, []),
        ({"calibration": Difference(0.08, 0.05, 0.001, 0.08)}, []),
        ({"new_speed": 100.0}, []),
        ({"new_speed": 99.0}, ["max_slowdown"]),
        ({"new_speed": 500.0}, []),
    ],
    ids=[
        "equal", "just as much worse as allowed", "more", "better", "certainly a little worse", "certainly better",
        "five images do not decide", "fewer right but better balanced", "worse calibrated", "by chance perhaps",
        "a little", "half as fast", "slower", "faster",
    ],
)  # fmt: skip
def test_beside_the_champion_a_clearly_worse_model_is_refused_and_an_equal_one_passes(
    different: dict[str, Any], names: list[str]
) -> None:
    assert missed(decide(evaluation(), 0, contest(**different), GATE, 0.95)) == names


@pytest.mark.parametrize(
    ("dog", "refused"),
    [
        (OfClass("dog", 0.80, 0.90, Changed(0, 20)), False),
        (OfClass("dog", 0.79, 0.90, Changed(0, 20)), True),
        (OfClass("dog", 0.00, 1.00, Changed(0, 5)), False),
        (OfClass("dog", 0.10, 0.80, Changed(0, 7)), True),  # p = 0.016, below 0.05 / 2 classes
        (OfClass("dog", 0.10, 0.80, Changed(0, 6)), False),  # p = 0.031
        (OfClass("dog", 0.60, 0.80, Changed(20, 24)), False),
    ],
    ids=["as much as allowed", "more", "five images", "seven", "six, and two classes", "chance"],
)
def test_no_class_is_lost_beyond_chance(dog: OfClass, refused: bool) -> None:
    cat = OfClass("cat", 0.9, 0.9, Changed(0, 0))
    decision = decide(evaluation(), 0, contest(classes=(cat, dog)), GATE, 0.95)
    assert missed(decision) == (["max_class_loss"] if refused else [])
    assert "recall of dog" in next(check.found for check in decision.checks if check.name == "max_class_loss")


def test_a_class_that_is_lost_is_named_even_beside_one_that_only_chance_lowered() -> None:
    chance, lost = OfClass("cat", 0.0, 1.0, Changed(0, 2)), OfClass("dog", 0.5, 0.9, Changed(0, 40))
    decision = decide(evaluation(), 0, contest(classes=(chance, lost)), GATE, 0.95)
    assert "recall of dog is 0.500, the champion's 0.900" in "".join(decision.reasons)


@pytest.mark.parametrize(
    ("error", "passed", "noted"),
    [
        (Interval(value=0.09, low=0.0, high=0.2), True, False),
        (Interval(value=0.1004, low=0.02, high=0.2), True, True),
        (Interval(value=0.3, low=0.1, high=0.5), True, True),
        (Interval(value=0.3, low=0.1001, high=0.5), False, False),
        (Interval(value=0.3), True, True),
        (Interval(value=0.09), True, False),
    ],
    ids=["below", "above by chance perhaps", "the limit is an end", "above", "too few images", "too few, and below"],
)
def test_an_error_that_chance_raises_refuses_only_beyond_chance(error: Interval, passed: bool, noted: bool) -> None:
    numbers = {**evaluation().metrics, "expected_calibration_error": error}
    decision = decide(an_evaluation(**numbers), 0, None, GATE, 0.95)
    assert missed(decision) == ([] if passed else ["max_expected_calibration_error"])
    assert bool(decision.notes) == noted
    assert from_tags(to_tags(decision, GATE)) == decision


@pytest.mark.parametrize(("too_sure", "refused"), [(0.0, 0), (0.6, 20)])
def test_thirty_images_refuse_a_badly_calibrated_model_and_no_well_calibrated_one(
    too_sure: float, refused: int
) -> None:
    """Of 20 models that are right as often as their confidence, 0.97, or so much less often."""
    decisions = []
    for seed in range(20):
        right = np.random.default_rng(seed).random(30) < 0.97 - too_sure
        answers = judge(np.where(right, 0, 1), np.tile([0.97, 0.03], (30, 1))).answers
        ends = calibration_error_ends(answers, np.arange(30), 200, 0.95, seed)
        assert ends
        value = expected_calibration_error(answers.labels, answers.probabilities)
        error = Interval(value=value, low=ends[0], high=ends[1])
        numbers = {**evaluation().metrics, "expected_calibration_error": error}
        decisions.append(decide(an_evaluation(**numbers), 0, None, GATE, 0.95))
    assert sum(not decision.passed for decision in decisions) == refused


def test_a_value_and_its_limit_are_never_the_same_digits_where_they_differ() -> None:
    error = Interval(value=0.1003, low=0.1001, high=0.4)
    numbers = {**evaluation(accuracy=0.7997).metrics, "expected_calibration_error": error}
    against = contest(
        new_speed=99.9, balanced_accuracy=Difference(0.8799, 0.9, -0.05, 0.01),
        calibration=Difference(0.08004, 0.05, 0.0002, 0.08), classes=(OfClass("cat", 0.5998, 0.7, Changed(0, 40)),),
    )  # fmt: skip
    reasons = decide(an_evaluation(**numbers), 0.001004, against, GATE, 0.95).reasons
    expected = (
        "min_accuracy: accuracy on the test images is 0.7997; asked for: at least 0.8",
        "is 0.1003 [0.1001, 0.400]; asked for: at most 0.1, or within chance",
        "by 0.001004 in a class probability; asked for: at most 0.001",
        "(difference -0.0201 [",
        "(difference -0.1002; ",
        "(difference +0.03004 [+0.0002, +0.080])",
        "2.002 times slower; asked for: at most 2 times slower",
    )
    assert [words for words, reason in zip(expected, reasons, strict=True) if words not in reason] == []


def test_what_was_left_out_is_said() -> None:
    against = decide(evaluation(), 0, contest(seen=12, unreadable=1, units=80), GATE, 0.95).against
    assert against == (
        "version 3, on the same 200 test images of 80 groups; 12 that it was trained on are left out; "
        "1 that it cannot read are left out"
    )


def test_a_champion_that_cannot_be_compared_leaves_the_choice_to_a_person() -> None:
    decision = decide(evaluation(), 0, Incomparable(3, "its classes differ; added: owl"), GATE, 0.95)
    assert decision.passed
    assert "its classes differ; added: owl" in decision.needs_a_person
    assert not decide(evaluation(), 0, None, GATE, 0.95).needs_a_person
    assert not decide(evaluation(), 0, contest(), GATE, 0.95).needs_a_person
    assert missed(decide(evaluation(accuracy=0.1), 0, Incomparable(3, "x"), GATE, 0.95)) == ["min_accuracy"]


@pytest.mark.parametrize(
    "champion",
    [None, Incomparable(3, "added: a; b: c"), contest(), contest(new_speed=1.0, changed=Changed(0, 30))],
    ids=["first", "incomparable", "passed", "refused"],
)
def test_a_decision_comes_back_from_its_tags(champion: Contest | Incomparable | None) -> None:
    decision = decide(evaluation(accuracy=0.81), 1e-7, champion, GATE, 0.95)
    tags = to_tags(decision, GATE)
    assert from_tags({**tags, "nightshift.contract": "x"}) == decision
    assert tags["nightshift.gate"] == decision.verdict == ("passed" if decision.passed else "refused")
    assert len(tags) == 2
    assert all(len(value) < 5000 for value in tags.values()), "the limit of older databases of MLflow"
    assert not limits_changed(tags, GATE)
    assert limits_changed(tags, GATE.model_copy(update={"max_loss": 0.5}))


def test_a_decision_of_an_earlier_release_is_read() -> None:
    tags = {
        "nightshift.gate": "refused",
        "nightshift.gate.max_loss": "refused: balanced accuracy is 0.5: lower; asked for: a loss of at most 0.02",
        "nightshift.gate.mcnemar": "passed: accuracy is 0.8; asked for: no loss",
        "nightshift.gate_against": "version 1",
        "nightshift.certificate": "Not certified.",
        "nightshift.gate_limits": json.dumps(GATE.model_dump()),
    }
    checks = (
        Check("max_loss", False, "balanced accuracy is 0.5: lower", "a loss of at most 0.02"),
        Check("mcnemar", True, "accuracy is 0.8", "no loss"),
    )
    assert from_tags(tags) == Decision(checks, "version 1", "", "Not certified.")
    assert not limits_changed(tags, GATE)
    assert limits_changed(tags, GATE.model_copy(update={"max_loss": 0.5}))
    assert set(earlier_tags({**tags, "nightshift.contract": "x"})) == set(tags) - {"nightshift.gate"}


def test_whether_the_threshold_is_certified_is_part_of_the_decision() -> None:
    decision = replace(decide(evaluation(), 0, None, GATE, 0.95), certificate=UNCERTAIN.words)
    assert decision.passed
    assert from_tags(to_tags(decision, GATE)) == decision
    assert f"\n{UNCERTAIN.words}\n" in to_markdown(decision)


def test_a_version_without_the_gates_tags_has_no_decision() -> None:
    assert from_tags({"nightshift.contract": "x"}) is None
