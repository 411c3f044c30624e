"""Values changed in the text of params.yaml: what is asked for, and not a character more."""

import difflib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.edit import with_values_written
from pipeline.search.space import value_of
from tests.fixtures.project import REPOSITORY

TEXT = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "values", "expected"),
    [
        ("a: 1", {"a": 2}, "a: 2"),
        ("a: 0.1    # why", {"a": 0.123}, "a: 0.123  # why"),
        ("a: 0.123  # why", {"a": 1}, "a: 1      # why"),
        ("a: 1 # why", {"a": 0.000012}, "a: 1.2e-05 # why"),
        ("a: 'x # y' # why", {"a": "z"}, "a: z       # why"),
        ("s: {a: 1, b: 2}  # why", {"s.b": 30, "s.a": 4}, "s: {a: 4, b: 30}  # why"),
        ("s:\n  a: yes\nb: 1\n", {"s.a": False}, "s:\n  a: false\nb: 1\n"),
        ("'s':\n    b:\n    - 1\n    a: 3", {"s.a": "none"}, "'s':\n    b:\n    - 1\n    a: none"),
        ("a: 1", {"a": "1"}, "a: '1'"),
        ("ä: ö\na: 1  # ü", {"a": 2}, "ä: ö\na: 2  # ü"),
    ],
    ids=[
        "plain", "a comment keeps its column", "a shorter value", "no room", "a quoted value", "in braces",
        "nested", "beside a list", "a string that looks like a number", "beyond ASCII",
    ],
)  # fmt: skip
def test_only_the_value_changes(line: str, values: dict[str, Any], expected: str) -> None:
    assert with_values_written(line, values) == expected


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "train.head.learning_rate": st.floats(1e-12, 10),
            "train.head.batch_size": st.integers(1, 65_536),
            "augment.horizontal_flip": st.booleans(),
            "train.loss": st.sampled_from(["cross_entropy", "focal"]),
            "validate.checks.blurred.below": st.floats(0, 1e9),
        },
    )
)
def test_the_shipped_file_says_what_was_written_and_all_else_as_before(values: dict[str, Any]) -> None:
    text = with_values_written(TEXT, values)
    expected = yaml.safe_load(TEXT)
    for name, value in values.items():
        *sections, last = name.split(".")
        section = expected
        for part in sections:
            section = section[part]
        section[last] = value
    assert yaml.safe_load(text) == expected
    changed = [line for line in difflib.ndiff(TEXT.splitlines(), text.splitlines()) if line.startswith("+ ")]
    assert len(changed) <= len(values)
    assert [line.split("#")[1:] for line in text.splitlines()] == [line.split("#")[1:] for line in TEXT.splitlines()]


@pytest.mark.parametrize("name", ["b", "a.b", "s", "s.c", "l", "l.0"])
def test_a_name_that_is_no_value_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        with_values_written("a: 1\ns: {b: 2}\nl: [1, 2]", {name: 3})


def test_a_value_is_found_by_the_name_it_is_written_under(defaults: Any) -> None:
    assert value_of(defaults, "register.gate.min_accuracy") == defaults.register_.gate.min_accuracy
