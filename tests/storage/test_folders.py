"""What a folder of this machine does, one of a store does too: the same calls, the same answers."""

import os
from pathlib import Path

import pytest
from distributed.protocol import deserialize_bytes, serialize_bytes

from pipeline.core.disk_errors import DiskError
from pipeline.storage.addresses import place
from pipeline.storage.folders import Folder, UnfitFile, folder_at
from pipeline.storage.output_lock import LedgerError
from tests.fixtures.images import save_image


@pytest.fixture(params=["local", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a folder may be made."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/a folder"
    return str(tmp_path / "a folder") if request.param == "local" else f"memory://{abs(hash(tmp_path))}/a folder"


@pytest.fixture
def folder(address: str) -> Folder:
    return folder_at(address)


def test_a_folder_is_a_value_that_travels_and_prints_as_it_was_typed(folder: Folder, address: str) -> None:
    assert str(folder) == address
    assert folder == folder_at(place(address)) == deserialize_bytes(serialize_bytes(folder))  # as Dask sends it
    assert len({folder, folder_at(address), folder / "deep"}) == 2
    assert str(folder / "deep" / "er") == f"{address}/deep/er"
    assert (folder.name, (folder / "deep").name) == ("a folder", "deep")
    assert folder.absolute() == folder


def test_what_is_written_is_read_listed_and_deleted(folder: Folder) -> None:
    assert folder.names() == folder.names("none") == []
    assert not folder.exists("a.txt")
    folder.write("a.txt", b"old")
    folder.write("a.txt", b"new")
    with folder.replacing("deep/b.txt") as beside:
        assert beside.name == "b.txt", "writers look at the ending"
        beside.write_bytes(b"b")
    assert (folder.read("a.txt"), folder.read("deep/b.txt"), (folder / "deep").read("b.txt")) == (b"new", b"b", b"b")
    assert sorted(folder.names()) == ["a.txt", "deep"]
    assert folder.exists()
    folder.delete("a.txt")
    folder.delete("a.txt")
    folder.sync()
    assert folder.names() == ["deep"]
    folder.delete_tree()
    folder.delete_tree()
    assert not folder.exists("deep/b.txt")
    with pytest.raises(FileNotFoundError):
        folder.read("a.txt")


def test_what_fails_while_it_is_written_leaves_the_old(folder: Folder) -> None:
    folder.write("a.txt", b"old")

    def spoil() -> None:
        with folder.replacing("a.txt") as beside:
            beside.write_bytes(b"half")
            raise LookupError

    with pytest.raises(LookupError):
        spoil()
    assert (folder.read("a.txt"), folder.names()) == (b"old", ["a.txt"])


def test_many_files_are_written_at_once_and_come_to_hand(folder: Folder) -> None:
    many = {f"{number:05d}.json": str(number).encode() for number in range(50)}
    (folder / "many").write_all(iter(many.items()))
    assert set(folder.names("many")) == set(many)
    with (folder / "many").at_hand() as here:
        assert {file.name: file.read_bytes() for file in here.iterdir()} == many


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_file_is_read_up_to_a_length(folder: Folder, size: int) -> None:
    folder.write("deep/a.jpg", bytes(size))
    assert folder.read_at_most("deep/a.jpg", 7) == bytes(size)
    if size:
        with pytest.raises(UnfitFile):
            folder.read_at_most("deep/a.jpg", size - 1)
    with pytest.raises(FileNotFoundError):
        folder.read_at_most("none.jpg", 7)


def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnfitFile, match="no longer a regular file"):
        folder_at(tmp_path).read_at_most("a.jpg", 7)


def test_images_are_listed_the_same_everywhere(folder: Folder, tmp_path: Path) -> None:
    image = save_image(tmp_path / "image.png").read_bytes()
    for name, data in {"b.jpg": image, "a/1": image, "a.jpg": b"", "notes.txt": b"no image"}.items():
        folder.write(name, data)
    assert [listed.path for listed in folder.list_images()] == ["a/1", "a.jpg", "b.jpg"]


def test_a_folder_contains_itself_and_what_is_inside(folder: Folder, address: str, tmp_path: Path) -> None:
    assert folder.contains(folder)
    assert folder.contains(folder / "deep")
    for other in (f"{address}er", str(tmp_path.parent), "memory://elsewhere", "/"):
        assert not folder.contains(folder_at(other))


def test_only_a_disk_has_no_room(folder: Folder) -> None:
    if folder.local:
        with pytest.raises(DiskError, match=r"MB free, and a very long night takes about .* MB in .*a folder\."):
            folder.require_room(10**18, "a very long night")
    else:
        folder.require_room(10**18, "a very long night")


def test_what_killed_processes_left_beside_is_swept(tmp_path: Path) -> None:
    left = [".a.csv.x.tmp/a.csv", ".nightshift/parts/.0.csv.x.tmp/0.csv"]
    for name in (*left, ".nightshift/parts/1.csv", "b.tmp/b"):
        folder_at(tmp_path).write(name, b"half")
    folder_at(tmp_path).sweep()
    files = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {".nightshift/parts/1.csv", "b.tmp/b"}


def test_json_comes_back(folder: Folder) -> None:
    folder.write_json("a.json", {"ä": [1, None]})
    assert folder.read("a.json") == '{\n  "ä": [\n    1,\n    null\n  ]\n}\n'.encode()
    assert folder.read_json("a.json") == {"ä": [1, None]}


def test_a_folder_is_held_by_one_run(folder: Folder) -> None:
    folder.require()
    with folder.hold():
        folder.require()
        with pytest.raises(LedgerError, match=r"a folder is in use by process \d+ on"), folder.hold():
            pass
    with folder.hold():
        pass
