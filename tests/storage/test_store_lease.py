"""One run at a time on an output in a store: the lock names its holder, lives as long as it, and expires."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from pipeline.night.ledger import held as output_held
from pipeline.storage import store_lease as lease
from pipeline.storage import stores
from pipeline.storage.addresses import place
from pipeline.storage.store_lease import Lease, LeaseError, held
from tests.storage.test_store_listing import bucket, server  # noqa: F401 - fixtures

OTHER = "another run's"


@pytest.fixture(params=["memory", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UPath:
    """A folder in a store; its leases live and die within seconds."""
    for name, seconds in (("BEAT", 0.2), ("EXPIRES", 2.0), ("SETTLE", 0.2)):
        monkeypatch.setattr(lease, name, seconds)
    far = request.getfixturevalue("bucket") if request.param == "s3" else f"memory://{abs(hash(tmp_path))}"
    found = place(f"{far}/night")
    assert isinstance(found, UPath)
    return found


def lock_of(output: UPath) -> UPath:
    return output / ".nightshift.lock"


def write_lock(output: UPath, **of_lock: Any) -> Lease:
    stores.write_bytes(lock_of(output), json.dumps({"holder": "process 7 on far", "token": OTHER, **of_lock}).encode())
    return Lease("process 7 on far", **{"token": OTHER, **of_lock})


def test_a_second_run_is_refused_with_the_holders_name_and_the_first_goes_on(output: UPath) -> None:
    with output_held(output):
        time.sleep(1)  # it has beaten by now
        with pytest.raises(LeaseError, match=r"in use by process \d+ on .* is free in \d+ s"), output_held(output):
            pass
        assert stores.exists(lock_of(output)), "a refused run does not free the output"
    assert not stores.exists(lock_of(output))
    with output_held(output):
        pass


def test_a_dead_holders_lock_expires(output: UPath) -> None:
    write_lock(output, at=time.time() - 1)
    with pytest.raises(LeaseError, match="in use by process 7 on far"), output_held(output):
        pass
    time.sleep(1.5)
    with output_held(output):
        assert json.loads(stores.read_bytes(lock_of(output)))["token"] != OTHER


def test_a_holder_that_lives_keeps_its_lock_though_its_clock_is_wrong(output: UPath) -> None:
    write_lock(output, at=time.time() - 3600)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.1):
            write_lock(output, at=time.time() - 3600)

    living = threading.Thread(target=beat)
    living.start()
    try:
        with pytest.raises(LeaseError, match="in use by process 7 on far"), output_held(output):
            pass
    finally:
        ended.set()
        living.join()


def test_of_two_that_take_over_a_dead_ones_lock_one_gets_it(output: UPath) -> None:
    write_lock(output, at=time.time() - 3600)
    got, refused, begin, end = [], [], threading.Barrier(3), threading.Event()

    def take(number: int) -> None:
        ours = Lease(f"run {number}")
        begin.wait()
        try:
            lease._acquire(lock_of(output), ours)
            got.append(number)
        except LeaseError:
            refused.append(number)
        end.set()

    runs = [threading.Thread(target=take, args=(number,)) for number in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert (len(got), len(refused)) == (1, 2)


def test_a_run_whose_lock_another_took_is_interrupted_and_leaves_it(output: UPath) -> None:
    def work() -> None:
        with held(output, ".nightshift.lock"):
            write_lock(output, at=time.time())
            for _ in range(100):
                time.sleep(0.1)

    with pytest.raises(LeaseError, match="was taken over by another run"):
        work()
    assert json.loads(stores.read_bytes(lock_of(output)))["token"] == OTHER


def test_a_failure_inside_frees_the_output_and_stays_what_it_is(output: UPath) -> None:
    with pytest.raises(LookupError), output_held(output):
        raise LookupError
    assert not stores.exists(lock_of(output))
