"""Whether a model was made with an image: by content, never by name. Asked of a real model in test_registration.py."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.registry.seen import SeenError, files_below, look_up
from pipeline.registry.training_images import image_table, write_image_table
from pipeline.storage.files import sha256
from tests.fixtures.images import save_image


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    for name, contents in {"train": [b"a", b"b"], "val": [b"c", b"b"], "test": [b"d"]}.items():
        table = pd.DataFrame({"path": [f"x/{one!r}" for one in contents], "sha256": [sha256(one) for one in contents]})
        table.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_the_table_has_each_content_once_and_what_taught_counts(prepared: Path) -> None:
    write_image_table(image_table(prepared), prepared / "images.parquet")
    table = pd.read_parquet(prepared / "images.parquet")
    found = dict(zip(table["sha256"], table["split"], strict=True))
    assert found == {sha256(b"a"): "train", sha256(b"b"): "train", sha256(b"c"): "val", sha256(b"d"): "test"}
    assert len(table) == 4


def test_content_counts_and_not_the_name(prepared: Path) -> None:
    (prepared / "copy of a.txt").write_bytes(b"a")
    (prepared / "d").write_bytes(b"d")
    (prepared / "a").write_bytes(b"A")
    files = [prepared / "copy of a.txt", prepared / "d", prepared / "a"]
    assert [answer for _, answer in look_up(files, image_table(prepared))] == ["train", "test", "no"]


def test_a_folder_stands_for_its_images(tmp_path: Path) -> None:
    first, second = save_image(tmp_path / "b/1.png"), save_image(tmp_path / "b/deep/2.jpg", seed=1)
    (tmp_path / "b/notes.txt").write_text("no image")
    assert [*files_below([second, tmp_path / "b"])] == [second, first, second]


@pytest.mark.parametrize(
    ("name", "words"), [("missing.png", "does not exist"), ("empty", "holds no images")], ids=["missing", "empty"]
)
def test_what_cannot_be_looked_up_is_named(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SeenError, match=f"{name} {words}"):
        list(files_below([tmp_path / name]))


def test_a_file_that_is_gone_or_closed_is_named(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(SeenError, match="gone.png cannot be read: No such file"):
        look_up([tmp_path / "gone.png"], image_table(prepared))
