"""One run at a time on an output in a store: the lock names its holder, lives as long as it, and expires."""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from upath import UPath

from pipeline.storage import output_lock, store_lock, stores
from pipeline.storage.addresses import place
from pipeline.storage.output_lock import LOCK, LedgerError
from pipeline.storage.store_lock import Claim, Times, acquire, held, require

T = TypeVar("T")
ROUNDS = int(os.environ.get("NIGHTSHIFT_LOCK_ROUNDS", "20"))
QUICK = Times(beat=0.1, expires=1.0, settle=0.1)  # seconds
LONG_AGO = 3600  # seconds


@pytest.fixture(params=["memory", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """A folder in a store; the one in memory cannot create an object only if it is new."""
    far = request.getfixturevalue("bucket") if request.param == "s3" else f"memory://{abs(hash(tmp_path))}"
    found = place(f"{far}/night")
    assert isinstance(found, UPath)
    return found


def write_claim(output: UPath, number: int = 7, *, ago: float = LONG_AGO, by: str = "another") -> Claim:
    """Claim it for another run, whose clock shows a time that was some seconds `ago`."""
    claim = Claim(number, "process 7 on far", by, time.time() - ago)
    stores.write_bytes(output / LOCK / claim.name, claim.as_json)
    return claim


def write_sign(output: UPath, claim: Claim, ago: float) -> None:
    sign = Claim(claim.number, claim.holder, claim.token, time.time() - ago)
    stores.write_bytes(output / LOCK / claim.name_of_sign, sign.as_json)


def lives_by_its_signs(output: UPath) -> bool:
    """Whether the claim alone would have expired by its latest heartbeat."""
    times = [json.loads(stores.read_bytes(output / LOCK / name))["at"] for name in stores.names(output / LOCK)]
    return max(times) - min(times) > QUICK.expires


def wait_until(there: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not there():
        assert time.monotonic() < give_up
        time.sleep(QUICK.beat / 4)


def hold(output: UPath) -> None:
    """And end."""
    with held(output, QUICK):
        pass


def test_a_second_run_is_refused_with_the_holders_name_and_the_first_goes_on(output: UPath) -> None:
    with held(output, QUICK):
        wait_until(lambda: lives_by_its_signs(output))
        with pytest.raises(LedgerError, match=r"in use by process \d+ on .*, its lock .* expires in 1 s"):
            hold(output)
        require(output)
        assert len(stores.names(output / LOCK)) == 2, "its claim and its sign; a refused run leaves nothing"
    assert stores.names(output) == []
    assert output_lock.token(output) == ""
    hold(output)


def test_a_dead_holders_lock_expires(output: UPath) -> None:
    write_sign(output, write_claim(output), ago=0.5)
    with pytest.raises(LedgerError, match="in use by process 7 on far"):
        hold(output)
    time.sleep(0.6)
    with held(output, QUICK):
        require(output)
        assert len(stores.names(output / LOCK)) in (1, 2), "what is left of the dead one is removed"
    assert stores.names(output) == []


def test_a_holder_that_lives_keeps_its_lock_though_its_clock_is_wrong(output: UPath) -> None:
    claim, ended = write_claim(output), threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            write_sign(output, claim, ago=LONG_AGO)

    living = threading.Thread(target=beat)
    living.start()
    try:
        with pytest.raises(LedgerError, match="in use by process 7 on far"):
            hold(output)
    finally:
        ended.set()
        living.join()


@pytest.fixture
def slow_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request waits for a moment, another one each time."""
    attempt, chance = stores.attempt, random.Random(1)  # noqa: S311 - for delays

    def late(place: object, action: Callable[[], T]) -> T:
        time.sleep(chance.choice((0, 0, 0.001, 0.005, 0.01)))
        return attempt(place, action)

    monkeypatch.setattr(stores, "attempt", late)


def test_who_gives_way_leaves_a_claim_that_was_written_over_its_own(
    output: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a store that cannot create objects exclusively: both have the same number, and the second one stays."""
    create, times, other = store_lock._create, Times(beat=0.005, expires=10.0, settle=0.01), Claim(0)

    def create_first(room: UPath, claim: Claim, settle: float) -> bool:
        done = create(room, claim, settle)
        place = room / claim.name
        place.fs.pipe_file(place.path, replace(other, number=claim.number).as_json)
        return done

    monkeypatch.setattr(store_lock, "_create", create_first)
    with pytest.raises(LedgerError, match="is in use by"):
        acquire(output / LOCK, times)
    left = store_lock._highest(output / LOCK)
    assert left is not None
    assert left.token == other.token


@pytest.mark.usefixtures("slow_store")
@pytest.mark.parametrize("dead", [True, False], ids=["expired", "free"])
def test_of_two_that_take_a_lock_at_the_same_time_one_gets_it(output: UPath, dead: bool) -> None:
    times = Times(beat=0.005, expires=10.0, settle=0.5)  # a busy machine lets a thread wait for longer than 0.1
    for number in range(ROUNDS):
        night = output / str(number)
        if dead:
            write_claim(night)
        got: list[Claim] = []
        refused: list[LedgerError] = []
        begin = threading.Barrier(2)

        def take(night: UPath, got: list[Claim], refused: list[LedgerError], begin: threading.Barrier) -> None:
            begin.wait()
            try:
                got.append(acquire(night / LOCK, times))
            except LedgerError as error:
                refused.append(error)

        runs = [threading.Thread(target=take, args=(night, got, refused, begin)) for _ in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert (len(got), len(refused)) == (1, 1), f"round {number}"
        assert f"is in use by process {os.getpid()} on" in str(refused[0])
        assert store_lock._highest(night / LOCK) == got[0]
        assert stores.names(night / LOCK) == [got[0].name]


def test_a_paused_heartbeat_never_erases_the_new_holders_claim(output: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    first = acquire(output / LOCK, QUICK)
    paused, go_on, write = threading.Event(), threading.Event(), stores.write_bytes

    def pause(place: UPath, data: bytes) -> None:
        if place.name == first.name_of_sign:
            paused.set()
            go_on.wait(30)  # it has looked, and writes when another one holds
        write(place, data)

    monkeypatch.setattr(stores, "write_bytes", pause)
    heart = store_lock._Heart(output / LOCK, first, QUICK)
    assert paused.wait(10)
    time.sleep(QUICK.expires)
    with held(output, QUICK):
        go_on.set()
        heart.stop()
        assert heart.has_lost()
        store_lock._release(output / LOCK, first)
        require(output)
        with pytest.raises(LedgerError, match="is in use by"):
            hold(output)
    assert stores.names(output) == []


def test_who_was_overtaken_writes_nothing_more_and_leaves_the_lock(output: UPath) -> None:
    said = "Another run \\(process 7 on far\\) took over .* This run stops; finished work is kept"

    def work() -> None:
        with held(output, QUICK):
            require(output)
            write_claim(output, 10**11, ago=0)
            with pytest.raises(LedgerError, match=said):
                require(output)

    with pytest.raises(LedgerError, match=said):
        work()
    assert stores.names(output / LOCK) == [f"{10**11:012d}"]


def test_who_was_overtaken_by_a_run_that_has_ended_writes_nothing_more(output: UPath) -> None:
    with pytest.raises(LedgerError, match=r"Another run \(which has ended since\) took over"), held(output, QUICK):
        stores.delete_tree(output / LOCK)


def test_a_process_that_helps_the_holder_stops_with_it(output: UPath) -> None:
    claim = write_claim(output, ago=0)
    output_lock.join(output, claim.token)
    try:
        require(output)
        write_claim(output, 8, by="a third")
        with pytest.raises(LedgerError, match=r"Another run \(process 7 on far\) took over"):
            require(output)
    finally:
        output_lock.leave(output)


def test_who_could_give_no_sign_for_too_long_writes_nothing_more(
    output: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(place: UPath, data: bytes) -> None:
        raise stores.StoreError("silence")

    def work() -> None:
        with held(output, QUICK):
            monkeypatch.setattr(stores, "write_bytes", fail)
            for thread in threading.enumerate():
                if thread.name == store_lock.HEARTBEAT:
                    thread.join(60)  # it gives up, and what is lost stays lost
                    assert not thread.is_alive()
            monkeypatch.undo()
            with pytest.raises(LedgerError, match="could not write a heartbeat to .* for 1 s"):
                require(output)

    with pytest.raises(LedgerError, match="could not write a heartbeat"):
        work()
    assert stores.names(output) == []


def test_a_failure_inside_frees_the_output_and_stays_what_it_is(output: UPath) -> None:
    with pytest.raises(LookupError), held(output, QUICK):
        raise LookupError
    assert stores.names(output) == []


def test_a_server_that_does_not_refuse_is_found_out(
    bucket: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    output = place(f"{bucket}/night")
    assert isinstance(output, UPath)
    put = output.fs.pipe_file
    monkeypatch.setattr(output.fs, "pipe_file", lambda path, data, **_: put(path, data))
    hold(output)
    assert "cannot create objects exclusively" in caplog.text
