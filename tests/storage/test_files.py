"""Files are written whole or not at all."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.files import read_json, replacing, sha256, sha256_of_file, write_json


class Interrupted(Exception):  # noqa: N818
    """What goes wrong in the middle of writing."""


def write_folder(folder: Path, **files: str) -> None:
    (folder / "deep").mkdir(parents=True)
    for name, text in files.items():
        (folder / "deep" / name).write_text(text)


def read_folder(folder: Path) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("old", [None, "old, and longer than the new one"], ids=["new", "replaced"])
def test_a_file_appears_when_it_is_complete(tmp_path: Path, old: str | None) -> None:
    file = tmp_path / "missing" / "a.csv"
    if old is not None:
        file.parent.mkdir()
        file.write_text(old)
    with replacing(file) as beside:
        assert beside.name == file.name, "writers look at the ending"
        beside.write_text("new")
        assert (file.read_text() if file.exists() else None) == old
    assert file.read_text() == "new"
    assert os.listdir(file.parent) == ["a.csv"]


def test_a_folder_replaces_an_old_one_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    write_folder(folder, old="1", both="1")
    with replacing(folder) as beside:
        write_folder(beside, new="2", both="2")
        assert read_folder(folder) == {"deep/old": "1", "deep/both": "1"}
    assert read_folder(folder) == {"deep/new": "2", "deep/both": "2"}
    assert os.listdir(tmp_path) == ["docs"]


@pytest.mark.parametrize("old", [False, True], ids=["nothing before", "something before"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_failure_leaves_what_was_there_and_no_leftovers(tmp_path: Path, kind: str, old: bool) -> None:
    path = tmp_path / "out"
    if old and kind == "file":
        path.write_text("old")
    if old and kind == "folder":
        write_folder(path, a="old")

    def spoil() -> None:
        with replacing(path) as beside:
            if kind == "file":
                beside.write_text("half")
            else:
                write_folder(beside, a="half")
            raise Interrupted

    with pytest.raises(Interrupted):
        spoil()
    assert os.listdir(tmp_path) == (["out"] if old else [])
    if old:
        assert (path.read_text() if kind == "file" else read_folder(path)["deep/a"]) == "old"


def test_writing_nothing_is_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=8,
    )
)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "value.json"
    write_json(file, value)
    assert read_json(file) == value
    assert file.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("size", [0, 1, 2**18 + 1], ids=["empty", "one byte", "more than a piece"])
def test_a_files_hash_is_its_bytes_hash(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "a").write_bytes(data)
    assert sha256_of_file(tmp_path / "a") == sha256(data) == hashlib.sha256(data).hexdigest()
