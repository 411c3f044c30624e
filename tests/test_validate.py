"""Every image is looked at once, and what misses an expectation is named."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.files import sha256
from pipeline.params import Images, Validate
from pipeline.validate import InvalidData, build_manifest, failures, judge
from tests.conftest import save_image

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)
LIMITS = Validate(class_names=None, min_side=30, min_per_class=3)
Spoil = Callable[[Path], object]


def images(raw: Path, *labels: str, count: int = 4) -> Path:
    """So many different images a label, 40 x 30."""
    for label in labels:
        for number in range(count):
            save_image(raw / label / f"{number}.png", seed=1000 * ord(label[0]) + number)
    return raw


def test_the_manifest_says_of_each_file_what_it_is_or_why_it_cannot_be_read(tmp_path: Path) -> None:
    files = {
        "cat/a.png": save_image(tmp_path / "cat" / "a.png", 1),
        "cat/deep/b.jpg": save_image(tmp_path / "cat" / "deep" / "b.jpg", 2, width=50, height=60),
        "dog/c.jpg": tmp_path / "dog" / "c.jpg",
        "dog/d.jpg": tmp_path / "dog" / "d.jpg",
    }
    (tmp_path / "dog").mkdir()
    files["dog/c.jpg"].write_bytes(b"")
    files["dog/d.jpg"].write_text("words")
    (tmp_path / "dog" / "notes.txt").write_text("not listed")
    manifest = build_manifest(tmp_path, RULES, workers=2)

    def expected(path: str, error: str, *about: Any) -> list[Any]:
        data = files[path].read_bytes()
        return [path, path.split("/")[0], error == "", error, len(data), sha256(data), *about]

    rows: list[list[Any]] = manifest.astype(object).where(manifest.notna(), None).to_numpy().tolist()
    assert rows == [
        expected("cat/a.png", "", "PNG", "RGB", 40, 30),
        expected("cat/deep/b.jpg", "", "JPEG", "RGB", 50, 60),
        expected("dog/c.jpg", "the file is empty", None, None, None, None),
        expected("dog/d.jpg", "not an image in a known format", None, None, None, None),
    ]


def test_the_manifest_survives_its_file_whatever_the_number_of_threads(tmp_path: Path) -> None:
    raw = images(tmp_path / "raw", "cat", "dog")
    one, many = (build_manifest(raw, RULES, workers) for workers in (1, 8))
    pd.testing.assert_frame_equal(one, many)
    one.to_parquet(tmp_path / "manifest.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "manifest.parquet"), one)


def test_a_file_without_a_class_is_named(tmp_path: Path) -> None:
    save_image(images(tmp_path, "cat") / "stray.jpg")
    with pytest.raises(InvalidData, match=r"stray\.jpg lie directly in .* Move each into a folder"):
        build_manifest(tmp_path, RULES, 1)


def test_many_files_without_a_class_are_counted(tmp_path: Path) -> None:
    for number in range(7):
        save_image(tmp_path / f"{number}.jpg")
    with pytest.raises(InvalidData, match=r"0\.jpg, 1\.jpg, 2\.jpg, 3\.jpg, 4\.jpg and 2 more lie directly"):
        build_manifest(tmp_path, RULES, 1)


def test_a_folder_without_images_says_how_to_get_some(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(InvalidData, match="holds no images.*nightshift data demo"):
        build_manifest(tmp_path, RULES, 1)


def test_a_name_that_is_no_text_is_named_before_it_spoils_a_table(tmp_path: Path) -> None:
    save_image(tmp_path / "cat" / "a.png").rename(tmp_path / "cat" / os.fsdecode(b"\xff.png"))
    with pytest.raises(InvalidData, match=r"cat/\\xff\.png"):
        build_manifest(tmp_path, RULES, 1)


def judged(raw: Path, limits: Validate = LIMITS) -> list[str]:
    return list(failures(judge(build_manifest(raw, RULES, 2), limits, raw.parent / "docs")))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that meet every expectation: eight of cats and dogs, one of them twice under the same label."""
    raw = images(tmp_path_factory.mktemp("good") / "raw", "cat", "dog")
    shutil.copy(raw / "cat" / "0.png", raw / "cat" / "copy.png")
    return raw


