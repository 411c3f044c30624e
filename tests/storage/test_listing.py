"""What is listed of a folder, in what order, and what is never opened."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.images.formats import EXTENSIONS
from pipeline.storage.listing import ListingError, list_images, order_of
from tests.fixtures.images import save_image


def paths(folder: Path) -> list[str]:
    return [listed.path for listed in list_images(folder)]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_a_folder_is_walked_depth_first_in_the_order_of_bytes(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/z.jpg", "B.jpg", "a/b/c.jpg", "ä.jpg", "10.jpg", "9.jpg", "a.jpg")
    assert paths(tmp_path) == ["10.jpg", "9.jpg", "B.jpg", "a/b/c.jpg", "a/z.jpg", "a.jpg", "b.jpg", "ä.jpg"]


def test_each_file_comes_with_its_size_and_time(tmp_path: Path) -> None:
    file = save_image(tmp_path / "a.png")
    os.utime(file, ns=(1, 1_700_000_000_000_000_001))
    (listed,) = list_images(tmp_path)
    assert (listed.path, listed.bytes, listed.modified_ns) == ("a.png", file.stat().st_size, 1_700_000_000_000_000_001)


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_a_known_extension_is_listed_in_any_case_whatever_is_inside(tmp_path: Path, extension: str) -> None:
    names = {f"1.{extension}", f"2.{extension.upper()}", f"3.{extension.title()}", f"4.tar.{extension}"}
    touch(tmp_path, *names)
    assert set(paths(tmp_path)) == names


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "tif", "bmp", "jp2", "webp", "avif"])
def test_an_image_without_an_images_name_is_found_by_its_first_bytes(tmp_path: Path, kind: str) -> None:
    save_image(tmp_path / f"a.{kind}").rename(tmp_path / "photo")
    (tmp_path / "copy.bak").write_bytes((tmp_path / "photo").read_bytes())
    assert paths(tmp_path) == ["copy.bak", "photo"]


FIRST_BYTES = {
    "DICOM": bytes(128) + b"DICM",
    "HEIC": b"\0\0\0\x18ftypheic",
    "HEIC of 10 bits": b"\0\0\0\x18ftypheix",
    "HEIF": b"\0\0\0\x1cftypmif1",
    "HEIF sequence": b"\0\0\0\x1cftypmsf1",
    "AVIF sequence": b"\0\0\0\x1cftypavis",
    "BigTIFF": b"II+\0\x08\0\0\0",
    "big-endian BigTIFF": b"MM\0+\0\x08\0\0",
}


@pytest.mark.parametrize("start", FIRST_BYTES.values(), ids=FIRST_BYTES)
def test_the_first_bytes_of_a_format_are_known_and_their_likes_are_not(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "IM000001").write_bytes(start + b"more")
    (tmp_path / "film").write_bytes(b"\0\0\0\x18ftypmp42more")
    (tmp_path / "late").write_bytes(b"x" + start)
    (tmp_path / "short").write_bytes(start[:3] if start[0] else start[:7])
    assert paths(tmp_path) == ["IM000001"]


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "jpg",
        "a.jpg.txt",
        "empty",
        ".hidden.jpg",
        ".git/a.jpg",
        "__MACOSX/a.jpg",
        "Thumbs.db",
        "a/.b/c.jpg",
    ],
)
def test_what_is_no_image_of_the_user_is_not_listed(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name, "seen.jpg")
    if name == "empty":
        (tmp_path / name).write_bytes(b"")
    assert paths(tmp_path) == ["seen.jpg"]


def test_a_thumbs_db_is_not_listed_even_with_an_images_first_bytes(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg").rename(tmp_path / "Thumbs.db")
    assert paths(tmp_path) == []


def test_links_to_files_inside_are_followed_and_all_others_are_not(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root, "real.jpg", "deep/file.jpg")
    touch(outside, "secret.jpg")
    links = {
        "inside.jpg": "deep/file.jpg", "through.jpg": "inside.jpg", "absolute.jpg": str(root / "real.jpg"),
        "out.jpg": str(outside / "secret.jpg"), "up.jpg": "../outside/secret.jpg", "broken.jpg": "none.jpg",
        "self.jpg": "self.jpg", "ring1.jpg": "ring2.jpg", "ring2.jpg": "ring1.jpg",
        "folder.jpg": "deep", "back": ".", "away": str(outside),
    }  # fmt: skip
    for name, to in links.items():
        (root / name).symlink_to(to)
    (root / "deep" / "parent").symlink_to("..")
    assert paths(root) == ["absolute.jpg", "deep/file.jpg", "inside.jpg", "real.jpg", "through.jpg"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "root/real.jpg")
    (tmp_path / "root" / "link.jpg").symlink_to("real.jpg")
    (tmp_path / "way").symlink_to("root")
    assert paths(tmp_path / "way") == ["link.jpg", "real.jpg"]


@pytest.fixture
def far_below(tmp_path: Path) -> Iterator[Callable[[str, int], int]]:
    """Makes so many folders of a name, each in the one before, and opens the last. What it made is removed after."""
    opened: list[int] = []

    def make(name: str, count: int) -> int:
        opened.append(os.open(tmp_path, os.O_RDONLY))
        for _ in range(count):
            os.mkdir(name, dir_fd=opened[-1])
            opened.append(os.open(name, os.O_RDONLY, dir_fd=opened[-1]))
            os.close(opened.pop(-2))
        return opened[-1]

    yield make
    for handle in opened:
        os.close(handle)
    for entry in tmp_path.iterdir():  # Python's own way to remove folders ends at a thousand levels
        subprocess.run(["rm", "-rf", entry], check=True)


def test_folders_may_be_nested_as_deep_as_a_path_is_long(tmp_path: Path, far_below: Callable[[str, int], int]) -> None:
    last = far_below("a", 1200)
    os.close(os.open("x.jpg", os.O_CREAT, dir_fd=last))
    touch(tmp_path, "b.jpg", "a/b.jpg")
    assert paths(tmp_path) == ["a/" * 1200 + "x.jpg", "a/b.jpg", "b.jpg"]


def test_a_file_of_which_only_its_folder_tells_is_listed(tmp_path: Path, far_below: Callable[[str, int], int]) -> None:
    """Here its path is too long to be asked for; more often the folder may be read and not searched."""
    room = 4096 - len(str(tmp_path)) - 100
    last = far_below("b" * 100, room // 101)
    for name in ("short.jpg", "long" * 60 + ".jpg", "long" * 60 + ".txt"):
        os.close(os.open(name, os.O_CREAT, dir_fd=last))
    found = list(list_images(tmp_path))
    assert [Path(listed.path).name for listed in found] == ["long" * 60 + ".jpg", "short.jpg"]
    assert found[0].bytes == 0


def test_the_order_is_that_of_its_key(tmp_path: Path) -> None:
    files = [b"a.jpg", b"a-1.jpg", b"\xff.jpg", b"\xc3\xa4.jpg", b"\xf0\x9f\x8d\x8e.jpg", b"\xef\xbf\xbf.jpg"]
    files += [folder + name for folder in (b"a/", b"a b/") for name in (b"0.jpg", b"\xfe.jpg")]
    touch(tmp_path, *map(os.fsdecode, files))
    found = paths(tmp_path)
    assert len(found) == 10
    assert found == sorted(found, key=order_of)


@pytest.mark.timeout(10)  # opening a pipe that nobody writes to waits for ever
def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    for name in ("pipe", "pipe.jpg"):
        os.mkfifo(tmp_path / name)
        (tmp_path / f"link-{name}").symlink_to(name)
    touch(tmp_path, "seen.jpg")
    assert paths(tmp_path) == ["seen.jpg"]


@pytest.mark.parametrize(
    "name",
    [b"a\nb.jpg", b"\xff\xfe.jpg", b"a'\"b,c.jpg", b"=1+1.jpg", b" .jpg", b"\\.jpg", b"\t.jpg", b"-rf.jpg"],
    ids=["newline", "no UTF-8", "quotes", "formula", "blank", "backslash", "tab", "option"],
)
def test_any_name_is_listed_and_leads_back_to_the_file(tmp_path: Path, name: bytes) -> None:
    for folder in (b"", b"sub-" + name):
        (tmp_path / os.fsdecode(folder)).mkdir(exist_ok=True)
        (tmp_path / os.fsdecode(folder) / os.fsdecode(name)).write_bytes(name)
    found = paths(tmp_path)
    assert len(found) == 2
    assert [(tmp_path / path).read_bytes() for path in found] == [name, name]
    assert os.fsdecode(name) in found


def test_a_folder_that_is_none_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ListingError, match="none does not exist; it must be a folder of images"):
        list(list_images(tmp_path / "none"))
    file = save_image(tmp_path / "a.jpg")
    with pytest.raises(ListingError, match="jpg is a file; it must be a folder of images"):
        list(list_images(file))


def test_an_empty_folder_is_an_empty_listing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert paths(tmp_path) == []
