"""What a label is, and when two are the same."""

import pytest

from pipeline.data.label_folders import LabelError
from pipeline.data.labels import clean, lookalikes, meant, of_folder, refuse_lookalikes, sameness

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (" cat", "cat"),
        ("cat\t\r\n", "cat"),
        ("\u00a0cat\u3000\u2003", "cat"),
        ("\ufeffcat\u200b", "cat"),
        ("\u200ecat\u00ad", "cat"),
        (DECOMPOSED, COMPOSED),
        ("fire  ant", "fire  ant"),
        (FAMILY, FAMILY),
        (ENGLAND, ENGLAND),
        (" \u200b ", ""),
    ],
)
def test_a_label_has_no_blanks_at_its_ends_and_is_composed(text: str, label: str) -> None:
    assert clean(text) == label
    assert clean(label) == label


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"),
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED.upper(), COMPOSED),
        ("Straße", "STRASSE"),
        ("cat ", "cat"),
        ("fire ant", "fire\u00a0ant"),
        ("fire  ant", "fire ant"),
        ("ca\u200bt", "cat"),
    ],
)
def test_labels_that_read_alike_are_the_same(one: str, other: str) -> None:
    assert sameness(one) == sameness(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("cat", "cats"), ("n/a", "na"), ("1", "01"), ("a b", "ab"), (FAMILY, FAMILY.replace("\u200d", ""))],
)
def test_labels_that_read_otherwise_are_not_the_same(one: str, other: str) -> None:
    assert sameness(one) != sameness(other)


def test_blanks_alone_are_no_other_spelling() -> None:
    assert lookalikes(["cat", " cat", "cat\u00a0", "dog"]) == []
    assert lookalikes(["cat", "Cat ", "dog"]) == [["Cat", "cat"]]


def test_lookalikes_are_refused_with_their_code_points() -> None:
    with pytest.raises(
        LabelError, match=r"t\.csv spells .*U\+0065 U\+0301\) and '.*' \(U\+0063 U\+0061 U\+0066 U\+00E9"
    ):
        refuse_lookalikes([COMPOSED, DECOMPOSED, "dog"], "t.csv")


@pytest.mark.parametrize(
    ("typed", "known"), [("Ants", "ants"), ("bee", "bees"), ("beees", "bees"), ("antss", "ants"), ("wasp", "")]
)
def test_a_slip_leads_to_the_label_that_was_meant(typed: str, known: str) -> None:
    assert meant(typed, ["ants", "bees"]) == known


@pytest.mark.parametrize(
    ("folder", "label"), [("cat%20", "cat"), ("n%2Fa", "n/a"), (DECOMPOSED, COMPOSED), ("\u00a0", "\u00a0")]
)
def test_a_folder_says_its_label(folder: str, label: str) -> None:
    assert of_folder(folder) == label
