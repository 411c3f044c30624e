"""Files that hang, are gone, or lie behind ones that hang: each its own outcome, in order."""

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.images.decode import Picture, UnreadableImage, decode
from pipeline.night import reading
from pipeline.night.reading import MOST_HANGING, Decoded, Read, Reading, ReadingError, read_images
from pipeline.night.rows import Unreadable
from pipeline.params.data import Images
from pipeline.storage.folders import folder_at
from pipeline.storage.local_folder import LocalFolder
from tests.fixtures.images import save_image

TIMEOUT = 0.3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty pictures."""
    for number in range(20):
        save_image(tmp_path / "images" / f"{number:02d}.png", seed=number)
    return tmp_path / "images"


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def hanging_in(files: set[bytes], until: threading.Event) -> reading.Decoder:
    """A decoder that does not come back from some files, as a disk does that does not answer."""

    def read(data: bytes, rules: Images) -> Picture:
        if data in files:
            until.wait(30)
            raise UnreadableImage("too late")
        return decode(data, rules)

    return read


def contents(folder: Path, paths: list[str]) -> set[bytes]:
    return {(folder / path).read_bytes() for path in paths}


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 4), (4, 64)])
def test_every_path_has_its_own_outcome_in_order(folder: Path, rules: Images, threads: int, ahead: int) -> None:
    (folder / "05.png").write_text("no picture")
    paths = [*names(folder), "gone.png"]
    found = list(read_images(folder_at(folder), paths, rules, Reading(threads, ahead, TIMEOUT)))
    assert [read.path for read in found] == paths
    assert [read.path for read in found if isinstance(read, Unreadable)] == ["05.png", "gone.png"]
    for read in found:
        if isinstance(read, Decoded):
            expected = decode((folder / read.path).read_bytes(), rules)
            assert (read.picture.pixels == expected.pixels).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("hanging", [["00.png"], ["03.png", "04.png"], ["07.png", "09.png", "19.png"]])
def test_a_file_that_hangs_is_unreadable_and_the_others_are_read(
    folder: Path, rules: Images, threads: int, hanging: list[str]
) -> None:
    until = threading.Event()
    decoder = hanging_in(contents(folder, hanging), until)
    started = time.monotonic()
    found = list(read_images(folder_at(folder), names(folder), rules, Reading(threads, 2 * threads, TIMEOUT, decoder)))
    until.set()
    assert time.monotonic() - started < 10
    assert [read.path for read in found] == names(folder)
    errors = {read.path: read.error for read in found if isinstance(read, Unreadable)}
    assert errors == dict.fromkeys(hanging, "the file could not be read within 0.3 s")


def test_a_slow_file_is_no_hanging_one(folder: Path, rules: Images) -> None:
    def slow(data: bytes, rules: Images) -> Picture:
        time.sleep(TIMEOUT / 3)
        return decode(data, rules)

    found = read_images(folder_at(folder), names(folder), rules, Reading(1, 20, TIMEOUT, slow))
    assert all(isinstance(read, Decoded) for read in found), "waiting for others is not its own time"


@dataclass(frozen=True)
class SlowDisk(LocalFolder):
    """A disk that takes 10 ms to find a file, or longer; it counts how many it looks for at a time."""

    longer: dict[str, float] = field(default_factory=dict)  # name -> seconds
    now: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def read_at_most(self, name: str, most: int) -> bytes:
        self.now.append(name)
        self.counts.append(len(self.now))
        time.sleep(self.longer.get(name, 0.01))
        self.now.remove(name)
        return super().read_at_most(name, most)


class Shared(SlowDisk):
    """The same, asked for four files at a time from the start."""

    threads = 4


@dataclass
class Counted:
    """A decoder that counts how many files it decodes at a time."""

    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, data: bytes, rules: Images) -> Picture:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.003)
        with self.lock:
            self.now -= 1
        return decode(data, rules)


def test_a_slow_disk_is_asked_for_more_files_than_are_decoded(folder: Path, rules: Images) -> None:
    disk, decoder, paths = SlowDisk(folder), Counted(), names(folder) * 4
    found = list(read_images(disk, paths, rules, Reading(1, 64, 10, decoder)))
    assert [read.path for read in found if isinstance(read, Decoded)] == paths
    assert 1 < max(disk.counts) <= reading.READERS + 1, "the first pool's thread ends its file"
    assert decoder.most <= 2, "the file that is wanted next does not wait for its turn"


def test_a_disk_that_answers_at_once_is_asked_by_those_who_decode(
    folder: Path, rules: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SLOW", 60.0)
    disk = SlowDisk(folder)
    list(read_images(disk, names(folder), rules, Reading(2, 64, 10)))
    assert max(disk.counts) <= 2


def test_of_large_files_only_those_that_are_decoded_are_held(
    folder: Path, rules: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BYTES_AHEAD", 100)
    disk = SlowDisk(folder)
    list(read_images(disk, names(folder), rules, Reading(2, 64, 10)))
    assert max(disk.counts) <= 2


def test_a_file_waits_for_none_after_it_that_hangs(folder: Path, rules: Images) -> None:
    until, paths = threading.Event(), names(folder)
    decoder = hanging_in(contents(folder, paths[1:3]), until)
    disk = Shared(folder, {paths[0]: TIMEOUT / 2})  # the others take both turns meanwhile
    found = list(read_images(disk, paths, rules, Reading(2, 20, TIMEOUT, decoder)))
    until.set()
    assert [read.path for read in found if isinstance(read, Unreadable)] == paths[1:3]


def test_where_nothing_answers_the_run_ends_and_says_so(folder: Path, rules: Images) -> None:
    until = threading.Event()
    decoder = hanging_in(contents(folder, names(folder)[3:]), until)
    reads = read_images(folder_at(folder), names(folder), rules, Reading(2, 8, TIMEOUT / 3, decoder))
    found: list[Read] = []
    with pytest.raises(ReadingError, match="the disk or the network hangs. When it answers, run the same"):
        found.extend(reads)
    until.set()
    assert len(found) == 3 + MOST_HANGING - 1


def test_where_the_folder_is_gone_no_file_is_called_unreadable(folder: Path, rules: Images) -> None:
    reads = read_images(folder_at(folder), names(folder), rules, Reading(1, 2, TIMEOUT))
    assert isinstance(next(reads), Decoded)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(ReadingError, match="is gone. When it is there again, run the same command again"):
        list(reads)


def test_a_file_larger_than_any_allowed_image_is_not_read(tmp_path: Path, rules: Images) -> None:
    save_image(tmp_path / "a.png")
    with (tmp_path / "sparse.png").open("wb") as sparse:
        sparse.truncate(1 << 40)
    first, second = read_images(folder_at(tmp_path), ["a.png", "sparse.png"], rules, Reading(1, 2, TIMEOUT))
    assert isinstance(first, Decoded)
    assert second == Unreadable(
        "sparse.png", "1099511627776 bytes are more than images.max_megapixels allows a file (80000000)"
    )


def test_a_file_whose_path_is_too_long_has_its_reason(tmp_path: Path, rules: Images) -> None:
    path = "a/" * 2500 + "b.jpg"
    (found,) = read_images(folder_at(tmp_path), [path], rules, Reading(1, 1, TIMEOUT))
    assert found == Unreadable(path, "the file cannot be read: File name too long")
