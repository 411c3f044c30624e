"""An import brings every image to its place, once, whole, and changes nothing else."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from filelock import FileLock

from pipeline.data.label_folders import label_of
from pipeline.data.side_table import read_metadata
from pipeline.sources.copy import import_from, is_settled
from pipeline.sources.import_plan import ImportingError
from pipeline.sources.layout import Found, SourceError
from pipeline.storage.listing import list_images
from tests.fixtures.project import REPOSITORY
from tests.fixtures.sources import PETS, SPLIT_PETS, content, take, tar_of, tree, write_files, zip_of


def raw(project: Path) -> dict[str, bytes]:
    """What lies in data/raw; nothing else may be left in data."""
    assert os.listdir(project / "data") in ([], ["raw"])
    return tree(project / "data" / "raw") if (project / "data" / "raw").exists() else {}


def table(project: Path) -> dict[str, list[str]]:
    frame = read_metadata(project / "data" / "raw" / "metadata.csv")
    return {str(column): list(values) for column, values in frame.items()}


def times(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_ino) for file in folder.rglob("*") if file.is_file()}


def test_class_folders_come_as_they_are_and_need_no_side_table(tmp_path: Path) -> None:
    done = take(write_files(tmp_path / "pets", *PETS, "notes.txt"), tmp_path)
    assert raw(tmp_path) == {name: content(name) for name in PETS}
    assert done.new == done.total == Counter({"cat": 2, "dog": 1})
    assert (done.replaced, done.there, done.splits, done.left_aside) == (Counter(), Counter(), Counter(), 1)


def test_splits_are_kept_and_the_same_name_in_two_splits_is_two_images(tmp_path: Path) -> None:
    done = take(write_files(tmp_path / "pets", *SPLIT_PETS), tmp_path)
    assert raw(tmp_path).keys() == {
        "cat/train/1.jpg", "cat/val/1.jpg", "dog/test/deep/1.jpg", "metadata.csv"
    }  # fmt: skip
    assert table(tmp_path) == {
        "path": ["cat/train/1.jpg", "cat/val/1.jpg", "dog/test/deep/1.jpg"],
        "split": ["train", "val", "test"],
    }
    assert done.splits == {("cat", "train"): 1, ("cat", "val"): 1, ("dog", "test"): 1}


ODD = [
    "n/a",
    "..",
    ".5 mm",
    "=1+1",
    "100%",
    "a\\b",
    'it\'s "so"',
    "café",
    "@eaDir",
    "猫😀",
    "end.",
    "metadata.csv",
]


def test_odd_labels_come_through_a_table_and_back(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(len(ODD))]
    write_files(tmp_path / "photos", *names)
    frame = pd.DataFrame({"path": names, "label": ODD, "group": ODD, "n": range(len(ODD))})
    frame.to_csv(tmp_path / "photos" / "t.csv", index=False)
    assert take(tmp_path / "photos" / "t.csv", tmp_path).total == Counter(ODD)
    found = [listed.path.split("/") for listed in list_images(tmp_path / "data" / "raw")]
    assert {name: label_of(folder) for folder, name in found} == dict(zip(names, ODD, strict=True))
    rows = table(tmp_path)
    assert [label_of(path.split("/")[0]) for path in rows["path"]] == rows["group"]
    assert rows["path"] == sorted(rows["path"])
    assert set(rows) == {"path", "group", "n"}


def test_two_sources_share_the_side_table(tmp_path: Path) -> None:
    write_files(tmp_path / "a", "1.jpg", "2.jpg")
    (tmp_path / "a" / "t.csv").write_text("path,label,group\n2.jpg,cat,g2\n1.jpg,cat,g1\n")
    take(tmp_path / "a" / "t.csv", tmp_path)
    take(write_files(tmp_path / "b", "train/cat/1.jpg"), tmp_path, into="b")
    (tmp_path / "a" / "t.csv").write_text("path,label,group,site\n2.jpg,cat,new,=1+1\n")
    assert take(tmp_path / "a" / "t.csv", tmp_path).there == {"cat": 1}
    assert table(tmp_path) == {
        "path": ["cat/1.jpg", "cat/2.jpg", "cat/b/train/1.jpg"],
        "group": ["g1", "new", ""],
        "split": ["", "", "train"],
        "site": ["", "=1+1", ""],
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "memory", "table"])
def test_the_same_import_again_copies_nothing(tmp_path: Path, kind: str) -> None:
    folder = write_files(tmp_path / "pets", *PETS)
    source: Path | str = folder
    if kind == "zip":
        source = zip_of(tmp_path / "p.zip", *PETS)
    if kind == "tar.gz":
        source = tar_of(tmp_path / "p.tar.gz", *PETS)
    if kind == "memory":
        source = f"memory://{tmp_path.name}"
        fsspec.filesystem("memory").put(str(folder), f"/{tmp_path.name}", recursive=True)
    if kind == "table":
        source = folder / "t.csv"
        source.write_text("path,label,group\n" + "".join(f"{name},pet,{name}\n" for name in PETS))
    first = take(source, tmp_path)
    before = times(tmp_path / "data")
    again = take(source, tmp_path)
    assert times(tmp_path / "data") == before
    assert (again.new, again.there, again.total) == (Counter(), first.new, first.new)


@pytest.mark.parametrize(
    ("size", "modified", "changed", "settled"),
    [
        pytest.param(5, 100, 200, True, id="as it was left"),
        pytest.param(6, 100, 200, False, id="another size"),
        pytest.param(5, 101, 200, False, id="written later"),
        pytest.param(None, 100, 200, False, id="size not told"),
        pytest.param(5, None, 200, False, id="time not told"),
        pytest.param(5, 100, 159, False, id="copied within a minute of its writing"),
    ],
)
def test_a_far_file_that_has_not_changed_need_not_be_fetched(
    size: int | None, modified: int | None, changed: int, settled: bool
) -> None:
    second = 1_000_000_000
    about = os.stat_result((0o644, 1, 1, 1, 0, 0, 5, 0, 0, 0, 0.0, 0.0, 0.0, 0, 100 * second, changed * second))
    assert is_settled(Found("", "", size, modified and modified * second), about) == settled


def test_other_content_needs_a_word(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", *(f"cat/{number}.jpg" for number in range(7)))
    take(folder, tmp_path)
    before = times(tmp_path / "data")
    for number in range(6):
        (folder / "cat" / f"{number}.jpg").write_bytes(b"IMAGE cat/0.jpg" if number else b"longer than it was before")
    (folder / "cat" / "new.jpg").write_bytes(b"new")
    with pytest.raises(ImportingError, match=r"6 images would replace others.*cat/4\.jpg and 1 more\. Nothing was"):
        take(folder, tmp_path)
    assert times(tmp_path / "data") == before
    done = take(folder, tmp_path, replace=True)
    assert (done.new, done.replaced, done.there) == ({"cat": 1}, {"cat": 6}, {"cat": 1})
    assert raw(tmp_path) == {f"cat/{name}": data for name, data in tree(folder / "cat").items()}


def test_into_keeps_two_sources_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (write_files(tmp_path / name, "cat/1.jpg") / "cat" / "1.jpg").write_bytes(name.encode())
        take(tmp_path / name, tmp_path, into=name)
    assert raw(tmp_path) == {"cat/a/1.jpg": b"a", "cat/b/1.jpg": b"b"}


def test_links_share_the_files_and_leave_the_source_as_it_is(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", *PETS)
    (folder / "dog" / "link.jpg").symlink_to("1.jpg")
    before = times(folder)
    assert take(folder, tmp_path, link=True).new == {"cat": 2, "dog": 2}
    for name in (*PETS, "dog/link.jpg"):
        assert (tmp_path / "data" / "raw" / name).stat().st_ino == (folder / name).stat().st_ino
        assert not (tmp_path / "data" / "raw" / name).is_symlink()
    assert times(folder) == before
    assert take(folder, tmp_path, link=True).there == {"cat": 2, "dog": 2}


def test_links_need_files_of_this_disk(tmp_path: Path) -> None:
    with pytest.raises(ImportingError, match="--link needs a source whose images are files on this machine"):
        take(zip_of(tmp_path / "p.zip", *PETS), tmp_path, link=True)
    fsspec.filesystem("memory").pipe(f"/{tmp_path.name}/cat/1.jpg", b"x")
    with pytest.raises(ImportingError, match="--link needs a source whose images are files on this machine"):
        take(f"memory://{tmp_path.name}", tmp_path, link=True)
    assert raw(tmp_path) == {}


def test_links_to_another_disk_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm", f"nightshift-{os.getpid()}")  # noqa: S108 - another file system, on any Linux
    try:
        with pytest.raises(ImportingError, match=r"images on the disk of the project; 3 are on another: /dev/shm"):
            take(write_files(elsewhere, *PETS), tmp_path, link=True)
    finally:
        shutil.rmtree(elsewhere)
    assert raw(tmp_path) == {}


def test_the_limit_holds_before_anything_is_copied(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", *PETS)
    with pytest.raises(ImportingError, match=r"images are 50 bytes; the limit is 10 bytes\..*--max-gb") as error:
        take(folder, tmp_path, max_gb=1e-8)
    assert error.value.what == "The images are 50 bytes; the limit is 10 bytes. Nothing was copied.", (
        "a page has no options"
    )
    assert raw(tmp_path) == {}


def test_more_than_the_disk_holds_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    with (tmp_path / "pets" / "cat" / "1.jpg").open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free + 10**9)  # a hole, which takes no room itself
    with pytest.raises(ImportingError, match=r"has .* GB free\. Nothing was copied\. Make room"):
        take(tmp_path / "pets", tmp_path, max_gb=1e6)
    assert raw(tmp_path) == {}


@pytest.mark.parametrize("names", [[], ["cat/notes.txt"]], ids=["empty", "no images"])
def test_a_source_without_images_is_refused(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "pets").mkdir()
    with pytest.raises(
        ImportingError, match=r"no images in the source\.( 1 other file skipped: cat/notes\.txt\.)? An image needs"
    ):
        take(write_files(tmp_path / "pets", *names), tmp_path)
    assert raw(tmp_path) == {}


def test_an_image_where_a_folder_is_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "data" / "raw", "cat/1.jpg/deep.jpg")
    with pytest.raises(ImportingError, match=r"cat/1\.jpg is a folder"):
        take(write_files(tmp_path / "pets", "cat/1.jpg"), tmp_path)


@pytest.mark.parametrize("source", [".", "data", "data/raw", "data/raw/cat"])
def test_the_project_does_not_import_itself(tmp_path: Path, source: str) -> None:
    write_files(tmp_path / "data" / "raw", "cat/1.jpg")
    with pytest.raises(ImportingError, match="is inside the other"):
        take(tmp_path / source, tmp_path)


def test_one_import_at_a_time(tmp_path: Path) -> None:
    room = tmp_path / "data" / ".raw.import.tmp"
    room.mkdir(parents=True)
    with FileLock(room / "lock"), pytest.raises(ImportingError, match="Another import .* is running"):
        take(write_files(tmp_path / "pets", *PETS), tmp_path)
    assert take(tmp_path / "pets", tmp_path).new == {"cat": 2, "dog": 1}


def test_an_import_that_fails_on_the_way_leaves_whole_images_and_goes_on(tmp_path: Path) -> None:
    write_files(tmp_path / "pets", *(f"cat/{number:03d}.jpg" for number in range(100)))
    names = [f"../pets/cat/{number:03d}.jpg" for number in range(100)]
    (tmp_path / "t").mkdir()
    lines = "".join(f"{name},cat,{number}\n" for number, name in enumerate(names))
    (tmp_path / "t" / "t.csv").write_text("path,label,group\n" + lines)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "raw" / "cat").write_bytes(b"a file where the class's folder should be")
    with pytest.raises(OSError, match="exists"):
        take(tmp_path / "t" / "t.csv", tmp_path)
    assert len(table(tmp_path)["path"]) == 100  # the rows are there before the images
    (tmp_path / "data" / "raw" / "cat").unlink()
    assert take(tmp_path / "t" / "t.csv", tmp_path).new == {"cat": 100}
    assert len(raw(tmp_path)) == 101


@pytest.mark.parametrize("kind", ["folder", "tar.gz"])
def test_a_killed_import_is_completed_by_the_same_command(tmp_path: Path, kind: str) -> None:
    names = [f"train/cat/{number:04d}.jpg" for number in range(600)]
    source = write_files(tmp_path / "pets", *names) if kind == "folder" else tar_of(tmp_path / "p.tar.gz", *names)
    code = f"from pathlib import Path; from pipeline.sources.copy import import_from as i; i({str(source)!r})"
    (tmp_path / "project").mkdir()
    images = tmp_path / "project" / "data" / "raw" / "cat" / "train"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path / "project", env=environment, stderr=subprocess.DEVNULL
    ) as running:
        while not images.is_dir() or len(os.listdir(images)) < 20:
            assert running.poll() is None
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
    there = tree(tmp_path / "project" / "data" / "raw")
    assert 20 <= len(there) - 1 < 600
    expected = {name.replace("train/cat", "cat/train"): content(name) for name in names}
    assert there.items() - {("metadata.csv", there["metadata.csv"])} <= expected.items()
    assert there["metadata.csv"].count(b"\n") == 601
    done = import_from(str(source), tmp_path / "project" / "data" / "raw")
    assert done.there == {"cat": len(there) - 1}
    assert raw(tmp_path / "project").items() - {("metadata.csv", there["metadata.csv"])} == expected.items()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_the_source_is_never_changed(tmp_path: Path, kind: str) -> None:
    folder = write_files(tmp_path / "src" / "pets", *PETS)
    source = folder if kind == "folder" else zip_of(tmp_path / "src" / "p.zip", *PETS)
    source = tar_of(tmp_path / "src" / "p.tar", *PETS) if kind == "tar" else source
    before = times(tmp_path / "src")
    take(source, tmp_path)
    assert times(tmp_path / "src") == before


def test_a_source_that_is_none_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        take(tmp_path / "none", tmp_path)
    assert raw(tmp_path) == {}
