"""Names in a message are few, and move no cursor."""

import pytest

from pipeline.core.text import named, shown


def test_messages_name_the_first_few_and_no_name_moves_the_cursor() -> None:
    assert named([f"{number}.jpg" for number in range(7)]) == "0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more"
    assert named(["0.jpg", "1.jpg"], count=9) == "0.jpg, 1.jpg and 4 more"
    assert shown("é猫\x1b[2J\n\udcff") == r"é猫\x1b[2J\n\udcff"


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
