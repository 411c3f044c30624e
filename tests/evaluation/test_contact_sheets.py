"""The sheets show the right images, in order, with labels and names."""

import numpy as np
import pytest

from pipeline.evaluation.contact_sheets import (
    cells,
    doubtful_hits,
    draw_corruptions,
    draw_evidence,
    draw_sheet,
    mistakes,
)
from pipeline.evaluation.robustness import CORRUPTIONS, STRENGTHS
from tests.fixtures.evaluations import judge
from tests.fixtures.images import noise

# Right at 0.9 and 0.6; wrong at 0.95 and 0.55.
JUDGED = judge([0, 0, 0, 1], [[0.9, 0.1], [0.05, 0.95], [0.6, 0.4], [0.55, 0.45]])
IMAGES = np.stack([noise(8, 8, seed) for seed in range(4)])
PATHS = ["a/0.png", "a/1.png", "a/a name that goes on and on.png", "b/3.png"]


def test_the_most_confident_mistakes_and_the_least_confident_hits_come_first() -> None:
    assert mistakes(JUDGED).tolist() == [1, 3]
    assert doubtful_hits(JUDGED).tolist() == [2, 0]


def test_a_cell_says_answer_confidence_label_and_name() -> None:
    shown = cells(JUDGED, IMAGES, PATHS, np.array([1, 2]))
    assert (shown[0].above, shown[0].alarm, shown[0].below) == ("b 95%\nis a", True, "1.png")
    assert (shown[1].above, shown[1].alarm, shown[1].below) == ("a 60%", False, "…at goes on and on.png")
    assert len(shown[1].below) == 22
    assert (shown[1].pixels == IMAGES[2]).all()


@pytest.mark.parametrize("count", [1, 6, 7, 18])
def test_a_sheet_has_one_picture_a_cell(count: int) -> None:
    rows = np.arange(count) % 4
    figure = draw_sheet(cells(JUDGED, IMAGES, PATHS, rows))
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == count
    assert drawn[0].get_title() == "a 90%"
    assert drawn[0].texts[0].get_text() == "0.png"


def test_corruptions_are_shown_at_every_strength() -> None:
    figure = draw_corruptions(IMAGES[0], seed=1)
    assert sum(bool(axes.images) for axes in figure.axes) == 1 + len(CORRUPTIONS) * len(STRENGTHS)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["as it is", *CORRUPTIONS]


def test_evidence_lies_over_its_image() -> None:
    heat = np.zeros((2, 8, 8), np.float32)
    heat[1, 2, 3] = 1
    figure = draw_evidence(cells(JUDGED, IMAGES, PATHS, np.array([0, 1])), heat)
    pairs = [len(axes.images) for axes in figure.axes if axes.images]
    assert pairs == [1, 2, 1, 2]
    warm = [axes for axes in figure.axes if len(axes.images) == 2][1]
    assert np.asarray(warm.images[1].get_array())[2, 3] == 1
