"""The diagrams show what was counted."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.diagrams import (
    draw_confusion_matrix,
    draw_coverage,
    draw_diagrams,
    draw_rank_curves,
    draw_reliability,
    draw_robustness,
    draw_slices,
)
from pipeline.evaluation.metrics import expected_calibration_error
from pipeline.evaluation.robustness import ROBUSTNESS_COLUMNS
from pipeline.evaluation.slices import measure_slices
from pipeline.model.answers import Answers, Judged
from tests.fixtures.evaluations import PARAMS, judge, right_or_wrong

# Two a right, one a taken for a b, one b right; no c among the images.
JUDGED = judge([0, 0, 0, 1], [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.3, 0.4, 0.3]])


def test_the_confusion_matrix_shows_counts_and_shares_with_the_truth_in_rows() -> None:
    texts = [text.get_text() for text in draw_confusion_matrix(JUDGED.answers, JUDGED.class_names).axes[0].texts]
    assert texts == ["2\n67%", "1\n33%", "0", "0", "1\n100%", "0", "0", "0", "0"]


def test_a_matrix_of_many_classes_shows_those_with_most_mistakes_and_all_others_as_one() -> None:
    names = tuple(f"class {number}" for number in range(300))
    said = np.arange(300)
    said[[40, 41, 299]] = 7  # three mistakes that name class 7
    answers = Answers(np.arange(300), np.eye(300, dtype=np.float32)[said])
    axes = draw_confusion_matrix(answers, names).axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert len(labels) == 25
    assert {"class 7", "class 40", "class 41", "class 299"} <= set(labels)
    assert labels[-1] == "276 others"
    cells = np.array([int(text.get_text().partition("\n")[0]) for text in axes.texts]).reshape(25, 25)
    assert cells.sum() == 300
    assert cells[labels.index("class 40"), labels.index("class 7")] == 1
    assert cells[-1, -1] == 276
    assert "the 24 of 300 classes with most mistakes" in axes.get_title()


def test_the_reliability_diagram_names_the_error_of_both_kinds() -> None:
    raw = judge([0, 0, 0, 1], [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0.2, 0.5, 0.3]]).answers
    judged = Judged(JUDGED.answers, raw, JUDGED.class_names, 0.5, np.arange(4))
    legend = draw_reliability(judged).axes[0].get_legend()
    assert legend is not None
    words = [text.get_text() for text in legend.get_texts()]
    errors = [expected_calibration_error(kind.labels, kind.probabilities) for kind in (raw, JUDGED.answers)]
    assert words[1:] == [
        f"before temperature: expected calibration error {errors[0]:.3f}",
        f"as used: expected calibration error {errors[1]:.3f}",
    ]
    assert errors[0] != errors[1]


def test_the_coverage_curve_marks_the_threshold() -> None:
    axes = draw_coverage(JUDGED).axes[0]
    assert [axes.lines[1].get_xdata()[0], axes.lines[1].get_ydata()[0]] == pytest.approx([0.75, 2 / 3])  # type: ignore[index]
    never = judge(JUDGED.answers.labels, JUDGED.answers.probabilities, unsure_below=1.0)
    assert len(draw_coverage(never).axes[0].lines) == 1


def test_the_rank_curves_are_of_the_classes_that_have_images_the_worst_first() -> None:
    for axes in draw_rank_curves(JUDGED.answers, JUDGED.class_names).axes:
        legend = axes.get_legend()
        assert legend is not None
        words = [text.get_text().split(": ") for text in legend.get_texts()]
        assert {name for name, _ in words} == {"a", "b"}
        assert [float(area) for _, area in words] == sorted(float(area) for _, area in words)


def test_worse_slices_are_red_and_on_top() -> None:
    correct = np.array([True] * 60 + [False] * 30 + [True] * 10)
    table = pd.DataFrame({"site": ["x"] * 60 + ["y"] * 40})
    slices = measure_slices(table, right_or_wrong(correct), PARAMS)
    axes = draw_slices(slices, 0.7).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["site: x (60)", "site: y (40)"]  # from below
    colours = [line.get_color() for line in axes.lines[1:]]
    assert colours[0] != colours[2]


def test_the_robustness_lines_begin_at_the_clean_images() -> None:
    rows = [("none", 0, 9, 0.9, 0.8, 0.1), *(("blur", s, 9, 0.5, 0.7 - s / 10, 0.2) for s in (1, 2, 3))]
    table = pd.DataFrame(rows, columns=list(ROBUSTNESS_COLUMNS))
    balanced, unsure = draw_robustness(table).axes
    assert balanced.lines[0].get_ydata() == pytest.approx([0.8, 0.6, 0.5, 0.4])
    assert unsure.lines[0].get_ydata() == pytest.approx([0.1, 0.2, 0.2, 0.2])


def test_what_there_is_nothing_for_is_not_drawn() -> None:
    nothing = measure_slices(pd.DataFrame(index=range(4)), JUDGED, PARAMS)
    assert set(draw_diagrams(JUDGED, nothing, None)) == {"confusion_matrix", "reliability", "coverage", "rank_curves"}
