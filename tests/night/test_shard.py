"""Shards in one process: the model is at one, and the files of the next are read meanwhile."""

import threading
import time
from pathlib import Path

import pytest

from pipeline.night import reading, shard
from pipeline.night.shard import classify_alone, classify_here
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage.folders import Folder
from tests.fixtures.nights import begun


def test_files_of_the_next_shard_are_read_before_its_turn_at_the_model(
    here: Params, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read, real = begun(night, tmp_path / "out", here), list[str](), reading.read_image

    def noted(source: Folder, path: str, rules: Images, *rest: object) -> reading.Read:
        read.append(path)
        return real(source, path, rules, *rest)  # type: ignore[arg-type]

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
