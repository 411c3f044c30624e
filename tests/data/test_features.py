"""The format of features: what is written comes back, and images and views are one table of rows."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.data.features import read_features, read_training_rows, write_features, write_views

FEATURES = np.arange(35, dtype=np.float32).reshape(7, 5)
VIEWS = 100 + np.arange(70, dtype=np.float32).reshape(2, 7, 5)


def in_parts(rows: np.ndarray, *sizes: int) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(sizes))


def test_features_and_views_come_back_however_they_were_cut(tmp_path: Path) -> None:
    write_features(tmp_path, "train", 7, in_parts(FEATURES, 3, 3))
    write_views(tmp_path, 2, 7, in_parts(VIEWS.reshape(-1, 5), 4, 6))
    np.testing.assert_array_equal(read_features(tmp_path, "train"), FEATURES)
    np.testing.assert_array_equal(np.load(tmp_path / "train_views.npy"), VIEWS)


@pytest.mark.parametrize("views", [0, 1, 2])
def test_training_rows_are_the_images_then_each_view(tmp_path: Path, views: int) -> None:
    write_features(tmp_path, "train", 7, [FEATURES])
    if views:
        write_views(tmp_path, views, 7, [VIEWS[:views].reshape(-1, 5)])
    rows = read_training_rows(tmp_path)
    whole = np.concatenate([FEATURES, VIEWS[:views].reshape(-1, 5)])
    assert rows.shape == whole.shape
    assert len(rows) == len(whole)
    assert len(rows.views) == views
    order = np.random.default_rng(1).permutation(len(whole))
    np.testing.assert_array_equal(rows[order], whole[order])
    assert rows[order].dtype == np.float32


def test_a_wrong_number_of_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train.npy needs 8 rows, got 7"):
        write_features(tmp_path, "train", 8, [FEATURES])


def test_missing_features_name_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(NightshiftError, match=r"val\.npy is missing: .* Run `dvc repro embed`"):
        read_features(tmp_path, "val")


def test_views_of_other_images_are_refused(tmp_path: Path) -> None:
    write_features(tmp_path, "train", 6, [FEATURES[:6]])
    write_views(tmp_path, 2, 7, [VIEWS.reshape(-1, 5)])
    with pytest.raises(NightshiftError, match="they are of different images"):
        read_training_rows(tmp_path)
