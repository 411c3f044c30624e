"""A folder of clips: each is taken in once, whole, by its own time; a broken one is a row with its reason."""

import csv
import os
import shutil
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.collect.address import Address, Kind, read_address
from pipeline.collect.choose import Wish
from pipeline.collect.clip_folder import CLIPS_CSV, ClipFolder
from pipeline.collect.clips import clips_in
from pipeline.collect.clock import Stopped, SystemClock
from pipeline.collect.collector import NoPictureError, Tools
from pipeline.collect.frame import SourceLost
from pipeline.collect.frames import frames
from pipeline.collect.gaps import GAPS_CSV, Gap, Reason, Rules, read_gaps, rules_of
from pipeline.collect.kept import Album, Kept
from pipeline.collect.room import Limits, Room
from pipeline.collect.start import Job, collector_of
from pipeline.collect.state import gaps_between
from pipeline.params.collect import Collect, Source
from tests.fixtures.days import NOON, QuickClock, scene

CREATED = datetime(2026, 5, 30, 20, tzinfo=UTC)
RULES = Rules(timedelta(minutes=10), waits=True)
EVERY = 1.0  # seconds
OLD = 1_780_000_000  # seconds since 1970: nobody writes to the file any more


def record(file: Path, seconds: int, created: datetime = CREATED) -> Path:
    """A clip with two pictures a second, as a camera writes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(file, "w") as out:
        out.metadata["creation_time"] = f"{created:%Y-%m-%dT%H:%M:%S.000000Z}"
        stream = out.add_stream("mpeg4", rate=2)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 1  # each frame alone, as cameras write MJPEG
        for number in range(2 * seconds):
            pixels = scene(created + timedelta(seconds=number / 2))
            pixels[:, 3 * number : 3 * number + 6] = 220  # moves, as the codec leaves nothing of the noise
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 2)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    os.utime(file, (OLD, OLD))
    return file


def taker(folder: Path, clips: Path, clock: QuickClock, free_bytes: int = 0) -> tuple[ClipFolder, Album]:
    album = Album(folder, "gate-2")
    folder.mkdir(parents=True, exist_ok=True)
    room = Room(album, Limits(None, None, free_bytes), lambda *_: set())
    tools = Tools(album, RULES, Wish(EVERY, None, 6.0), room, clock, lambda _: None)
    return ClipFolder(tools, Address(Kind.FOLDER, str(clips)), lambda one: frames(one, every=EVERY)), album


def run(folder: Path, clips: Path, seconds: float = 25) -> list[Kept]:
    """Collect for so long; the rows of collected.csv."""
    start = datetime.now(UTC) + timedelta(hours=1)  # after every picture, however slow this machine is
    collector, album = taker(folder, clips, QuickClock(start, start + timedelta(seconds=seconds)))
    with pytest.raises(Stopped):
        collector.run()
    return list(album.rows())


def rows(folder: Path) -> list[tuple[str, int, str]]:
    """Path, pictures and error of each row of clips.csv."""
    with (folder / CLIPS_CSV).open(newline="") as file:
        return [(row["path"], int(row["pictures"]), row["error"]) for row in csv.DictReader(file)]


def test_a_clip_is_taken_in_once_whatever_its_name(tmp_path: Path) -> None:
    first = record(tmp_path / "clips" / "a" / "one.mp4", 4)
    kept = run(tmp_path / "out", tmp_path / "clips")
    assert [row.clip for row in kept] == ["a/one.mp4"] * 4
    assert [row.source_time for row in kept] == [
        (CREATED + timedelta(seconds=number)).isoformat(timespec="milliseconds") for number in range(4)
    ]
    assert kept[0].path == "2026-05-30/gate-2_20260530T200000.000Z.jpg"
    shutil.copy2(first, tmp_path / "clips" / "again.mp4")
    assert run(tmp_path / "out", tmp_path / "clips") == kept
    assert rows(tmp_path / "out") == [("a/one.mp4", 4, ""), ("again.mp4", 0, "the same file as a/one.mp4")]


def test_a_clip_is_left_alone_while_it_is_copied(tmp_path: Path) -> None:
    clip = record(tmp_path / "clips" / "one.mp4", 3)
    os.utime(clip)  # written to just now
    assert run(tmp_path / "out", tmp_path / "clips") == []
    os.utime(clip, (OLD, OLD))
    assert run(tmp_path / "out", tmp_path / "clips", seconds=5) == []  # seen once: it may still grow
    assert len(run(tmp_path / "out", tmp_path / "clips")) == 3


def test_a_broken_clip_is_a_row_with_its_reason_and_goes_on_where_its_copy_went_on(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mkv", 8).read_bytes()
    clip = tmp_path / "clips" / "one.mkv"
    clip.parent.mkdir()
    (tmp_path / "clips" / "none.mp4").write_bytes(b"not a film")
    (tmp_path / "clips" / "empty.mp4").touch()
    clip.write_bytes(whole[: len(whole) * 2 // 3])
    for file in clip.parent.iterdir():
        os.utime(file, (OLD, OLD))
    part = run(tmp_path / "out", clip.parent)
    assert 3 <= len(part) < 8
    found = {path: (pictures, error) for path, pictures, error in rows(tmp_path / "out")}
    assert found["none.mp4"][0] == 0
    assert found["none.mp4"][1]
    assert found["empty.mp4"] == (0, "the file is empty.")
    assert found["one.mkv"][0] == len(part)
    assert found["one.mkv"][1]
    clip.write_bytes(whole)
    os.utime(clip, (OLD + 60, OLD + 60))
    kept = run(tmp_path / "out", clip.parent)
    assert kept[: len(part)] == part
    assert len(kept) == 8
    assert rows(tmp_path / "out")[-1] == ("one.mkv", 8, "")


def test_a_clip_whose_taking_was_killed_has_no_picture_twice(tmp_path: Path) -> None:
    record(tmp_path / "clips" / "one.mp4", 5)
    kept = run(tmp_path / "out", tmp_path / "clips")
    (tmp_path / "out" / CLIPS_CSV).unlink()  # it was not finished
    for row in kept[3:]:
        (tmp_path / "out" / row.path).unlink()
    Album(tmp_path / "out", "gate-2").forget_deleted()
    again = run(tmp_path / "out", tmp_path / "clips")
    assert [row.path for row in again] == [row.path for row in kept]
    assert rows(tmp_path / "out") == [("one.mp4", 5, "")]


def test_once_takes_in_what_is_there_and_says_an_empty_folder(tmp_path: Path) -> None:
    clip = record(tmp_path / "clips" / "one.mp4", 2)
    collector, album = taker(tmp_path / "out", tmp_path / "clips", QuickClock(NOON, NOON + timedelta(hours=1)))
    collector.once()
    assert len(list(album.rows())) == 2
    os.utime(clip)
    collector, _ = taker(tmp_path / "young", clip.parent, QuickClock(NOON, NOON + timedelta(hours=1)))
    with pytest.raises(NoPictureError, match="1 clip is still being written to"):
        collector.once()
    (tmp_path / "empty").mkdir()
    collector, _ = taker(tmp_path / "none", tmp_path / "empty", QuickClock(NOON, NOON + timedelta(hours=1)))
    with pytest.raises(NoPictureError, match="has no clips"):
        collector.once()


def test_neither_time_without_a_new_clip_nor_without_a_collector_is_a_gap(tmp_path: Path) -> None:
    record(tmp_path / "clips" / "one.mp4", 2)
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for number in (0, 2):  # as cron begins it
        begin = start + number * 2 * RULES.least
        collector, album = taker(tmp_path / "out", tmp_path / "clips", QuickClock(begin, begin + RULES.least))
        collector.once()
    assert len(list(album.rows())) == 2
    assert not (tmp_path / "out" / GAPS_CSV).exists()
    now = begin + timedelta(days=1)
    assert gaps_between(tmp_path / "out", RULES, start, now, now) == []
    (tmp_path / "clips").rename(tmp_path / "elsewhere")
    collector, _ = taker(tmp_path / "out", tmp_path / "clips", QuickClock(now, now + timedelta(hours=1)))
    with pytest.raises(Stopped):
        collector.run()
    collector, _ = taker(tmp_path / "out", tmp_path / "elsewhere", QuickClock(now + timedelta(days=1), now))
    collector.once()
    [unreachable] = read_gaps(tmp_path / "out" / GAPS_CSV)
    assert (unreachable.start, unreachable.reason) == (now, Reason.NO_ANSWER)
    assert unreachable.end is not None
    assert timedelta(minutes=59) <= unreachable.end - now <= timedelta(hours=1)


def test_one_clip_is_a_source_that_is_taken_in_once(tmp_path: Path) -> None:
    clip = record(tmp_path / "clips" / "one.mp4", 3)
    record(tmp_path / "clips" / "other.mp4", 2)
    job = Job(Source(name="a", address=str(clip), every=1), Collect(free_gb=0), read_address(str(clip)), tmp_path)
    job.folder.mkdir()
    for _ in range(2):
        collector_of(job, SystemClock(), lambda *_: set(), lambda _: None).once()
    assert rows(job.folder) == [("one.mp4", 3, "")]
    kept = [row.source_time[:19] for row in Album(job.folder, "a").rows()]
    assert kept == [f"2026-05-30T20:00:0{second}" for second in range(3)]
    neither = Address(Kind.FOLDER, str(tmp_path / "a/clips.csv"))
    with pytest.raises(SourceLost, match="it is neither a folder nor a clip"):
        clips_in(neither)


def test_which_sources_wait_follows_from_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "rtsp://10.0.0.7/live")
    monkeypatch.delenv("UNSET", raising=False)
    addresses = [
        "clips",
        "${UNSET}/clips",
        "one.mp4",
        "${SET}",
        "${UNSET}",
        "rtsp://a:${UNSET}@10.0.0.7/",
        "/dev/video0",
    ]
    found = [rules_of(Collect(), Source(name="a", address=one)).waits for one in addresses]
    assert found == [True, True, True, False, False, False, False]


def test_a_full_disk_is_a_gap(tmp_path: Path) -> None:
    record(tmp_path / "clips" / "one.mp4", 2)
    clock = QuickClock(NOON, NOON + timedelta(minutes=15))
    collector, _ = taker(tmp_path / "out", tmp_path / "clips", clock, free_bytes=1 << 60)
    with pytest.raises(Stopped):
        collector.run()
    assert read_gaps(tmp_path / "out" / GAPS_CSV) == [Gap(NOON, None, Reason.DISK_FULL)]
