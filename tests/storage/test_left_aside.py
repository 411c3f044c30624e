"""What is no image of the user is not listed; what might have been meant as one is counted and named."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.hidden import is_hidden
from pipeline.storage.left_aside import LeftAside, Tally
from pipeline.storage.listing import in_dvc_cache, list_files, list_images
from tests.fixtures.sources import write_files

NAS = (
    "@eaDir", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information", "lost+found", "@Recycle",
    "@Recently-Snapshot", "#snapshot", "@tmp", "@SynoResource", "RECYCLER", "FOUND.000", "LOST.DIR", ".Trash-1000",
    "__MACOSX",
)  # fmt: skip


def listed(folder: Path) -> tuple[list[str], LeftAside]:
    tally = Tally()
    return [image.path for image in tally.images(list_files(folder))], tally.found()


@pytest.mark.parametrize("name", NAS)
def test_folders_of_disks_and_nas_are_nobodys_images(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, f"{name}/1.jpg", f"cat/{name}/deep/2.jpg", "cat/3.jpg")
    assert listed(tmp_path) == (["cat/3.jpg"], LeftAside())


@pytest.mark.parametrize("name", ["recycled", "recycler", "snapshot", "@home", "#1", "lost and found", "tmp"])
def test_a_label_that_only_sounds_like_one_is_a_label(name: str) -> None:
    assert not is_hidden(name)


def test_other_files_are_counted_by_their_endings(tmp_path: Path) -> None:
    write_files(tmp_path, *(f"DCIM/{number}.jpg" for number in range(5)), "a.MP4", "b.mp4", "DCIM/c.mp4", "d.cr3")
    write_files(tmp_path, "e.zip", "f.PDF", "README")
    images, found = listed(tmp_path)
    assert len(images) == 5
    assert found.lines == ["7 other files skipped: 3 .mp4, 1 .cr3, 1 .pdf, 1 .zip, 1 without an ending."]


def test_what_only_has_an_images_name_is_counted_too(tmp_path: Path) -> None:
    write_files(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "2.jpg")
    images, found = listed(tmp_path)
    assert (images, found.file_names) == (["1.jpg"], ("2.jpg",))


def test_what_we_write_beside_images_is_not_said_to_be_skipped(tmp_path: Path) -> None:
    write_files(tmp_path, "gate-2/1.jpg", "gate-2/1.xmp", "gate-2/1.jpg.XMP", "gate-2/collected.csv", "gate-2/gaps.csv")
    assert listed(tmp_path) == (["gate-2/1.jpg"], LeftAside())


def test_links_that_are_not_followed_are_named(tmp_path: Path) -> None:
    write_files(tmp_path, "blobs/0a", "blobs/0b", "photos/cat/1.jpg", "elsewhere/dog/2.jpg")
    photos = tmp_path / "photos"
    (photos / "cat/2.jpg").symlink_to("../../blobs/0a")
    (photos / "cat/3.jpg").symlink_to("1.jpg")
    (photos / "dog").symlink_to(tmp_path / "elsewhere/dog")
    (photos / "gone.jpg").symlink_to("nowhere.jpg")
    images, found = listed(photos)
    assert images == ["cat/1.jpg", "cat/3.jpg"]
    assert (found.links, found.link_names) == (3, ("cat/2.jpg", "dog", "gone.jpg"))
    assert found.lines[0].startswith("3 links were not followed (only links to files inside the folder are): cat/2.jpg")


@pytest.mark.parametrize(
    ("place", "is_object"),
    [
        (".dvc/cache/files/md5/ab/" + 30 * "c", True),
        ("/mnt/shared/files/md5/ab/" + 30 * "c", True),
        (".dvc/cache/ab/" + 30 * "c", True),
        (".dvc/cache/files/md5/ab/" + 29 * "c", False),
        ("/home/me/files/ab/" + 30 * "c", False),
        ("/etc/passwd", False),
    ],
)
def test_an_object_of_a_dvc_cache_is_known_by_its_place(place: str, is_object: bool) -> None:
    assert in_dvc_cache(Path(place)) == is_object


def test_links_into_dvcs_cache_count_as_files_of_data_raw(tmp_path: Path) -> None:
    cache = tmp_path / "cache/files/md5/ab"
    write_files(cache, 30 * "c")
    (tmp_path / "raw/cat").mkdir(parents=True)
    (tmp_path / "raw/cat/1.jpg").symlink_to(cache / (30 * "c"))
    assert [image.path for image in list_images(tmp_path / "raw", in_dvc_cache)] == ["cat/1.jpg"]
    assert [*list_images(tmp_path / "raw")] == [], "in a folder of photographs no link leads out"


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_without_rights_costs_its_own_files_and_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = write_files(Path(name), "a/1.jpg", "b/2.jpg", "c/3.jpg")
        folder.chmod(0o755)
        (folder / "b").chmod(0)
        with without_roots_rights():
            images, found = listed(folder)
        (folder / "b").chmod(0o755)
    assert images == ["a/1.jpg", "c/3.jpg"]
    assert found.lines[0].startswith(
        "1 folder could not be read (permission denied), so the files in there are missing: b."
    )


def test_the_index_of_a_dicom_disk_is_no_image(tmp_path: Path) -> None:
    for name in ("DICOMDIR", "cat/IM0001"):
        write_files(tmp_path, name)
        (tmp_path / name).write_bytes(bytes(128) + b"DICM and more")
    assert listed(tmp_path)[0] == ["cat/IM0001"]
