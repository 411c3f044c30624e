"""The decision as tables: what a model must be by itself, and beside the champion."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.evaluation.results import Evaluation, Interval
from pipeline.params.register import Gate
from pipeline.registry.comparison import Changed, Comparison, Difference, OfClass
from pipeline.registry.gate import (
    Check,
    Contest,
    Decision,
    Incomparable,
    decide,
    earlier_tags,
    from_tags,
    limits_changed,
    to_markdown,
    to_tags,
)
from pipeline.registry.registration_page import page_of
from pipeline.registry.registration_result import Registration
from pipeline.registry.versions import Registered
from tests.fixtures.certificates import UNCERTAIN
from tests.fixtures.evaluations import an_evaluation

GATE = Gate(
    min_accuracy=0.8, min_balanced_accuracy=0.7, max_log_loss=0.5, max_expected_calibration_error=0.1,
    max_export_difference=0.001, max_loss=0.02, max_class_loss=0.1, max_calibration_loss=0.03, max_slowdown=2.0,
    min_compared_images=30,
)  # fmt: skip


def evaluation(
    accuracy: float = 0.9, balanced_accuracy: float = 0.9, log_loss: float = 0.2, expected_calibration_error: float = 0
) -> Evaluation:
    values = {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "log_loss": log_loss,
        "expected_calibration_error": expected_calibration_error,
    }
    return an_evaluation(**{name: Interval(value=value, low=value, high=value) for name, value in values.items()})


SAME = Difference(0.9, 0.9, -0.02, 0.02)


def contest(**different: Any) -> Contest:
    """A champion that is as good in everything, but for what is said."""
    of_contest = {name: different.pop(name) for name in ("seen", "unreadable", "new_speed") if name in different}
    parts: dict[str, Any] = {
        "images": 200,
        "units": 200,
        "accuracy": SAME,
        "balanced_accuracy": SAME,
        "calibration": Difference(0.05, 0.05, -0.01, 0.01),
        "changed": Changed(4, 4),
        "classes": (OfClass("cat", 0.9, 0.9, Changed(2, 2)), OfClass("dog", 0.9, 0.9, Changed(2, 2))),
    }
    defaults = {"version": 3, "seen": 0, "unreadable": 0, "new_speed": 200.0, "champion_speed": 200.0}
    return Contest(comparison=Comparison(**parts | different), **defaults | of_contest)


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


def test_the_page_shows_each_check_with_its_numbers_and_its_limit() -> None:
    strange = (OfClass("a|b", 0.5, 0.9, Changed(0, 40)),)
    page = to_markdown(decide(evaluation(accuracy=0.41), 0, contest(classes=strange), GATE, 0.95))
    assert page.startswith("**The gate: refused.** Compared with: version 3, on the same 200 test images.")
    assert "| min_accuracy | **refused** | accuracy on the test images is 0.410 | at least 0.8 |" in page
    assert "recall of a\\|b is 0.500" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 10
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


@pytest.mark.parametrize(
    ("new", "champion", "changed", "words"),
    [
        (0.923, 0.904, Changed(5, 4), "right, version 3 90.4 % of the same 52 images: too few to call it better."),
        (0.904, 0.923, Changed(4, 5), "too few to call it worse."),
        (0.9, 0.8, Changed(20, 2), "it is better, beyond chance."),
        (0.8, 0.9, Changed(2, 20), "it is worse, beyond chance."),
        (0.9, 0.9, Changed(3, 3), "neither is better."),
    ],
)
def test_which_is_better_is_one_sentence(new: float, champion: float, changed: Changed, words: str) -> None:
    against = contest(images=52, accuracy=Difference(new, champion, -0.1, 0.1), changed=changed)
    decision = decide(evaluation(), 0, against, GATE, 0.95)
    assert from_tags(to_tags(decision, GATE)) == decision
    sentence = Registration(Registered("nightshift", 4, "run", ()), decision, champion=3).sentence
    assert sentence.startswith(f"Version 4 names {100 * new:.1f} % ")
    assert sentence.endswith(words)


def test_the_registrations_page_says_what_was_found_who_is_champion_and_what_to_do() -> None:
    decision = decide(evaluation(accuracy=0.41), 0, contest(), GATE, 0.95)
    refused = Registration(Registered("<b>", 4, "run", ()), decision, champion=3)
    page = page_of(json.loads(json.dumps(refused.as_json())) | {"identity": "model 1234"})
    first = page[: page.index("<h2 id")]
    for words in ("Version 4 names 90.0 % right", "The gate refused it. The champion is version 3", "model 1234",
                  "<code>nightshift promote 4 --force</code>", "Refused by min_accuracy"):  # fmt: skip
        assert words in first, words
    assert page.count("✓ passed") == 9
    assert "<b>" not in first.split("<body>")[1].replace("<b>version", "")
    promoted = page_of(refused.as_json() | {"champion": 4})
    assert "but it is the champion: nights use it" in promoted
    later = ("compared", "champion", "accuracy")
    earlier = {key: value for key, value in refused.as_json().items() if key not in later}
    assert "Compared with: version 3" in page_of(earlier), "a result that an earlier version wrote"
