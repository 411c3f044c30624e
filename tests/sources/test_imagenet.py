"""First labels by ImageNet's classes: of photographs that Matplotlib and scikit-learn ship."""

import csv
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from flows.cli.models import most_frequent
from pipeline.sources.copy import import_from
from tests.fixtures.project import REPOSITORY, nightshift

PHOTOGRAPHS = {
    "hopper.jpg": "matplotlib/mpl-data/sample_data/grace_hopper.jpg",  # a woman in uniform
    "palace.jpg": "sklearn/datasets/images/china.jpg",  # the summer palace in Peking
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, place in PHOTOGRAPHS.items():
        package, _, path = place.partition("/")
        with as_file(files(package) / path) as file:
            shutil.copy(file, folder / name)
    return folder


def test_photographs_are_named_by_what_they_show_and_a_broken_file_is_a_warning(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes((photos / "hopper.jpg").read_bytes()[:9_000])
    table = tmp_path / "labels.csv"
    said = nightshift("label", "--imagenet", str(photos), str(table), cwd=REPOSITORY)
    rows = {Path(row["path"]).name: row for row in csv.DictReader(table.open(encoding="utf-8", newline=""))}
    assert [*rows] == ["hopper.jpg", "palace.jpg"]
    assert [row["label"] for row in rows.values()] == ["military uniform", "palace"]
    for row in rows.values():
        assert 1 > float(row["confidence"]) > float(row["confidence_2"]) > 0
    assert "2 images, 2 names: military uniform 1, palace 1" in said.stdout
    assert f"Check the labels in {table}, then run `nightshift data import {table}`" in said.stdout
    assert "1 files could not be read and have no row: broken.jpg (" in said.stderr

    import_from(str(table), tmp_path / "raw")
    assert sorted(file.name for file in (tmp_path / "raw").glob("*/*.jpg")) == [*rows]


def test_a_table_that_somebody_may_have_checked_stays(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("checked")
    done = nightshift("label", "--imagenet", str(photos), str(table), cwd=REPOSITORY, check=False)
    assert done.returncode != 0
    assert f"{table} exists, and may hold labels that somebody has checked. Name another file." in done.stderr
    assert table.read_text() == "checked"


@pytest.mark.parametrize("words", [(), ("--imagenet", "--zero-shot", "a cat, a dog")], ids=["neither", "both"])
def test_one_way_to_label_is_asked_for(photos: Path, words: tuple[str, ...]) -> None:
    done = nightshift("label", *words, str(photos), cwd=REPOSITORY, check=False)
    assert done.returncode == 2
    assert "give one of the two: --imagenet, or --zero-shot" in done.stderr


def test_the_summary_begins_with_the_most_frequent_name() -> None:
    counts = {"crane": 0, "hen": 3, "jay": 12, "ant": 3, "bee": 1, "fly": 1, "tick": 1}
    assert most_frequent(counts) == "21 images, 6 names: jay 12, ant 3, hen 3, bee 1, fly 1 and 1 more"
