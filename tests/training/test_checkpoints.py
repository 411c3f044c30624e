"""Snapshots on disk: whole or ignored, for one process, gone when the training is done."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.storage.training_record import FILE, last_training, phases_kept
from pipeline.training.checkpoints import KEPT_SECONDS, Checkpoints, Snapshot, training
from tests.fixtures.project import REPOSITORY


def snapshot(epochs: int = 2) -> Snapshot:
    arrays = {"best": [np.arange(6, dtype=np.float32).reshape(2, 3)], "model": [np.array([7, 8], np.uint32)]}
    return Snapshot(
        [{"epoch": number + 1, "val_loss": 0.1 + number} for number in range(epochs)], False, arrays, (90, 6)
    )


def test_a_snapshot_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load("head") is None
    checkpoints.save("head", snapshot)
    found = checkpoints.load("head")
    assert found is not None
    assert (found.history, found.finished, found.pace) == (snapshot().history, False, (90, 6))
    for name, arrays in snapshot().arrays.items():
        for ours, theirs in zip(arrays, found.arrays[name], strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    assert checkpoints.load("fine_tune") is None


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("damage", ["cut", "one bit"])
def test_a_damaged_snapshot_is_ignored_with_a_warning_or_is_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, part: float, damage: str
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("head", snapshot)
    content = bytearray((tmp_path / "head.npz").read_bytes())
    place = int(len(content) * part)
    if damage == "cut":
        content = content[:place]
    else:
        content[place] ^= 0x10
    (tmp_path / "head.npz").write_bytes(content)
    log.addHandler(caplog.handler)
    try:
        found = checkpoints.load("head")
    finally:
        log.removeHandler(caplog.handler)
    if found is None:
        assert "is damaged and is ignored" in caplog.text
    else:  # a bit of the archive's own words that nobody reads
        assert damage == "one bit"
        assert found.history == snapshot().history
        np.testing.assert_array_equal(found.arrays["best"][0], snapshot().arrays["best"][0])


def test_a_snapshot_is_not_written_again_before_it_has_paid_for_itself(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for epochs, always, kept in ((1, False, 1), (2, False, 1), (3, True, 3)):
        checkpoints.save("head", lambda epochs=epochs: snapshot(epochs), always)
        found = checkpoints.load("head")
        assert found is not None
        assert len(found.history) == kept


def test_a_training_that_ends_well_leaves_nothing_and_one_that_does_not_is_kept(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), training(tmp_path, "key") as checkpoints:
        checkpoints.save("head", snapshot)
        raise ZeroDivisionError
    left = last_training(tmp_path)
    assert left
    assert [file.name for file in phases_kept(left, tmp_path)] == ["head.npz"]
    whole = (tmp_path / FILE).read_text()
    for damaged in (
        "",
        whole[:-9],
        whole.replace('"steps": 0', '"steps": "?"'),
        whole.replace('"kept": 0', '"kept": null'),
    ):
        (tmp_path / FILE).write_text(damaged)
        assert last_training(tmp_path) is None
    with training(tmp_path, "another") as checkpoints:
        assert checkpoints.load("head") is None, "another training's snapshot is none of ours"
    assert last_training(tmp_path) is None, "the one after it has ended well"
    (tmp_path / f".{FILE}.abc123.tmp").mkdir()  # as a kill in the middle of writing leaves it
    with training(tmp_path, "key") as checkpoints:
        assert checkpoints.load("head") is not None
    assert [entry for entry in tmp_path.iterdir() if entry.is_dir()] == []


def test_what_nobody_came_back_to_is_forgotten(tmp_path: Path) -> None:
    for name, age in (("old", KEPT_SECONDS + 60), ("new", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with training(tmp_path, "key"):
        pass
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == ["new"]


HOLD = """
import signal, sys
from pathlib import Path
from pipeline.training.checkpoints import training
with training(Path(sys.argv[1]), "key"):
    print("holds", flush=True)
    signal.pause()
"""


def test_a_second_training_names_the_first_and_a_killed_one_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as first:
        assert first.stdout is not None
        try:
            assert first.stdout.readline() == "holds\n"
            record = last_training(tmp_path)
            assert record
            assert record.process.number == first.pid
            assert record.process.is_alive
            with pytest.raises(NightshiftError, match=rf"already running in .* \(process {first.pid} on "):
                training(tmp_path, "another").__enter__()
        finally:
            first.kill()
    assert not record.process.is_alive
    with training(tmp_path, "another"):
        (tmp_path / FILE).unlink()
        (tmp_path / FILE).mkdir()  # what cannot be removed
    assert not (tmp_path / "another").exists()


def test_a_machine_that_does_not_write_needs_no_lock_and_changes_nothing(tmp_path: Path) -> None:
    with training(tmp_path, "key") as first, training(tmp_path, "key", writes=False) as second:
        second.save("head", snapshot)
        assert first.load("head") is None
        first.save("head", snapshot)
        assert second.load("head") is not None
    assert not (tmp_path / "key").exists()
