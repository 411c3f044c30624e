"""Clips give their frames by their own time, whole ones only, and say what is wrong with them."""

import os
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from pipeline.collect.address import read_address
from pipeline.collect.clips import clips_in
from pipeline.collect.frame import Frame, SourceLost, Why
from pipeline.collect.frames import frames
from tests.fixtures.cameras import HEIGHT, WIDTH, make_clip

NOON = datetime(2024, 5, 1, 12, 0, 0, 0, UTC)
CREATED = "2024-05-01T12:00:00.000000Z"
INDEX_FIRST = {"movflags": "faststart"}


def read(clip: Path, every: float = 0.0) -> list[Frame]:
    return list(frames(read_address(str(clip)), every=every))


def read_broken(clip: Path, every: float = 0.0) -> tuple[list[Frame], SourceLost]:
    found: list[Frame] = []
    with pytest.raises(SourceLost) as lost:
        found.extend(frames(read_address(str(clip)), every=every))
    return found, lost.value


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "MOV"])
def test_a_clip_gives_frames_by_its_own_time(tmp_path: Path, ending: str, codec: str) -> None:
    options = {"bf": "0"} if (ending, codec) == ("avi", "libx264") else {}  # AVI cannot tell the order of others
    clip = make_clip(tmp_path / f"a.{ending}", codec=codec, created=CREATED, codec_options=options)
    every = read(clip)
    assert len(every) == 30
    assert {(frame.pixels.shape, frame.jpeg) for frame in every} == {((HEIGHT, WIDTH, 3), None)}
    half = read(clip, every=0.5)
    assert len(half) == 6
    assert all(np.array_equal(one.pixels, every[5 * number].pixels) for number, one in enumerate(half))
    if ending == "avi":  # which tells no time with the offset of its place
        assert {frame.source_time for frame in every} == {None}
    else:
        assert [frame.source_time for frame in half] == [NOON + timedelta(seconds=0.5 * step) for step in range(6)]


def test_where_key_frames_are_enough_their_times_are_given(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 60, codec="libx264", group=8, created=CREATED)
    told = [frame.source_time for frame in read(clip, every=1.0)]
    seconds = [(one - NOON).total_seconds() for one in told if one is not None]
    assert seconds == [0.0, 1.0, 2.0, 3.2, 4.0, 5.6], "the first key frame of each second, once we know their distance"


@pytest.mark.parametrize("created", ["1970-01-01T00:00:10Z", "1904-01-01T00:00:00Z", ""])
def test_a_clip_that_tells_no_time_gets_none(tmp_path: Path, created: str) -> None:
    assert {frame.source_time for frame in read(make_clip(tmp_path / "2024-05-01.mp4", 3, created=created))} == {None}


def test_a_telephone_s_clip_is_turned_upright(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 2)
    data, (upright, _) = bytearray(clip.read_bytes()), read(clip)
    at = data.index(b"tkhd") + 44
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)  # to the right
    data[at : at + len(quarter)] = quarter
    clip.write_bytes(data)
    assert np.array_equal(read(clip)[0].pixels, np.rot90(upright.pixels, -1))


def test_a_clip_that_was_cut_off_gives_the_frames_before(tmp_path: Path) -> None:
    for name, options in (("a.mp4", INDEX_FIRST), ("a.mkv", None)):
        clip = make_clip(tmp_path / name, 60, codec="libx264", created=CREATED, options=options)
        every = read(clip)
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        found, lost = read_broken(clip)
        assert 0 < len(found) < 60
        assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(found, every, strict=False))
        assert lost.why is Why.BROKEN
        assert "The frames before it were taken" in lost.reason
        assert str(lost).startswith(f"{clip}: it is ")


def test_a_clip_with_damage_gives_its_other_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 60, codec="libx264", created=CREATED)
    every = {frame.source_time: frame.pixels.tobytes() for frame in read(clip)}
    data = bytearray(clip.read_bytes())
    middle = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) // 2
    data[middle : middle + 60] = bytes(60)
    clip.write_bytes(data)
    found, lost = read_broken(clip)
    assert {frame.source_time: frame.pixels.tobytes() for frame in found}.items() < every.items()
    assert NOON + timedelta(seconds=5.9) in {frame.source_time for frame in found}
    assert lost.why is Why.BROKEN
    assert "it is damaged in 1 place, the first at 0:0" in lost.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a clip at all " * 100, "cannot be read as a clip"),
        (b"", "the file is empty"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nsecret.mp4\n#EXT-X-ENDLIST\n", "cannot be read as a clip"),
        (b"ffconcat version 1.0\nfile secret.mp4\n", "cannot be read as a clip"),
    ],
    ids=["text", "empty", "playlist", "list"],
)
def test_a_file_that_is_not_a_clip_is_refused_and_opens_no_other_file(
    tmp_path: Path, content: bytes, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "secret.mp4", 3)
    (tmp_path / "a.mp4").write_bytes(content)
    found, lost = read_broken(tmp_path / "a.mp4")
    assert (found, lost.why) == ([], Why.BROKEN)
    assert reason in lost.reason
    assert capfd.readouterr() == ("", ""), "FFmpeg's own messages are not for the terminal"


def test_a_clip_that_is_not_there_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("none.mp4", "pipe.mp4"):
        found, lost = read_broken(tmp_path / name)
        assert (found, lost.why) == ([], Why.MISSING)
    with pytest.raises(SourceLost, match="Give a folder of clips") as missing:
        clips_in(read_address(str(tmp_path / "none")))
    assert missing.value.why is Why.MISSING


def test_without_the_package_the_message_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for address in (str(tmp_path / "a.mp4"), "rtsp://cam/live", "/dev/video0"):
        with pytest.raises(SourceLost, match=r"pip install 'nightshift\[cameras\]'") as lost:
            next(frames(read_address(address)))
        assert lost.value.why is Why.MISSING


def test_the_clips_of_a_folder_are_those_that_are_complete_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for name in ("b.MP4", "a/1.mkv", ".hidden.mp4", "@eaDir/x.mp4", "notes.txt", "young.mp4", "a/.trash/2.avi"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (folder / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    os.mkfifo(folder / "pipe.mp4")
    for file in [*folder.rglob("*.*"), tmp_path / "outside.mp4"]:
        if file.name != "young.mp4":
            os.utime(file, (time.time() - 60,) * 2)
    assert [one.place for one in clips_in(read_address(str(folder)))] == [
        str(folder / "a/1.mkv"),
        str(folder / "b.MP4"),
    ]


def test_a_clip_is_left_when_we_are_asked_to_stop(tmp_path: Path) -> None:
    stop = Event()
    source = frames(read_address(str(make_clip(tmp_path / "a.mp4", 30))), stop=stop)
    next(source)
    stop.set()
    assert list(source) == []


def test_a_folder_is_read_clip_by_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one by one"):
        frames(read_address(str(tmp_path)))
