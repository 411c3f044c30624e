"""What a model knows of an image: made with it or not, by content and never by name; and what it finds most like it."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline.data.prepared import read_split
from pipeline.params.file import Params
from pipeline.registry.lookup import ImageLookupError, files_below, look_up, similar
from pipeline.registry.training_images import image_table, write_image_table
from pipeline.storage.files import sha256
from tests.fixtures.images import noise, save_image
from tests.fixtures.project import draw_shape, nightshift


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
    assert [answer for _, answer in look_up(files, image_table(prepared))] == ["train", "test", "none"]


def test_a_folder_stands_for_its_images(tmp_path: Path) -> None:
    first, second = save_image(tmp_path / "b/1.png"), save_image(tmp_path / "b/deep/2.jpg", seed=1)
    (tmp_path / "b/notes.txt").write_text("no image")
    assert [*files_below([second, tmp_path / "b"])] == [second, first, second]


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.png", "does not exist"), ("empty", "contains no image files")],
    ids=["missing", "empty"],
)
def test_what_cannot_be_looked_up_is_named(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageLookupError, match=f"{name} {words}"):
        list(files_below([tmp_path / name]))


def test_a_file_that_is_gone_or_closed_is_named(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(ImageLookupError, match="gone.png cannot be read: No such file"):
        look_up([tmp_path / "gone.png"], image_table(prepared))


def test_a_training_image_finds_itself_first(here: Params) -> None:
    path = read_split(Path("data/prepared"), "train").table["path"].iloc[3]
    found = similar("nightshift", Path("data/raw") / path, 4, here.compute)
    assert found.nearest[0].path == path
    assert found.nearest[0].distance < 0.001
    assert len(found.nearest) == 4
    assert [one.distance for one in found.nearest] == sorted(one.distance for one in found.nearest)


def test_the_command_lists_its_kind_and_draws_it(trained: Path, tmp_path: Path) -> None:
    draw_shape(tmp_path / "new.png", "square", seed=4321)
    picture = tmp_path / "alike.png"
    said = nightshift("similar", str(tmp_path / "new.png"), "--count", "3", "--picture", str(picture), cwd=trained)
    first, *lines, last = said.stdout.splitlines()
    answer = r"nightshift version 1: square [\d.]+%, (ok|unsure \(.+\)); "
    assert re.fullmatch(answer + r"outlier score 0\.\d+, above 0\.\d+ it is an outlier", first)
    assert len(lines) == 3
    assert sum("square/" in line for line in lines) >= 2
    assert last == str(picture)
    assert Image.open(picture).width > 500


def test_what_cannot_be_compared_says_why(here: Params, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageLookupError, match=r"text.png is unreadable: not an image in a known format"):
        similar("nightshift", tmp_path / "text.png", 3, here.compute)
    with pytest.raises(ImageLookupError, match=r"gone.png cannot be read: No such file or directory"):
        similar("nightshift", tmp_path / "gone.png", 3, here.compute)


def test_more_neighbours_than_images_are_all_of_them(here: Params, tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "noise.png")
    train = len(read_split(Path("data/prepared"), "train").table)
    assert len(similar("nightshift", tmp_path / "noise.png", 10_000, here.compute).nearest) == train


def test_an_image_that_is_gone_is_grey(project: Path, tmp_path: Path) -> None:
    draw_shape(tmp_path / "new.png", "circle", seed=99)
    shutil.rmtree(project / "data/raw")
    nightshift("similar", str(tmp_path / "new.png"), cwd=project)
    assert (project / "similar.png").is_file()


def test_seen_answers_from_the_models_own_record(registry_project: Path, tmp_path: Path) -> None:
    prepared = {name: pd.read_parquet(f"data/prepared/{name}.parquet")["path"] for name in ("train", "val", "test")}
    copy = tmp_path / "another name.dat"
    copy.write_bytes((Path("data/raw") / prepared["train"][0]).read_bytes())
    new = tmp_path / "new.png"
    new.write_bytes(b"never seen")
    Path("data/prepared/train.parquet").unlink()  # the model knows, whatever lies here today
    said = nightshift("seen", str(copy), str(new), "data/raw", cwd=registry_project).stdout.splitlines()
    answer = {line[7:]: line[:7].strip() for line in said[:-1]}
    assert answer[str(copy)] == "train"
    assert answer[str(new)] == "none"
    for split, paths in prepared.items():
        assert {answer[f"data/raw/{path}"] for path in paths} == {split}
    assert said[-1].startswith("nightshift version 1: 1 none, ")
    assert "version 2:" in nightshift("seen", str(new), "--version", "2", cwd=registry_project).stdout
    for words, reason in (
        ([str(tmp_path / "missing.png")], "missing.png does not exist"),
        ([str(new), "--version", "9"], "no version 9"),
    ):
        done = nightshift("seen", *words, cwd=registry_project, check=False)
        assert done.returncode == 1
        assert reason in done.stderr
