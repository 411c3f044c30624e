"""Shards in one process: the model is at one, and the files of the next are read meanwhile."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.images.decode import Picture
from pipeline.images.measures import Light
from pipeline.model.contract import Contract
from pipeline.model.engine import Engine
from pipeline.night import reading, shard
from pipeline.night.reading import Decoded, Read, ReadingError
from pipeline.night.rows import Classified, Unreadable
from pipeline.night.shard import classify_alone, classify_here, judge
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage.folders import Folder
from tests.fixtures.nights import begun


def test_files_of_the_next_shard_are_read_before_its_turn_at_the_model(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read, real = begun(night, tmp_path / "out", here), list[str](), reading.read_image

    def noted(source: Folder, path: str, rules: Images, *rest: object, **named: object) -> reading.Read:
        read.append(path)
        return real(source, path, rules, *rest, **named)  # type: ignore[arg-type]

    class Turn:
        """The first is to load the model. The second comes when all files are read."""

        taken = 0

        def __enter__(self) -> None:
            self.taken += 1
            end = time.monotonic() + 60
            while self.taken == 2 and len(read) < 3:
                assert time.monotonic() < end, "nothing is read before the turn"
                time.sleep(0.01)

        def __exit__(self, *_: object) -> None:
            assert len(read) == (0 if self.taken == 1 else 3)

    monkeypatch.setattr(reading, "read_image", noted)
    assert [*classify_here(run, [1], here, turn=Turn())] == [(1, 3)]
    assert run.unfinished() == [0, 2, 3]


def test_two_threads_of_a_worker_ask_the_model_in_turn(here: Params, night: Path, tmp_path: Path) -> None:
    run = begun(night, tmp_path / "out", here)
    threads = [threading.Thread(target=classify_alone, args=(run, number, here)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert run.unfinished() == []
    assert not shard._one_at_a_time.locked()


RULES = Images(width=8, height=8, fit="stretch", max_megapixels=1)
CONTRACT = Contract(
    class_names=("dark", "light"), images=RULES, backbone="mean", temperature=1.0, unsure_below=0.5,
    dataset_sha256="0" * 64, weights_sha256="1" * 64, code_commit="",
)  # fmt: skip


def lightness(batch: np.ndarray) -> np.ndarray:
    mean = batch.mean(axis=(1, 2, 3)).astype(np.float32)
    return np.stack([127.5 - mean, mean - 127.5], axis=1)


def until_the_disk_is_gone(count: int, read: list[str]) -> Iterator[Read]:
    """Dark and light pictures in turn, every fifth file unreadable; then the disk is gone."""
    for number in range(count):
        path = f"{number}.png"
        read.append(path)
        if number % 5 == 4:
            yield Unreadable(path, "damaged")
        else:
            pixels = np.full((8, 8, 3), 255 * (number % 2) - number % 2 * number, np.uint8)
            yield Decoded(path, f"{number:064d}", Picture(pixels, 8, 8, "PNG", "RGB", 8, 1), Light(0, 0, 0))
    raise ReadingError("gone")


@pytest.mark.parametrize("count", [0, 3, 11, 12])
def test_what_was_read_has_its_outcomes_when_the_disk_is_gone(count: int) -> None:
    found = []
    with pytest.raises(ReadingError, match="gone"):
        found.extend(judge(until_the_disk_is_gone(count, []), Engine(CONTRACT, lightness), 3))
    assert [outcome.path for outcome in found] == [f"{number}.png" for number in range(count)]
    for number, outcome in enumerate(found):
        if isinstance(outcome, Classified):
            assert outcome.ranked[0][0] == CONTRACT.class_names[number % 2]
        else:
            assert number % 5 == 4


def test_a_model_that_fails_ends_the_run_and_no_outcome_takes_the_place_of_another() -> None:
    def fails(batch: np.ndarray) -> np.ndarray:
        if batch[0, 0, 0, 0] == 255 - 3:  # the second batch
            raise NightshiftError("not finite")
        return lightness(batch)

    found = []
    with pytest.raises(NightshiftError, match="not finite"):
        found.extend(judge(until_the_disk_is_gone(12, []), Engine(CONTRACT, fails), 3))
    assert [outcome.path for outcome in found] == ["0.png", "1.png", "2.png"]


def test_the_model_has_the_next_batch_before_the_outcomes_of_one_are_used() -> None:
    read = list[str]()
    outcomes = judge(until_the_disk_is_gone(12, read), Engine(CONTRACT, lightness), 3)
    assert next(outcomes).path == "0.png"
    assert len(read) == 6, "two batches"