@pytest.mark.parametrize("class_names", [None, ["dog", "cat"]], ids=["every folder", "named classes"])
def test_good_images_meet_every_expectation(good: Path, class_names: list[str] | None) -> None:
    limits = LIMITS.model_copy(update={"class_names": class_names, "min_per_class": 4})
    results = judge(build_manifest(good, RULES, 2), limits, good.parent / "docs")
    assert list(failures(results)) == []
    assert sum(len(result.results) for result in results) == 7


def test_the_data_docs_have_an_index_the_notes_and_the_files_that_miss(good: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(good, tmp_path / "raw")
    (raw / "dog" / "1.png").write_bytes(b"words")
    judge(build_manifest(raw, RULES, 2), LIMITS, tmp_path / "docs")
    assert (tmp_path / "docs" / "index.html").is_file()

    def pages(folder: str) -> str:
        return "".join(file.read_text(encoding="utf-8") for file in (tmp_path / "docs" / folder).rglob("*.html"))

    assert "Every file can be decoded." in pages("expectations")
    assert "Every class has enough images" in pages("expectations")
    assert "dog/1.png" in pages("validations")
    assert "cat/1.png" not in pages("validations")


def swap(one: str, other: str) -> Spoil:
    """`other` becomes a copy of `one`."""
    return lambda raw: shutil.copy(raw / one, raw / other)


@pytest.mark.parametrize(
    ("spoil", "class_names", "said"),
    [
        pytest.param(
            lambda raw: (raw / "dog" / "1.png").write_bytes(b"words"), None,
            ["Every file can be decoded", "1 miss this: dog/1.png."], id="unreadable",
        ),
        pytest.param(
            lambda raw: images(raw, "ant"), ["cat", "dog"],
            ["Every folder is a known class", "4 miss this: ant/0.png, ant/1.png, ant/2.png, ant/3.png."],
            id="unknown label",
        ),
        pytest.param(
            lambda raw: save_image(raw / "dog" / "1.png", 5, width=80, height=29), None,
            ["No image is too small", "1 miss this: dog/1.png."], id="too small",
        ),
        pytest.param(
            swap("cat/1.png", "dog/2.png"), None,
            ["No identical file carries two labels", "2 miss this: cat/1.png, dog/2.png."], id="two labels",
        ),
        pytest.param(
            lambda raw: images(raw, "ant", count=2), None,
            ["Every class has enough images", "1 miss this: ant."], id="few of a class",
        ),
        pytest.param(
            lambda raw: shutil.rmtree(raw / "dog"), None, ["at least two classes", "Found: 1"], id="one class",
        ),
        pytest.param(
            lambda _raw: None, ["cat", "dog", "horse"], ["Every known class has images", "horse"],
            id="no image of a class",
        ),
    ],
)  # fmt: skip
def test_one_fault_is_one_line_that_names_it(
    good: Path, tmp_path: Path, spoil: Spoil, class_names: list[str] | None, said: list[str]
) -> None:
    raw = shutil.copytree(good, tmp_path / "raw")
    spoil(raw)
    (line,) = judged(raw, LIMITS.model_copy(update={"class_names": class_names}))
    assert not [part for part in said if part not in line], line


def test_a_class_of_unreadable_files_only_has_no_images(tmp_path: Path) -> None:
    raw = images(tmp_path / "raw", "cat")
    for number in range(6):
        (raw / "dog").mkdir(exist_ok=True)
        (raw / "dog" / f"{number}.jpg").write_bytes(b"words")
    decoded, enough = judged(raw)
    assert "6 miss this: dog/0.jpg, dog/1.jpg, dog/2.jpg, dog/3.jpg, dog/4.jpg and 1 more." in decoded
    assert "1 miss this: dog." in enough
