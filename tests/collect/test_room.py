"""Old pictures make room for new ones, the oldest first, and only what a night has classified."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.collect.frame import Frame
from pipeline.collect.kept import Album, Kept
from pipeline.collect.room import Limits, NoRoomError, Room, Stored, bytes_over, too_old
from tests.fixtures.days import NOON, scene

EVERYTHING = 10**15  # bytes; no disk has so many free


def filled(folder: Path, days: int) -> tuple[Album, list[Kept]]:
    """A picture a day."""
    album = Album(folder, "gate-2")
    album.recover()
    return album, [album.keep(Frame(scene(at), None, None, at), "every") for at in
                   (NOON + timedelta(days=day) for day in range(days))]  # fmt: skip


def paths(album: Album) -> list[str]:
    return [f"{day}/{name}" for day, name, _ in album.files()]


def test_what_must_go_is_counted_from_the_oldest() -> None:
    stored = [Stored(f"2026-06-0{day}/a.jpg", 100) for day in range(1, 6)]
    assert too_old(stored, NOON.date() + timedelta(days=4), keep_days=2) == 2
    assert too_old(stored, NOON.date(), None) == 0
    assert bytes_over(stored, Limits(None, 350, 0), free=10) == 150
    assert bytes_over(stored, Limits(None, 350, 1000), free=10) == 990
    assert bytes_over(stored, Limits(None, None, 0), free=10) == 0


def test_only_classified_pictures_go_the_oldest_first(tmp_path: Path) -> None:
    album, kept = filled(tmp_path, 6)
    seen = {row.sha256 for row in (kept[0], kept[2], kept[3], kept[4])}
    asked: list[datetime] = []

    def classified(digests: Collection[str], since: datetime) -> set[str]:
        asked.append(since)
        return seen & set(digests)

    room = Room(album, Limits(None, sum(one[2] for one in album.files()) // 2, 0), classified)
    assert room.tidy(NOON) == 3
    assert paths(album) == [row.path for row in (kept[1], kept[4], kept[5])]
    assert [row.path for row in album.rows()] == paths(album)
    assert asked == [datetime(2026, 6, 1, tzinfo=UTC)]
    assert not (tmp_path / "2026-06-01").exists()


def test_old_pictures_go_by_days_and_none_while_a_night_is_unfinished(tmp_path: Path) -> None:
    album, kept = filled(tmp_path, 5)
    now = NOON + timedelta(days=4)
    assert Room(album, Limits(2, None, 0), lambda *_: None).tidy(now) == 0
    assert Room(album, Limits(2, None, 0), lambda digests, _: set(digests)).tidy(now) == 2
    assert paths(album) == [row.path for row in kept[2:]]


def test_a_disk_without_room_is_said_and_looked_at_again_within_the_hour_only_once(tmp_path: Path) -> None:
    album, _ = filled(tmp_path, 1)
    looks: list[int] = []

    def classified(digests: Collection[str], _: datetime) -> set[str]:
        looks.append(len(digests))
        return set()

    room = Room(album, Limits(None, None, EVERYTHING), classified)
    for minutes in (0, 1, 2, 61):
        with pytest.raises(NoRoomError, match="GB free, no more than collect.free_gb"):
            room.require(NOON + timedelta(minutes=minutes))
    assert looks == [1, 1]
    Room(album, Limits(None, None, 0), classified).require(NOON)
