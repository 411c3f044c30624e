"""The pages' frame: what becomes markup and what does not."""

import pytest

from pipeline.core.pages import as_cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("cat", "cat"), ("a|b", "a\\|b"), ("two\nlines", "two lines"), ("*bold* _it_", "\\*bold\\* \\_it\\_"),
        ("<b>", "\\<b>"), ("[link](x)", "\\[link](x)"), (3, "3"), ("\\|", "\\\\\\|"),
    ],
)  # fmt: skip
def test_a_cell_holds_its_text(value: object, cell: str) -> None:
    assert as_cell(value) == cell
