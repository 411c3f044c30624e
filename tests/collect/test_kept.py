"""The pictures of a source: each a whole file with its time and camera, and a line; after a kill both are mended."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from pipeline.collect.exif import NotJpegError, with_exif
from pipeline.collect.frame import Frame
from pipeline.collect.kept import Album
from pipeline.collect.state import COLLECTED_COLUMNS, COLLECTED_CSV
from pipeline.images.taken import read_taken
from pipeline.storage.files import sha256_of_file
from pipeline.storage.left_aside import Tally
from pipeline.storage.listing import list_files
from tests.fixtures.days import NOON, scene

MOMENT = datetime(2026, 6, 1, 12, 0, 1, 234_000, UTC)


def jpeg(orientation: int | None = None) -> bytes:
    tags, out = Image.Exif(), io.BytesIO()
    if orientation:
        tags[Base.Orientation] = orientation
        tags.get_ifd(IFD.GPSInfo)[1] = "N"
        tags.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "1970:01:01 00:00:00"
    Image.fromarray(scene(NOON)).save(out, "JPEG", exif=tags)
    return out.getvalue()


def frame(at: datetime = MOMENT, sent: bytes | None = None, told: datetime | None = None) -> Frame:
    return Frame(scene(at), sent, told, at)


def album(folder: Path) -> Album:
    made = Album(folder, "gate-2")
    made.recover()
    return made


def test_a_jpeg_keeps_its_picture_and_gets_time_and_camera() -> None:
    sent = jpeg(orientation=6)
    kept = with_exif(sent, "gate-2", MOMENT)
    with Image.open(io.BytesIO(sent)) as before, Image.open(io.BytesIO(kept)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        tags = after.getexif()
    assert (tags[Base.Make], tags[Base.Model], tags[Base.Orientation]) == ("Nightshift", "gate-2", 6)
    assert tags.get_ifd(IFD.GPSInfo) == {1: "N"}
    taken = read_taken(kept)
    assert (taken.at, taken.camera) == (MOMENT, "gate-2")
    assert kept.endswith(sent[sent.index(b"\xff\xdb") :])  # from the first table on, byte for byte
    assert with_exif(kept, "gate-2", MOMENT) == kept


def test_nobody_guesses_the_time_of_a_clip_without_one() -> None:
    assert read_taken(with_exif(jpeg(orientation=1), "gate-2", None)).at is None


@pytest.mark.parametrize("sent", [b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00\x10Exif\0\0garbage"])
def test_damaged_bytes_are_refused_or_kept_as_they_are(sent: bytes) -> None:
    if sent.startswith(b"\xff\xd8"):
        assert with_exif(sent, "gate-2", MOMENT).startswith(b"\xff\xd8\xff\xe1")
    else:
        with pytest.raises(NotJpegError):
            with_exif(sent, "gate-2", MOMENT)


def test_a_live_picture_is_named_by_our_clock_and_one_of_a_clip_by_its_own(tmp_path: Path) -> None:
    folder = album(tmp_path)
    wrong = datetime(2030, 1, 1, tzinfo=UTC)
    live, clip = folder.keep(frame(told=wrong), "every"), folder.keep(frame(told=wrong), "every", "a.mp4")
    assert live.path == "2026-06-01/gate-2_20260601T120001.234Z.jpg"
    assert clip.path == "2030-01-01/gate-2_20300101T000000.000Z.jpg"
    assert [(row.source_time, row.arrived_at) for row in (live, clip)] == [
        ("2030-01-01T00:00:00.000+00:00", "2026-06-01T12:00:01.234+00:00")
    ] * 2
    assert list(folder.rows()) == [live, clip]
    assert sha256_of_file(tmp_path / live.path) == live.sha256


def test_two_pictures_of_one_moment_are_two_files(tmp_path: Path) -> None:
    folder = album(tmp_path)
    first, second = folder.keep(frame(), "every"), folder.keep(frame(), "change")
    assert second.path == first.path.replace("Z.jpg", "Z-2.jpg")


def test_a_killed_collector_leaves_nothing_half(tmp_path: Path) -> None:
    folder = album(tmp_path)
    first = folder.keep(frame(), "every")
    second = folder.keep(frame(MOMENT + timedelta(seconds=10)), "every")
    file = tmp_path / COLLECTED_CSV
    whole = file.read_bytes()
    room = tmp_path / "2026-06-01" / ".gate-2_20260601T120021.234Z.jpg.abc.tmp"
    room.mkdir()
    (room / "gate-2_20260601T120021.234Z.jpg").write_bytes(b"\xff\xd8 half")
    file.write_bytes(whole[: whole.rindex(b"every") + 3])  # the disk has lost the end of the last line
    assert album(tmp_path).folder == tmp_path
    rows = list(folder.rows())
    assert rows[0] == first
    assert (rows[1].path, rows[1].sha256) == (second.path, second.sha256)
    assert rows[1].arrived_at == "2026-06-01T12:00:11.234+00:00"  # from its name
    assert len(rows) == 2
    assert not room.exists()


def test_rows_of_deleted_pictures_go(tmp_path: Path) -> None:
    folder = album(tmp_path)
    first, second = (folder.keep(frame(MOMENT + timedelta(days=day)), "every") for day in (0, 1))
    (tmp_path / first.path).unlink()
    folder.forget_deleted()
    assert list(folder.rows()) == [second]
    assert (tmp_path / COLLECTED_CSV).read_text().splitlines()[0] == ",".join(COLLECTED_COLUMNS)


def test_a_night_lists_the_pictures_and_does_not_speak_of_the_tables_beside_them(tmp_path: Path) -> None:
    kept = album(tmp_path / "gate-2").keep(frame(), "every")
    (tmp_path / "gate-2" / "gaps.csv").touch()
    (tmp_path / "gate-2" / "notes.csv").touch()
    tally = Tally()
    assert [one.path for one in tally.images(list_files(tmp_path))] == [f"gate-2/{kept.path}"]
    assert tally.found().files == {".csv": 1}
