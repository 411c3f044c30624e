"""A day of a camera, in a second: what is kept, and that gaps.csv says every fault."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.collect import retry
from pipeline.collect.choose import Wish
from pipeline.collect.clock import Stopped
from pipeline.collect.frame import Frame, Why
from pipeline.collect.gaps import GAPS_CSV, Reason, Rules, read_gaps
from pipeline.collect.kept import Album
from pipeline.collect.signs import Told
from pipeline.storage.files import sha256_of_file
from tests.fixtures.days import NOON, Camera, QuickClock, black, collector, frozen, gone, scene
from tests.fixtures.disk import disk

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULES = Rules(10 * MINUTE)


def run(folder: Path, clock: QuickClock, camera: Camera, rules: Rules = RULES) -> list[Told]:
    told: list[Told] = []
    with pytest.raises(Stopped):
        collector(folder, clock, camera, rules, told).run()
    return told


def test_a_day_with_three_faults_has_each_in_gaps_csv(tmp_path: Path) -> None:
    clock = QuickClock(NOON, NOON + 10 * HOUR)
    camera = Camera(
        clock, 600.0,
        {
            (NOON + HOUR, NOON + 1.5 * HOUR): gone(),
            (NOON + 3 * HOUR, NOON + 3.5 * HOUR): frozen(NOON + 3 * HOUR),
            (NOON + 5 * HOUR, NOON + 5.5 * HOUR): black,
            (NOON + 7 * HOUR, NOON + 7 * HOUR + 5 * MINUTE): gone(),  # too short for a gap
            (NOON + 9.5 * HOUR, NOON + 11 * HOUR): gone(Why.REFUSED),
        },
    )  # fmt: skip
    told = run(tmp_path, clock, camera, Rules(20 * MINUTE))
    found = read_gaps(tmp_path / GAPS_CSV)
    assert [one.reason for one in found] == [Reason.NO_ANSWER, Reason.FROZEN, Reason.BLACK, Reason.REFUSED]
    assert [one.begun.reason for one in told if one.begun] == [one.reason for one in found]
    for gap, start in zip(found, (1, 3, 5, 9.5), strict=True):  # a gap begins with the last new picture
        assert abs(gap.start - (NOON + start * HOUR)) <= 10 * MINUTE
    for gap, end in zip(found[:3], (1.5, 3.5, 5.5), strict=True):  # after the longest pause between two attempts
        assert gap.end
        assert NOON + end * HOUR <= gap.end <= NOON + end * HOUR + 10 * MINUTE
    assert found[3].end is None
    rows = list(Album(tmp_path, "gate-2").rows())
    assert {f"{day}/{name}" for day, name, _ in Album(tmp_path, "gate-2").files()} == {row.path for row in rows}
    assert len(rows) == pytest.approx(6 * 10 - 4 * 3, abs=4)


def test_a_frozen_picture_with_a_running_clock_is_noticed_after_half_an_hour(tmp_path: Path) -> None:
    def clock_runs(at: datetime) -> NDArray[np.uint8]:
        pixels = scene(NOON)
        pixels[:6, :40] = scene(at)[:6, :40]
        return pixels

    def a_leaf_moves(at: datetime) -> NDArray[np.uint8]:
        pixels = clock_runs(at)
        pixels[24, 30, 1] = at.minute // 5 % 2  # one pixel by one level is enough: a sensor's noise does more
        return pixels

    begun, end = NOON + HOUR, NOON + 2 * HOUR
    clock = QuickClock(NOON, end + HOUR / 4)
    run(tmp_path, clock, Camera(clock, 300.0, {(NOON, begun): a_leaf_moves, (begun, end): clock_runs}))
    [gap] = read_gaps(tmp_path / GAPS_CSV)
    assert (gap.reason, gap.end) == (Reason.FROZEN, end)
    assert gap.start - begun == 25 * MINUTE, "the last picture before anybody could know"
    kept = [datetime.fromisoformat(row.arrived_at) for row in Album(tmp_path, "gate-2").rows()]
    assert not [at for at in kept if gap.start < at < gap.end]
    assert len(kept) == 12 + 6 + 3


def test_hours_are_kept_over_midnight_and_what_lies_outside_is_no_gap(tmp_path: Path) -> None:
    clock = QuickClock(NOON + 9 * HOUR, NOON + 36 * HOUR)
    run(tmp_path, clock, Camera(clock, 3600.0, {}), Rules(30 * MINUTE, (time(23), time(22)), UTC))
    hours = [datetime.fromisoformat(row.arrived_at).hour for row in Album(tmp_path, "gate-2").rows()]
    assert hours == [21, 23, *range(22), 23]
    assert not (tmp_path / GAPS_CSV).exists()


def test_a_change_is_kept_and_a_scene_that_only_becomes_lighter_is_not(tmp_path: Path) -> None:
    clock, animal = QuickClock(NOON, NOON + 10 * MINUTE), NOON + 5 * MINUTE

    def passes(at: datetime) -> NDArray[np.uint8]:
        pixels = scene(at)
        pixels[10:25, 20:40] = 200
        return pixels

    camera = Camera(clock, 10.0, {
        (NOON + 2 * MINUTE, animal): lambda at: scene(at) + np.uint8(40),
        (animal, animal + MINUTE): passes,
    })  # fmt: skip
    told: list[Told] = []
    with pytest.raises(Stopped):
        collector(tmp_path, clock, camera, RULES, told, Wish(None, 0.02, 6.0)).run()
    kept = [one.kept.arrived_at[11:16] for one in told if one.kept]
    assert kept == ["12:00", "12:05", "12:06"]  # the first, the animal, and that it is gone
    assert {one.kept.kept for one in told if one.kept} == {"change"}


def test_pauses_grow_up_to_five_minutes_and_a_steady_connection_begins_again() -> None:
    pauses = [retry.pause(failures, Random(1)) for failures in range(1, 13)]  # noqa: S311 - their spread
    assert pauses == sorted(pauses)
    assert pauses[0] <= retry.FIRST
    assert 0.75 * retry.LONGEST <= pauses[-1] <= retry.LONGEST
    assert retry.pause(1, Random(1), refused=True) >= 0.75 * retry.LOCKED_OUT  # noqa: S311
    assert len({retry.pause(5, Random(seed)) for seed in range(20)}) == 20  # noqa: S311


def test_a_camera_whose_clock_is_wrong_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = QuickClock(NOON, NOON + 2 * MINUTE)

    def connect() -> Iterator[Frame]:
        while True:
            yield Frame(scene(clock.now()), None, datetime(2031, 5, 5, tzinfo=UTC), clock.now())
            clock.wait(10)

    camera = Camera(clock, 10.0, {})
    camera.frames = connect  # type: ignore[method-assign]
    run(tmp_path, clock, camera)
    assert len([line for line in caplog.messages if "Its clock says 2031-05-05" in line]) == 1


def test_a_full_disk_is_a_gap_and_ends_with_it(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 8 << 20) as small:
        clock, full, room = QuickClock(NOON, NOON + 3 * HOUR), NOON + HOUR, NOON + 2 * HOUR

        def fill(at: datetime) -> None:
            if not (small.seen / "ballast").exists():
                small.fill(0)

        def free(at: datetime) -> None:
            (small.seen / "ballast").unlink(missing_ok=True)

        camera = Camera(clock, 300.0, {(full, room): fill, (room, room + HOUR): free})
        folder = small.seen / "photos" / "gate-2"
        told = run(folder, clock, camera, Rules(20 * MINUTE))
        (gap,) = read_gaps(folder / GAPS_CSV)
        assert (gap.start, gap.end, gap.reason) == (full - 5 * MINUTE, room, Reason.DISK_FULL)
        rows = list(Album(folder, "gate-2").rows())
        assert len(rows) == sum(bool(one.kept) for one in told) == 24
        for row in rows:
            assert sha256_of_file(folder / row.path) == row.sha256
        assert not [file for file in folder.rglob("*") if file.name.endswith(".tmp")]
