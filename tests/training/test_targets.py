"""Labels and how probable they are -> what a network is to answer."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.data.prepared import Split
from pipeline.training.targets import soft_targets

CLASSES = ("bird", "cat", "dog")


def split(**columns: list[object]) -> Split:
    labels = np.array([0, 1, 2])
    table = pd.DataFrame({"path": ["a.png", "b.png", "c.png"], **columns})
    return Split(table, np.zeros((3, 2, 2, 3), np.uint8), labels)


@pytest.mark.parametrize(
    ("columns", "given", "expected"),
    [
        ({}, {}, np.eye(3)),
        ({"cat": "p"}, {"p": [0.2, 1.0, 0.0]}, [[0.4, 0.2, 0.4], [0, 1, 0], [0.5, 0, 0.5]]),
        ({"cat": "p"}, {"p": ["0.2", None, ""]}, [[0.4, 0.2, 0.4], [0, 1, 0], [0, 0, 1]]),
        ({"cat": "p", "dog": "q"}, {"p": [0.3, 1, 0], "q": [0.3, 0, 1]}, [[0.4, 0.3, 0.3], [0, 1, 0], [0, 0, 1]]),
        (
            {"dog": "r", "bird": "p", "cat": "q"},
            {"p": [0.2, 0, 0.5], "q": [0.2, 0, 0], "r": [0.4, 0, 0.5]},
            [[0.25, 0.25, 0.5], [0, 1, 0], [0.5, 0, 0.5]],
        ),
    ],
    ids=["none", "one class", "where unknown the label holds", "two classes", "all classes: shares"],
)
def test_what_is_left_of_the_probability_goes_to_the_other_classes(
    columns: dict[str, str], given: dict[str, list[object]], expected: object
) -> None:
    np.testing.assert_allclose(soft_targets(split(**given), CLASSES, columns), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("columns", "given", "words"),
    [
        ({"cow": "p"}, {"p": [0.1, 0.1, 0.1]}, "'cow'; the classes are bird, cat, dog"),
        ({"cat": "p"}, {}, "'p', which data/raw/metadata.csv does not have"),
        ({"cat": "p"}, {"p": [0.1, 1.5, 0.1]}, "p of b.png is '1.5'; a probability must be between 0 and 1"),
        ({"cat": "p"}, {"p": ["0.1", "likely", "0.1"]}, "p of b.png is 'likely'"),
        ({"cat": "p", "dog": "q"}, {"p": [0.6, 0, 0], "q": [0.6, 0, 0]}, "a.png (p, q) add up to more than 1"),
    ],
    ids=["no such class", "no such column", "too large", "no number", "more than all"],
)
def test_what_is_no_probability_is_named(columns: dict[str, str], given: dict[str, list[object]], words: str) -> None:
    with pytest.raises(NightshiftError) as caught:
        soft_targets(split(**given), CLASSES, columns)
    assert words in str(caught.value)
