"""A disk's error becomes one line with its path: on shares that cannot sync folders, and below closed folders."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.command import run
from pipeline.core.disk_errors import DiskError, disk_error, explained, require_room
from pipeline.night.options import NightOptions
from pipeline.night.planning import begin
from pipeline.params.file import Params
from pipeline.storage import files
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import ListingError, list_images
from tests.fixtures.in_process import run_here

NOBODY = 65534


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """`folder` cannot be searched: not by its owner, nor by root, who is nobody for so long."""
    folder.chmod(0)
    if root := os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def said(action: Callable[[], object]) -> str:
    """What a command prints that ends in this way; it must be one line, and exit status 1."""
    done = run_here(lambda: run(action), ("nightshift",), Path("/"), os.environ)  # type: ignore[arg-type]
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_folder_of_a_disk_that_cannot_sync_folders_is_left_alone() -> None:
    handle = os.open("/proc/self", os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):  # this disk is one of those
        os.fsync(handle)
    os.close(handle)
    files.sync(Path("/proc/self"))


def test_a_file_that_cannot_be_synced_is_an_error_with_its_path() -> None:
    with pytest.raises(OSError, match="Invalid argument: '/proc/self/status'"):
        files.sync(Path("/proc/self/status"))
    assert said(lambda: files.sync(Path("/proc/self/status"))) == ("Error: Invalid argument (/proc/self/status).\n")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENAMETOOLONG, errno.ESTALE, errno.ELOOP])
def test_an_error_without_a_name_gets_the_path_of_what_was_written(tmp_path: Path, number: int) -> None:
    def write() -> None:
        with files.replacing(tmp_path / "part.csv"):
            raise OSError(number, os.strerror(number))

    def explain() -> None:
        with explained(tmp_path / "out"):
            raise OSError(number, os.strerror(number))

    assert said(write) == f"Error: {os.strerror(number)} ({tmp_path}/part.csv).\n"
    assert said(explain) == f"Error: {os.strerror(number)} ({tmp_path}/out).\n"


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_words_for_an_error_need_no_look_below_a_closed_folder(tmp_path: Path, number: int) -> None:
    (tmp_path / "closed/a/b").mkdir(parents=True)
    with closed(tmp_path / "closed"):
        meant = disk_error(OSError(number, "why", str(tmp_path / "closed/a/b/c.csv")))
        require_room(tmp_path / "closed/a/b", 1, "a night")
    assert isinstance(meant, DiskError)
    assert f"{tmp_path}/closed/a/b/c.csv" in str(meant)


@pytest.mark.parametrize("below", ["", "2026-01-02/a.jpg"])
def test_a_file_in_the_place_of_a_folder_is_named_with_what_to_do(tmp_path: Path, below: str) -> None:
    (tmp_path / "gate-2").touch()

    def write() -> None:
        with explained(tmp_path), files.replacing(tmp_path / "gate-2" / below / "b.jpg"):
            pass

    words = "is in the way: a folder must be there. Rename it or move it away, and run the same command again; what is"
    assert said(write) == f"Error: {tmp_path}/gate-2 {words} done is kept.\n"
    assert said((tmp_path / "gate-2").mkdir) == f"Error: {tmp_path}/gate-2 {words} done is kept.\n"
    assert said(tmp_path.mkdir) == f"Error: File exists ({tmp_path}).\n"


@pytest.mark.parametrize("what", ["input", "output"])
def test_an_input_or_output_below_a_closed_folder_is_one_line(tmp_path: Path, defaults: Params, what: str) -> None:
    (tmp_path / "closed/folder").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").touch()
    places = {"input": tmp_path / "photos", "output": tmp_path / "out", what: tmp_path / "closed/folder/deep"}

    def night() -> None:
        options = NightOptions(folder_at(places["input"]), folder_at(places["output"]))
        with options.output.hold():
            begin(options, defaults)

    with closed(tmp_path / "closed"):
        text = said(night)
    assert f"{tmp_path}/" in text
    assert "ermission denied" in text


def test_a_source_below_a_closed_folder_says_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "closed/photos").mkdir(parents=True)
    with closed(tmp_path / "closed"), pytest.raises(ListingError, match="cannot be reached: Permission denied"):
        [*list_images(tmp_path / "closed/photos")]
