"""Scenes at night: one row a file, all tiles beside it; what damage costs; a killed night writes the same bytes."""

import base64
import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.windows import count, windows
from pipeline.model.engine import load_engine
from pipeline.night import results
from pipeline.night.ledger import Run, books_of, model_of
from pipeline.night.overlay import COLOURS
from pipeline.night.planning import other_tiles
from pipeline.night.reading import Reading
from pipeline.night.rows import read_rows
from pipeline.night.scene_files import colours_of, pictures_of, scenes_of
from pipeline.night.scene_reading import SceneEnded, SceneTile, read_scene, walk
from pipeline.night.shard import classify_here
from pipeline.night.summary import NightSummary, read_summary
from pipeline.night.workers import apart
from pipeline.params.data import Tiles
from pipeline.params.file import Params
from pipeline.sources.layout import SourceError
from pipeline.sources.reviews import corrections
from pipeline.storage.folders import folder_at
from tests.fixtures.nasty_formats import encoded
from tests.fixtures.scenes import HEIGHT, RULES, TILES, UTM_32, WGS_84, WIDTH, begun, picture, tiff_of

IN_ALL = count(WIDTH, HEIGHT, TILES)


@pytest.fixture(scope="module")
def params(defaults: Params) -> Params:
    quiet = {"track": False, "batch_size": 8, "max_unreadable": 1.0}
    return defaults.model_copy(update={"batch": defaults.batch.model_copy(update=quiet)})


