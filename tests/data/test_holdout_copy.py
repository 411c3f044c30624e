"""Test images are handed out without their labels."""

import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.holdout_copy import HoldoutError, copy_test_images
from tests.fixtures.images import save_image


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Six images in `raw`, four of them in the test split; two have the same name."""
    names = ["cat/001.jpg", "cat/002.jpg", "cat/deep/7.jpg", "dog/001.jpg", "dog/003.jpg", "dog/004.jpg"]
    for seed, name in enumerate(names):
        save_image(tmp_path / "raw" / name, seed)
    (tmp_path / "prepared").mkdir()
    test = pd.DataFrame({"path": [names[3], names[0], names[2], names[4]]})
    test.to_parquet(tmp_path / "prepared" / "test.parquet")
    return tmp_path


def hand_out(project: Path) -> int:
    return copy_test_images(project / "night", project / "raw", project / "prepared")


def test_test_images_are_handed_out_without_their_labels(project: Path) -> None:
    assert hand_out(project) == 4
    names = sorted(os.listdir(project / "night"))
    assert names == ["000000-001.jpg", "000001-001.jpg", "000002-003.jpg", "000003-7.jpg"]
    originals = ["cat/001.jpg", "dog/001.jpg", "dog/003.jpg", "cat/deep/7.jpg"]
    for name, original in zip(names, originals, strict=True):
        assert (project / "night" / name).read_bytes() == (project / "raw" / original).read_bytes()


def test_handing_out_again_gives_the_same(project: Path) -> None:
    hand_out(project)
    names = sorted(os.listdir(project / "night"))
    (project / "night" / names[0]).unlink()
    assert hand_out(project) == 4
    assert sorted(os.listdir(project / "night")) == names


def test_a_folder_with_other_files_is_left_alone(project: Path) -> None:
    save_image(project / "night" / "mine.jpg")
    with pytest.raises(HoldoutError, match=r"night holds other files already \(for example .*mine\.jpg\)"):
        hand_out(project)
    assert os.listdir(project / "night") == ["mine.jpg"]


def test_without_a_split_the_error_says_what_to_run(project: Path) -> None:
    (project / "prepared" / "test.parquet").unlink()
    with pytest.raises(HoldoutError, match="are not split yet. Run `nightshift train`"):
        hand_out(project)
    assert not (project / "night").exists()
