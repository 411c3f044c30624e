"""The stage: what it writes, what it says, and when it stops."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline.checks.expectation_results import Judgement
from pipeline.core.paths import (
    DATA_DOCS,
    DATA_REPORT,
    EXPECTATIONS,
    MANIFEST,
    METADATA,
    QUARANTINE,
    REPORTS_INDEX,
    VALIDATION,
)
from pipeline.data.manifest import InvalidData, measure_files
from pipeline.data.side_table import read_metadata
from pipeline.params.data import Tiles
from pipeline.params.file import load_params
from pipeline.validate import look, main, with_scenes
from pipeline.versions.snapshots import manifest_at
from tests.fixtures.project import change_params


def test_good_images_give_a_manifest_docs_and_numbers(data: Path) -> None:
    main()
    manifest = pd.read_parquet(MANIFEST)
    assert len(manifest) == 44
    assert (manifest["quarantined"] == "").all()
    assert manifest["cluster"].is_unique
    kept = shutil.copy(data / "circle/003.png", "as in a cache")
    (again,) = measure_files({"circle/003.png": Path(kept)}, load_params().images, 1).to_dict("records")
    (row,) = manifest[manifest["path"] == "circle/003.png"].to_dict("records")
    assert again == {column: row[column] for column in again}, "an image of an earlier version is measured likewise"
    assert (DATA_DOCS / "index.html").is_file()
    summary = json.loads(VALIDATION.read_text())
    assert (summary["images"], summary["classes"], summary["unreadable"], summary["quarantined"]) == (44, 2, 0, 0)
    assert summary["expectations"] == summary["expectations_met"] == 17
    assert pd.read_csv(QUARANTINE).empty
    assert len(json.loads(EXPECTATIONS.read_text())) == 17
    assert not DATA_REPORT.exists(), "that is a later stage's, with the labels audited"


def test_an_error_stops_and_names_the_files_and_leaves_what_shows_them(data: Path) -> None:
    (data / "circle" / "003.png").write_bytes(b"words")
    shutil.copy(data / "circle" / "004.png", data / "square" / "copy.png")
    with pytest.raises(InvalidData) as caught:
        main()
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("  unreadable: 1 of 45 files cannot be decoded: circle/003.png. Repair, replace or del")
    assert "conflicting_duplicate" in lines[2]
    assert "circle/004.png, square/copy.png" in lines[2]
    assert str(DATA_REPORT) in lines[3]
    page = DATA_REPORT.read_text(encoding="utf-8")
    first, text = page.index("Training stopped: 1 of 45 files cannot be decoded: circle/003.png."), page.index("<h2 id")
    assert first < page.index("2 of 45 files have identical copies under another label") < text
    assert "2 images, two labels" in page
    assert "Files can be decoded" not in page
    assert "1 files" not in page
    assert (DATA_DOCS / "index.html").is_file()
    assert ">Evaluation</a>" not in page, "which is not made"
    assert REPORTS_INDEX.read_text().count("Not made yet: <code>nightshift train</code>") == 3
    assert json.loads(VALIDATION.read_text())["faults"]["unreadable"] == 1


@pytest.mark.parametrize("also", [False, True], ids=["alone", "beside a damaged one"])
def test_a_picture_larger_than_a_tile_is_not_to_be_repaired(data: Path, also: bool) -> None:
    params = load_params()
    images = params.images.model_copy(update={"tiles": Tiles(size=512)})
    Image.new("RGB", (600, 65)).save(data / "circle" / "large.png")
    if also:
        (data / "circle" / "damaged.png").write_bytes(b"words")
    judged = with_scenes(
        Judgement(
            table="files", fault="unreadable", words="", expected="", status="error", found="", rows=46, unknown=0,
            missed=1 + also, examples=(), values=(), error="", wrong="cannot be decoded", remedy="Repair them.",
        ),
        look(params.model_copy(update={"images": images}), read_metadata(METADATA)),
    )  # fmt: skip
    said = (
        "larger than a tile of images.tiles: cut it with `nightshift data tiles SOURCE FOLDER`, import the tiles and "
        "delete it here."
    )
    assert judged.remedy == (f"1 of them is {said} Repair them." if also else f"It is {said}")


def test_a_warning_is_said_and_does_not_stop(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Image.open(data / "circle" / "004.png") as image:
        image.save(data / "circle" / "again.jpg", "PNG")
    caplog.set_level("INFO", "nightshift")
    main()
    assert "wrong_extension: 1 of 45 files is not what its name says: circle/again.jpg. Rename it." in caplog.text


def test_bad_files_are_left_out_when_asked_and_listed_and_never_deleted(data: Path) -> None:
    (data / "circle" / "003.png").write_bytes(b"words")
    Image.new("RGB", (80, 70), (90, 90, 90)).save(data / "square" / "blank.png")
    change_params(Path(), {"validate": {"quarantine": ["unreadable", "blank"]}})
    main()
    listed = pd.read_csv(QUARANTINE, keep_default_na=False)
    assert listed[["path", "quarantined"]].to_numpy().tolist() == [
        ["circle/003.png", "unreadable"], ["square/blank.png", "blank"],
    ]  # fmt: skip
    assert listed["error"][0] == "not an image in a known format"
    assert (data / "circle" / "003.png").read_bytes() == b"words"
    assert len(pd.read_parquet(MANIFEST)) == 45, "the manifest has them all"


def test_near_copies_form_a_cluster_whatever_their_format_and_size(data: Path) -> None:
    with Image.open(data / "circle" / "004.png") as image:
        image.save(data / "circle" / "as.jpg", quality=70)
        image.resize((160, 140)).save(data / "circle" / "large.webp")
    manifest = look(load_params(), read_metadata(METADATA)).set_index("path")
    names = ["circle/004.png", "circle/as.jpg", "circle/large.webp"]
    assert manifest.loc[names, "cluster"].nunique() == 1
    assert manifest["cluster"].nunique() == 44


def test_given_splits_and_groups_come_from_the_side_table(data: Path) -> None:
    METADATA.write_text("path,split,patient\ncircle/000.png,test,p1\ncircle/001.png,,p1\nlost.png,,p2\n")
    change_params(Path(), {"preprocess": {"group_column": "patient"}})
    manifest = look(load_params(), read_metadata(METADATA)).set_index("path")
    assert manifest.loc["circle/000.png", "split"] == "test"
    assert list(manifest.loc[["circle/000.png", "circle/001.png"], "group"]) == ["p1", "p1"]
    assert manifest["group"].notna().sum() == 2


def test_a_row_without_its_image_and_groups_of_another_name_are_warnings(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    METADATA.write_text("path,patient_id\ncircle/000.png,7\ncircle/001.png,7\nlost.png,8\n")
    caplog.set_level("INFO", "nightshift")
    main()
    said = "orphaned_metadata: 1 row of metadata.csv belongs to no image. Correct its path, or delete it."
    assert said in caplog.text
    assert "its column patient_id has one value for several images" in caplog.text


def test_without_an_earlier_version_there_is_no_drift(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nightshift")
    assert manifest_at("HEAD", pd.DataFrame(), lambda files: pd.DataFrame()) is None
    assert "No earlier images to compare with (validate.baseline is HEAD), so drift is not checked." in caplog.text


def test_a_file_that_may_not_be_read_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.name == "007.png":
            raise PermissionError(13, os.strerror(13), str(file))
        return real(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(InvalidData, match=r"circle/007\.png, square/007\.png"):
        main()
