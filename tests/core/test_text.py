"""Names in a message are few, and move no cursor; a value has the digits that its limit asks for."""

import pytest

from pipeline.core.text import about, beside, named, shown


def test_messages_name_the_first_few_and_no_name_moves_the_cursor() -> None:
    assert named([f"{number}.jpg" for number in range(7)]) == "0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more"
    assert named(["0.jpg", "1.jpg"], count=9) == "0.jpg, 1.jpg and 4 more"
    assert shown("é猫\x1b[2J\n\udcff") == r"é猫\x1b[2J\n\udcff"


def test_a_time_that_nobody_knows_is_said_in_whole_minutes() -> None:
    said = [about(seconds) for seconds in (0.3, 29, 31, 250, 7140, 7500)]
    assert said == ["under a minute"] * 2 + ["about 1 min", "about 4 min", "about 119 min", "about 2 h 5 min"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("größe/1 (2).jpg", "größe/1 (2).jpg", id="letters and spaces"),
        pytest.param("a\x1b[31m.jpg", "a\\x1b[31m.jpg", id="colours"),
        pytest.param("a\n.jpg", "a\\n.jpg", id="a new line"),
        pytest.param("a\udcff.jpg", "a\\udcff.jpg", id="a byte that is no text"),
    ],
)
def test_names_do_nothing_to_the_terminal(name: str, expected: str) -> None:
    assert shown(name) == expected


@pytest.mark.parametrize(
    ("value", "limit", "form", "expected"),
    [
        pytest.param(0.2, 0.15, ".3f", "0.200", id="far away"),
        pytest.param(0.1503, 0.15, ".3f", "0.1503", id="just above"),
        pytest.param(0.14996, 0.15, ".3f", "0.14996", id="just below"),
        pytest.param(0.15049, 0.1504, ".3f", "0.1505", id="rounded it would be on the other side"),
        pytest.param(0.15, 0.15, ".3f", "0.150", id="equal"),
        pytest.param(0.87 - 0.9, -0.03, "+.3f", "-0.030", id="equal but for floating point"),
        pytest.param(-0.0002, -0.03, "+.3f", "+0.000", id="no negative zero"),
        pytest.param(-0.0002, 0.0, "+.3f", "-0.0002", id="just below zero"),
        pytest.param(0.00100004, 0.001, ".2g", "0.00100004", id="significant digits"),
        pytest.param(3e-7, 0.001, ".2g", "3e-07", id="small"),
        pytest.param(float("nan"), 0.15, ".3f", "nan", id="no number"),
    ],
)
def test_a_value_has_the_digits_that_tell_it_from_its_limit(
    value: float, limit: float, form: str, expected: str
) -> None:
    assert beside(value, limit, form) == expected
