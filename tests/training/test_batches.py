"""The batches of an epoch: each row once, with its target and its weight, in an order of the epoch's own."""

import numpy as np
import pytest

from pipeline.training.batches import Examples, Task, batches, stream
from pipeline.training.pace import Pace, whole_passes

WEIGHTS = np.array([0.5, 2.0], np.float32)


def test_batches_keep_rows_and_labels_together_and_see_each_once_an_epoch() -> None:
    labels = np.arange(10) % 2
    rows = (np.arange(10) * 10 + labels).astype(np.uint8)[:, None]
    example = Examples(rows, labels)
    numbered = Task("head", example, example, np.eye(2, dtype=np.float32)[labels], WEIGHTS, 3, whole_passes(2, 10, 4))
    orders = []
    for epoch in (0, 1, 0):
        found = [np.concatenate(parts) for parts in zip(*found_in(numbered, epoch), strict=True)]
        assert found[0].dtype == np.float32
        assert sorted(found[0][:, 0]) == sorted(rows[:, 0])
        assert (found[1].argmax(axis=1) == found[0][:, 0] % 10).all()
        assert (found[2] == WEIGHTS[found[1].argmax(axis=1)]).all()
        orders.append(found[0][:, 0].tolist())
    assert orders[0] == orders[2] != orders[1]
    assert [len(part[0]) for part in found_in(numbered, 0)] == [4, 4, 2]
    full = batches(numbered, whole_passes(2, 10, 4, together=True), 0, 1, together=True)
    assert [len(part[0]) for part in full] == [4, 4]


def found_in(task: Task, judgement: int) -> list[tuple[np.ndarray, ...]]:
    return list(batches(task, task.pace, judgement, judgement + 1).as_numpy_iterator())


def test_batches_of_several_epochs_are_those_of_each() -> None:
    example = Examples(np.arange(10, dtype=np.float32)[:, None], np.arange(10) % 2)
    pace = whole_passes(3, 10, 4)
    task = Task("head", example, example, np.eye(2, dtype=np.float32)[example.labels], WEIGHTS, 3, pace)
    at_once = [part[0].tolist() for part in batches(task, pace, 1, 3).as_numpy_iterator()]
    assert at_once == [part[0].tolist() for epoch in (1, 2) for part in found_in(task, epoch)]


def test_between_judgements_that_are_not_epochs_the_batches_are_full_and_the_passes_go_on() -> None:
    """7 steps of 4 rows, judged 3 times: after 2, 4 and 7 steps. Ten rows are through after two and a half steps."""
    rows = np.arange(10, dtype=np.float32)[:, None]
    example = Examples(rows, np.arange(10) % 2)
    task = Task("fine_tune", example, example, np.eye(2, dtype=np.float32)[example.labels], WEIGHTS, 3, Pace(7, 3, 4))
    parts = [found_in(task, judgement) for judgement in range(3)]
    assert [len(part) for part in parts] == [2, 2, 3]
    seen = np.concatenate([batch[0][:, 0] for part in parts for batch in part])
    assert len(seen) == 28
    assert sorted(seen[:10]) == sorted(seen[10:20]) == list(range(10))
    assert seen[:10].tolist() != seen[10:20].tolist()


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (3, 10), (9, 25), (20, 20)])
def test_a_part_of_the_stream_is_the_same_wherever_one_begins(start: int, stop: int) -> None:
    assert stream(10, 5, start, stop).tolist() == stream(10, 5, 0, 40)[start:stop].tolist()


def test_a_mixed_label_weighs_in_its_shares() -> None:
    one = Examples(np.zeros((1, 3), np.float32), np.array([0]))
    mixed = Task("head", one, one, np.array([[0.25, 0.75]], np.float32), WEIGHTS, 1, Pace(1, 1, 1))
    [(_, _, weights)] = found_in(mixed, 0)
    assert weights == pytest.approx([0.25 * 0.5 + 0.75 * 2.0])
