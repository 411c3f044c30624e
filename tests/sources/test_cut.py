"""Scenes cut for labelling: the tiles that a night judges, with the same pixels, and their scene as their group."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import decode
from pipeline.images.scenes import open_scene, read_tile
from pipeline.images.windows import windows
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.sources.cut import CutError, cut
from tests.fixtures.nasty_formats import encoded
from tests.fixtures.project import REPOSITORY, nightshift
from tests.fixtures.scenes import HEIGHT, RULES, TILES, WIDTH, picture, tiff_of


@pytest.fixture
def params(defaults: Params) -> Params:
    return defaults.model_copy(update={"images": RULES})


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_tiles_have_the_pixels_that_a_night_cuts_and_their_folder_as_label(tmp_path: Path, params: Params) -> None:
    source, folder = tmp_path / "scenes", tmp_path / "tiles"
    (source / "forest").mkdir(parents=True)
    pixels = picture().copy()
    pixels[:64, :64] = 200
    (source / "forest/a.tif").write_bytes(tiff_of(pixels, tile=(64, 64), compression="jpeg"))
    (source / "forest/small.png").write_bytes(encoded(Image.fromarray(pixels[:40, :40]), "PNG"))
    found = cut(source, folder, params)
    rows = table(folder)
    assert (found.scenes, found.whole, found.failed, found.labelled) == (1, 1, [], True)
    assert found.ignored == 1
    assert found.tiles + found.ignored == len([*windows(WIDTH, HEIGHT, TILES)])
    assert {(row["label"], row["group"]) for row in rows} == {
        ("forest", "forest/a.tif"),
        ("forest", "forest/small.png"),
    }
    assert len({row["path"].rpartition("/")[2] for row in rows}) == len(rows), "an import drops the folders"
    assert [row["path"] for row in rows][-1] == "forest/small.png"
    with (source / "forest/a.tif").open("rb") as opened:
        scene = open_scene(opened, RULES, None)
        at_night = [read_tile(scene, window, RULES) for window in windows(WIDTH, HEIGHT, TILES)]
    judged = [tile for tile in at_night if not tile.ignored]
    assert len(judged) == found.tiles
    for row, tile in zip(rows, judged, strict=False):
        assert row["path"].endswith(f"_{tile.window.x:06d}_{tile.window.y:06d}.png")
        np.testing.assert_array_equal(decode((folder / row["path"]).read_bytes(), RULES).pixels, tile.pixels)


def test_what_cannot_be_cut_is_named_and_the_rest_is_cut(tmp_path: Path, params: Params) -> None:
    source, folder = tmp_path / "scenes", tmp_path / "tiles"
    source.mkdir()
    data = tiff_of(picture(), tile=(64, 64))
    (source / "cut.tif").write_bytes(data[:-5000])
    (source / "none.png").write_bytes(b"no picture")
    found = cut(source, folder, params)
    assert found.failed[-1].startswith("none.png: ")
    assert all(line.startswith("cut.tif at ") and line.endswith("cut off") for line in found.failed[:-1])
    assert len(found.failed) > 1
    assert found.tiles > 0
    assert not found.labelled
    assert {row["label"] for row in table(folder)} == {""}
    with pytest.raises(CutError, match="holds tiles already"):
        cut(source, folder, params)
    with pytest.raises(CutError, match="lies inside"):
        cut(source, source / "tiles", params)


def test_without_a_size_nothing_is_cut(tmp_path: Path, params: Params) -> None:
    whole = params.model_copy(update={"images": Images.model_validate(RULES.model_dump() | {"tiles": None})})
    with pytest.raises(CutError, match=r"images\.tiles in params\.yaml is null"):
        cut(tmp_path, tmp_path / "out", whole)


def test_a_person_hears_what_could_not_be_cut(tmp_path: Path) -> None:
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    assert "  tiles: null " in text
    (tmp_path / "params.yaml").write_text(text.replace("  tiles: null ", "  tiles: {size: 64} #"), encoding="utf-8")
    (tmp_path / "scenes").mkdir()
    data = tiff_of(picture(), tile=(64, 64))
    (tmp_path / "scenes/cut.tif").write_bytes(data[:-5000])
    said = nightshift("data", "tiles", "scenes", "some", cwd=tmp_path).stderr
    assert "not be read: cut.tif at " in said
    (tmp_path / "scenes/cut.tif").write_bytes(data[:100])
    failed = nightshift("data", "tiles", "scenes", "none", cwd=tmp_path, check=False)
    assert "scenes gives no tile: cut.tif: damaged image" in failed.stderr
    assert (failed.returncode, (tmp_path / "none").exists()) == (1, False)
    (tmp_path / "scenes/cut.tif").write_bytes(tiff_of(np.full_like(picture(), 90), tile=(64, 64)))
    blank = nightshift("data", "tiles", "scenes", "none", cwd=tmp_path, check=False)
    assert "are blank (images.tiles.blank_below)" in blank.stderr
