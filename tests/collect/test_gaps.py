"""gaps.csv: what is a gap, when it ends, and the time in which no collector ran."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from pipeline.collect.gaps import GAPS_CSV, Gap, Gaps, Reason, Rules, in_words, read_gaps, write_gaps
from pipeline.collect.state import State, gaps_between, write_state

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULES = Rules(10 * MINUTE, zone=UTC)
NIGHTLY = Rules(10 * MINUTE, (time(20), time(6)), UTC)


def gaps(folder: Path, now: datetime = NOON, rules: Rules = RULES) -> Gaps:
    return Gaps(folder / GAPS_CSV, rules, now)


def test_a_gap_begins_with_the_last_picture_and_ends_with_the_next(tmp_path: Path) -> None:
    found = gaps(tmp_path)
    found.picture(NOON)
    assert found.trouble(NOON + 9 * MINUTE, Reason.NO_ANSWER) is None
    begun = found.trouble(NOON + 10 * MINUTE, Reason.NO_ANSWER)
    assert begun == Gap(NOON, None, "no answer")
    assert read_gaps(tmp_path / GAPS_CSV) == [begun]  # there while it goes on
    found.picture(NOON + HOUR)
    assert read_gaps(tmp_path / GAPS_CSV) == [Gap(NOON, NOON + HOUR, "no answer")]


def test_another_reason_is_another_row(tmp_path: Path) -> None:
    found = gaps(tmp_path)
    found.trouble(NOON + 15 * MINUTE, Reason.NO_ANSWER)
    found.trouble(NOON + 20 * MINUTE, Reason.REFUSED)
    found.picture(NOON + 30 * MINUTE)
    assert read_gaps(tmp_path / GAPS_CSV) == [
        Gap(NOON, NOON + 20 * MINUTE, "no answer"),
        Gap(NOON + 20 * MINUTE, NOON + 30 * MINUTE, "refused login"),
    ]


def test_the_end_of_the_hours_ends_a_gap(tmp_path: Path) -> None:
    found = gaps(tmp_path)
    found.trouble(NOON + 15 * MINUTE, Reason.BLACK)
    found.pause(NOON + HOUR)
    found.wake(NOON + 5 * HOUR)
    assert found.check(NOON + 5 * HOUR + 9 * MINUTE) is None
    assert read_gaps(tmp_path / GAPS_CSV) == [Gap(NOON, NOON + HOUR, "black")]


def test_the_time_without_a_collector_is_a_gap_within_the_hours(tmp_path: Path) -> None:
    found = gaps(tmp_path, NOON + 24 * HOUR, NIGHTLY)
    found.resume(alive=NOON - 2 * HOUR, fine=NOON - 3 * HOUR, now=NOON + 24 * HOUR)
    assert read_gaps(tmp_path / GAPS_CSV) == [Gap(NOON + 8 * HOUR, NOON + 18 * HOUR, "not running")]


def test_a_gap_that_was_there_when_the_collector_was_killed_ends_with_it(tmp_path: Path) -> None:
    write_gaps(tmp_path / GAPS_CSV, [Gap(NOON, None, "frozen")])
    gaps(tmp_path).resume(alive=NOON + HOUR, fine=NOON, now=NOON + 2 * HOUR)
    assert read_gaps(tmp_path / GAPS_CSV) == [
        Gap(NOON, NOON + HOUR, "frozen"),
        Gap(NOON + HOUR, NOON + 2 * HOUR, "not running"),
    ]


def test_a_short_restart_is_no_gap_and_what_follows_counts_from_the_last_picture(tmp_path: Path) -> None:
    found = gaps(tmp_path, NOON + 5 * MINUTE)
    found.resume(alive=NOON + MINUTE, fine=NOON, now=NOON + 5 * MINUTE)
    assert read_gaps(tmp_path / GAPS_CSV) == []
    assert found.trouble(NOON + 11 * MINUTE, Reason.NO_ANSWER) == Gap(NOON, None, "no answer")


def test_others_see_the_gap_of_a_collector_that_is_not_there(tmp_path: Path) -> None:
    write_gaps(tmp_path / GAPS_CSV, [Gap(NOON, NOON + HOUR, "black"), Gap(NOON + 2 * HOUR, None, "no answer")])
    write_state(tmp_path, State(alive=NOON + 3 * HOUR, picture=NOON + 2 * HOUR))
    now = NOON + 6 * HOUR
    assert gaps_between(tmp_path, RULES, NOON + HOUR / 2, now, now) == [
        Gap(NOON + HOUR / 2, NOON + HOUR, "black"),
        Gap(NOON + 2 * HOUR, NOON + 3 * HOUR, "no answer"),
        Gap(NOON + 3 * HOUR, None, "not running"),
    ]
    assert gaps_between(tmp_path, RULES, NOON, NOON + HOUR / 2, now) == [Gap(NOON, None, "black")]


def test_rows_that_are_not_gaps_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / GAPS_CSV
    write_gaps(file, [Gap(NOON, NOON + HOUR, "black")])
    file.write_text(file.read_text() + "yesterday,,black\r\n2026-06-01T12:00:00,,no zone\r\n", encoding="utf-8")
    assert read_gaps(file) == [Gap(NOON, NOON + HOUR, "black")]


def test_gaps_in_words() -> None:
    assert in_words("gate-2", [Gap(NOON, NOON + HOUR, "no answer")], UTC) == (
        "gate-2: no picture from 12:00 to 13:00 (no answer)"
    )
    many = [Gap(NOON, NOON + 30 * HOUR, "black")] * 6 + [Gap(NOON, None, "frozen")]
    assert in_words("a", many, UTC).endswith("2026-06-01 12:00 to 2026-06-02 18:00 (black), and 2 more times")
    assert in_words("a", many[-1:], UTC) == "a: no picture since 2026-06-01 12:00 (frozen)"