def scene() -> NDArray[np.uint8]:
    """Red on the left, blue on the right, a blank field, and white above it."""
    pixels = np.random.default_rng(7).integers(0, 40, (HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2, 0] += 180
    pixels[:, WIDTH // 2 :, 2] += 180
    pixels[:100, 200:] = 255 - pixels[:100, 200:] // 8
    pixels[100:, 200:] = 128
    return pixels


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of several kinds, an image that is too small for one, and a file that is not an image."""
    folder = tmp_path_factory.mktemp("scenes") / "in"
    (folder / "b").mkdir(parents=True)
    (folder / "a.tif").write_bytes(tiff_of(scene(), tile=(64, 64), compression="zlib", extratags=WGS_84))
    (folder / "b/again.tif").write_bytes((folder / "a.tif").read_bytes())
    (folder / "b/metric.tif").write_bytes(tiff_of(scene(), extratags=UTM_32))
    (folder / "blank.tif").write_bytes(tiff_of(np.full((HEIGHT, WIDTH, 3), 9, np.uint8)))
    (folder / "small.png").write_bytes(encoded(Image.fromarray(scene()[:50, :60]), "PNG"))
    (folder / "wide.png").write_bytes(encoded(Image.fromarray(picture()), "PNG"))
    (folder / "x.tif").write_bytes(b"II*\0 no picture")
    return folder


def night(source: Path, output: Path, params: Params, *, location: bool = False) -> NightSummary:
    run = begun(source, output, location=location)
    for _ in classify_here(run, run.unfinished(), params):
        pass
    return results.finish(run, params).summary


@pytest.fixture(scope="module")
def finished(source: Path, params: Params) -> Path:
    """The night over them, which may say places; tests leave it as it is."""
    night(source, source.with_name("out"), params, location=True)
    return source.with_name("out")


def rows_of(output: Path) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in read_rows(output / "predictions.csv")}


def test_a_scene_has_one_row_and_all_its_tiles_beside_it(finished: Path) -> None:
    summary = read_summary(folder_at(finished))
    assert summary is not None
    rows, tiles = rows_of(finished), pd.read_parquet(finished / "tiles.parquet")
    assert [*rows] == ["a.tif", "b/again.tif", "b/metric.tif", "blank.tif", "small.png", "wide.png", "x.tif"]
    assert summary.reconciled
    assert {path: len(found) for path, found in tiles.groupby("path")} == dict.fromkeys(
        ("a.tif", "b/again.tif", "b/metric.tif", "blank.tif", "wide.png"), IN_ALL
    )
    expected = [*windows(WIDTH, HEIGHT, TILES)]
    ours = tiles[tiles["path"] == "a.tif"]
    assert [*ours[["x", "y", "width", "height"]].itertuples(index=False, name=None)] == [tuple(one) for one in expected]
    assert (ours["status"] == "ignored").sum() > 0
    assert set(ours.loc[ours["status"] == "ignored", "ignored"]) == {"blank"}
    row = rows["a.tif"]
    assert (row["width"], row["height"]) == (str(WIDTH), str(HEIGHT))
    assert rows["b/again.tif"] | {"path": "a.tif"} == row, "the same content, judged again"
    assert summary.scenes is not None
    statuses = tiles["status"].value_counts()
    assert (summary.scenes.files, summary.scenes.ignored) == (5, statuses["ignored"])
    assert rows["blank.tif"]["error"] == f"none of its {IN_ALL} tiles is judged: they are blank"
    assert rows["x.tif"]["status"] == "unreadable"


def test_each_tile_is_answered_as_an_image_of_its_own_would_be(finished: Path, tmp_path: Path, params: Params) -> None:
    """Cut by hand, saved as PNG, and judged by a night of single images."""
    tiles = pd.read_parquet(finished / "tiles.parquet")
    ours = tiles[(tiles["path"] == "a.tif") & (tiles["status"] != "ignored")]
    by_hand = tmp_path / "by hand"
    by_hand.mkdir()
    for one in ours.itertuples():
        part = scene()[one.y : one.y + one.height, one.x : one.x + one.width]
        (by_hand / f"{one.y:04d}_{one.x:04d}.png").write_bytes(encoded(Image.fromarray(part), "PNG"))
    night(by_hand, tmp_path / "single", params)
    names = ("status", "label", "confidence", "label_2", "confidence_2", "label_3", "confidence_3", "flags", "contrast")
    single = pd.DataFrame(rows_of(tmp_path / "single").values())
    for name in names:
        found = single[name].astype(float) if ours[name].dtype.kind == "f" else single[name]
        assert [*found] == [*ours[name]], name


def test_the_row_is_the_mean_over_the_judged_tiles_and_shares_add_up(finished: Path) -> None:
    tiles = pd.read_parquet(finished / "tiles.parquet")
    judged = tiles[(tiles["path"] == "a.tif") & (tiles["label"] != "")]
    row = rows_of(finished)["a.tif"]
    ranks = ("", "_2", "_3")
    mean = {
        label: sum(judged.loc[judged[f"label{rank}"] == label, f"confidence{rank}"].sum() for rank in ranks)
        / len(judged)
        for label in ("red", "blue", "white")
    }
    found = {row[f"label{rank}"]: float(row[f"confidence{rank}"]) for rank in ranks}
    assert found == pytest.approx(mean, abs=1e-5)
    assert row["label"] == max(mean, key=lambda label: mean[label])
    of_label = judged[judged["label"] == row["label"]]
    assert row["status"] == ("ok" if (of_label["status"] == "ok").sum() >= 2 / 3 * len(judged) else "unsure")
    with (finished / "scenes.csv").open(newline="") as file:
        shares = [line for line in csv.DictReader(file) if line["path"] == "a.tif"]
    assert sum(float(line["share"]) for line in shares) == pytest.approx(1)
    assert {line["label"]: int(line["tiles_of_label"]) for line in shares} == dict(judged["label"].value_counts())
    for line in shares:
        best = judged[judged["label"] == line["label"]].sort_values("confidence", kind="stable").iloc[-1]
        assert float(line["best_confidence"]) == best["confidence"]
        with Image.open(finished / "scenes" / line["picture"]) as shown:
            assert shown.width >= WIDTH
            assert shown.height > HEIGHT


@pytest.mark.parametrize("damaged", [3, 20], ids=["a few tiles", "most tiles"])
def test_damaged_tiles_are_rows_with_a_reason(damaged: int, tmp_path: Path, params: Params) -> None:
    source = tmp_path / "in"
    source.mkdir()
    data = tiff_of(picture(), tile=(64, 64), compression="zlib")
    (source / "cut.tif").write_bytes(data[: len(data) * (30 - damaged) // 30])
    night(source, tmp_path / "out", params)
    tiles, row = pd.read_parquet(tmp_path / "out/tiles.parquet"), rows_of(tmp_path / "out")["cut.tif"]
    bad = tiles[tiles["status"] == "unreadable"]
    assert set(bad["error"]) == {"damaged image: it is cut off"}
    if damaged == 3:
        assert (row["status"], "damaged_tiles" in row["flags"].split()) == ("unsure", True)
        assert row["label"]
    else:
        assert row["status"] == "unreadable"
        assert row["error"] == f"{len(bad)} of its {IN_ALL} tiles cannot be read: damaged image: it is cut off"


def test_georeferenced_scenes_have_geojson_that_gdal_opens(finished: Path) -> None:
    found = {file.name.partition("-")[0]: file for file in (finished / "scenes").glob("*.geojson")}
    assert set(found) == {"a", "again", "metric"}
    about, _, shapes, _ = pyogrio.raw.read(found["a"])
    assert about["crs"] == "EPSG:4326"
    assert len(shapes) == len(json.loads(found["a"].read_text())["features"])
    assert pyogrio.read_info(found["a"])["total_bounds"] == pytest.approx((10.0, 49.98, 10.03, 50.0))
    metric = pyogrio.read_info(found["metric"])
    assert metric["crs"] == "EPSG:32632"
    assert metric["total_bounds"] == pytest.approx((500_000, 5_500_000 - HEIGHT / 2, 500_000 + WIDTH / 2, 5_500_000))


def content(output: Path) -> dict[str, bytes]:
    """The files of a night that are the same whenever it runs."""
    names = ["predictions.csv", "tiles.parquet", "scenes.csv", *(f"scenes/{file.name}" for file in
             sorted((output / "scenes").iterdir()))]  # fmt: skip
    return {name: (output / name).read_bytes() for name in names}


def test_a_killed_night_goes_on_and_writes_the_same_bytes(
    source: Path, finished: Path, tmp_path: Path, params: Params
) -> None:
    """Killed in a shard, and between the part of its tiles and that of its rows."""
    run = begun(source, tmp_path / "out", location=True)
    at_work: Iterator[tuple[int, int]] = classify_here(run, run.unfinished(), params)
    assert [next(at_work), next(at_work)] == [(0, 2), (1, 2)]
    del at_work
    (tmp_path / "out/.nightshift/parts/00001.csv").unlink()  # its tiles are there
    resumed = Run.unfinished_in(folder_at(tmp_path / "out"))
    assert resumed is not None
    assert resumed.unfinished() == [1, 2, 3]
    assert "00001.parquet" in books_of(resumed.output).names("tiles")
    for _ in classify_here(resumed, resumed.unfinished(), params):
        pass
    results.finish(resumed, params)
    assert content(tmp_path / "out") == content(finished)
    assert not (tmp_path / "out/.nightshift").exists()


def test_without_leave_no_place_is_written_and_a_later_night_without_scenes_leaves_none_behind(
    tmp_path: Path, params: Params
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.tif").write_bytes(tiff_of(scene(), extratags=WGS_84))
    (source / "small.png").write_bytes(encoded(Image.fromarray(scene()[:50, :60]), "PNG"))
    night(source, tmp_path / "out", params)
    assert [file.suffix for file in (tmp_path / "out/scenes").iterdir()] == [".png"]
    (source / "a.tif").unlink()
    summary = night(source, tmp_path / "out", params)
    assert summary.scenes is None
    assert not {"tiles.parquet", "scenes.csv", "scenes"} & {file.name for file in (tmp_path / "out").iterdir()}


def test_the_pages_show_the_scenes(finished: Path) -> None:
    morning, review = ((finished / name).read_text() for name in ("morning.html", "review.html"))
    for file in (finished / "scenes").glob("wide-*.png"):
        assert f'href="scenes/{file.name}"' in morning
        assert f'href="scenes/{file.name}"' in review
    assert '<h2 id="scenes">' in morning
    assert "A scene (its picture here has coloured tiles) needs no label" in review


def test_a_page_says_the_colours_of_the_labels_beside_pictures_without_legend(finished: Path) -> None:
    scenes, morning = scenes_of(folder_at(finished)), (finished / "morning.html").read_text()
    colours = colours_of(folder_at(finished), scenes)
    assert colours == {"red": COLOURS[0], "blue": COLOURS[1], "white": COLOURS[2]}
    for label, colour in colours.items():
        assert f'style="background: {colour}"></i> {label}</b>' in morning
    pictures = pictures_of(folder_at(finished), scenes)
    assert pictures.keys() == scenes.keys()
    for small in pictures.values():
        with Image.open(io.BytesIO(base64.b64decode(small.source.partition(",")[2]))) as shown:
            assert shown.size == (WIDTH, HEIGHT)


def test_a_label_for_a_whole_scene_is_refused_and_names_the_command(finished: Path, tmp_path: Path) -> None:
    review = finished / "review.csv"
    labelled = tmp_path / "out/review.csv"
    shutil.copytree(finished, labelled.parent)
    with review.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {row["path"] for row in rows} & scenes_of(folder_at(finished)).keys()
    with labelled.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows({**row, "correct_label": "red" if row["path"] == "a.tif" else ""} for row in rows)
    with pytest.raises(SourceError, match=r"has a label for 1 scene, .*: a\.tif\. .*`nightshift data tiles "):
        corrections(labelled, tmp_path / "raw")


@pytest.mark.parametrize(
    ("asked", "learnt", "words"),
    [(TILES, None, "large pictures are read whole."), (None, TILES, "large pictures are cut into tiles of 64 pixels."),
     (TILES, TILES, ""), (None, None, "")],
)  # fmt: skip
def test_a_night_says_that_it_cuts_as_the_training_did(asked: Tiles | None, learnt: Tiles | None, words: str) -> None:
    said = other_tiles(asked, learnt)
    assert words in said
    assert bool(said) == bool(words)


def test_a_file_that_changes_while_it_is_read_has_no_answer(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(tiff_of(picture(), tile=(64, 64)))
    parts = read_scene(folder_at(tmp_path), "a.tif", RULES, Reading(1, 1, 60))
    found = [next(parts), next(parts)]
    assert isinstance(found[1], SceneTile)
    with file.open("ab") as opened:
        opened.write(b"more")
    *_, last = parts
    assert isinstance(last, SceneEnded)
    assert last.error == "the file changed while it was read"


def test_a_scene_is_read_carefully_too(source: Path, tmp_path: Path, params: Params) -> None:
    """As after the death of a worker: another process reads each scene first."""
    run = begun(source, tmp_path / "out")
    assert [*classify_here(run, [0], params, apart)] == [(0, 2)]
    walk(folder_at(source), "a.tif", RULES)
    assert load_engine(Path(str(model_of(run.output).path)), params.compute).contract.images.tiles == TILES
