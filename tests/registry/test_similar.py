"""Visual search: a training image finds itself, another shape finds its kind, and what cannot be compared says why."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data.prepared import read_split
from pipeline.params.file import Params
from pipeline.registry.similar import SimilarError, similar
from tests.fixtures.images import noise
from tests.fixtures.project import draw_shape, nightshift


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
    assert first.startswith("nightshift version 1: ")
    assert len(lines) == 3
    assert sum("square/" in line for line in lines) >= 2
    assert last == str(picture)
    assert Image.open(picture).width > 500


def test_what_cannot_be_compared_says_why(here: Params, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SimilarError, match=r"text.png is unreadable: not an image in a known format"):
        similar("nightshift", tmp_path / "text.png", 3, here.compute)
    with pytest.raises(SimilarError, match=r"gone.png cannot be read: No such file or directory"):
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
