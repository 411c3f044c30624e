"""The demo set is written to data/raw as published, and never mixes with other images."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.sources.demo import DemoError, write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo set in `raw` and its side table."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder / "raw")
    return folder


def files_of(folder: Path) -> dict[str, int]:
    """Every file with its time of change."""
    return {
        file.relative_to(folder).as_posix(): file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()
    }


def images_of(demo: Path) -> list[str]:
    return [name for name in files_of(demo / "raw") if name != "metadata.csv"]


def test_the_demo_set_is_the_published_one(demo: Path) -> None:
    names = images_of(demo)
    assert len(names) == 2624
    assert sum(name.startswith("functional/") for name in names) == 1803
    assert sum(name.startswith("defective/") for name in names) == 821


def test_the_side_table_has_one_row_an_image(demo: Path) -> None:
    table = pd.read_csv(demo / "raw" / "metadata.csv")
    assert list(table.columns) == ["path", "defect_probability", "cell_type"]
    assert list(table["path"]) == sorted(images_of(demo))
    assert set(table["cell_type"]) == {"mono", "poly"}
    assert (table["path"].str.startswith("defective/") == (table["defect_probability"] >= 0.5)).all()


def test_writing_it_again_rewrites_no_image_and_says_the_same(demo: Path) -> None:
    before, table = files_of(demo / "raw"), (demo / "raw" / "metadata.csv").read_bytes()
    counts = write_demo(demo / "raw")
    assert counts.to_dict() == {"functional": 1803, "defective": 821}
    assert files_of(demo / "raw") == before
    assert (demo / "raw" / "metadata.csv").read_bytes() == table


def test_an_image_that_was_lost_or_spoilt_comes_back(demo: Path) -> None:
    first, second, *_ = sorted((demo / "raw" / "defective").iterdir())
    right = first.read_bytes(), second.read_bytes()
    first.unlink()
    second.write_bytes(b"spoilt")
    write_demo(demo / "raw")
    assert (first.read_bytes(), second.read_bytes()) == right
    assert len(images_of(demo)) == 2624


@pytest.mark.parametrize("name", ["cat/1.jpg", "defective/mine.png", "notes.txt"])
def test_images_of_somebody_are_never_mixed_with_the_demo_set(tmp_path: Path, name: str) -> None:
    (tmp_path / "raw" / name).parent.mkdir(parents=True)
    (tmp_path / "raw" / name).write_bytes(b"mine")
    with pytest.raises(DemoError, match=rf"holds other images already \(for example .*{name}\).*Move them away"):
        write_demo(tmp_path / "raw")
    assert list(files_of(tmp_path)) == [f"raw/{name}"]


def test_what_else_is_known_of_the_demo_images_stays(demo: Path) -> None:
    file = demo / "raw" / "metadata.csv"
    before = file.read_bytes()
    pd.read_csv(file, dtype=str).assign(group="g").to_csv(file, index=False)
    write_demo(demo / "raw")
    assert set(pd.read_csv(file)["group"]) == {"g"}
    file.write_bytes(before)
