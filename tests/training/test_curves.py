"""The table and the picture of a training."""

from pathlib import Path

import pandas as pd

from pipeline.training.curves import draw_curves, write_curves

METRICS = {f"{split}_{metric}": [0.5, 0.4, 0.3] for split in ("train", "val") for metric in ("loss", "accuracy")}
CURVES = pd.DataFrame(METRICS | {"phase": ["head", "head", "fine_tune"]})


def test_curves_are_drawn_for_any_number_of_phases() -> None:
    figure = draw_curves(CURVES)
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["head", "fine_tune"]


def test_of_an_ensemble_the_picture_also_says_which_network() -> None:
    figure = draw_curves(CURVES.assign(phase="scratch", network=[1, 1, 2]))
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["scratch 1", "scratch 2"]


def test_the_gap_between_training_and_validation_is_drawn() -> None:
    legend = draw_curves(CURVES).axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "gap"]


def test_the_table_comes_back(tmp_path: Path) -> None:
    write_curves(CURVES, tmp_path / "curves.csv", tmp_path / "curves.png")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "curves.csv"), CURVES)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
