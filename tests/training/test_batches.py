"""The batches of an epoch: each row once, with its target and its weight, in an order of the epoch's own."""

import numpy as np
import pytest

from pipeline.training.batches import Examples, Task, batches

WEIGHTS = np.array([0.5, 2.0], np.float32)


def test_batches_keep_rows_and_labels_together_and_see_each_once_an_epoch() -> None:
    labels = np.arange(10) % 2
    rows = (np.arange(10) * 10 + labels).astype(np.uint8)[:, None]
    example = Examples(rows, labels)
    numbered = Task("head", example, example, np.eye(2, dtype=np.float32)[labels], WEIGHTS, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        found = [np.concatenate(parts) for parts in zip(*batches(numbered, 4, epoch).as_numpy_iterator(), strict=True)]
        assert found[0].dtype == np.float32
        assert sorted(found[0][:, 0]) == sorted(rows[:, 0])
        assert (found[1].argmax(axis=1) == found[0][:, 0] % 10).all()
        assert (found[2] == WEIGHTS[found[1].argmax(axis=1)]).all()
        orders.append(found[0][:, 0].tolist())
    assert orders[0] == orders[2] != orders[1]
    assert [len(part[0]) for part in batches(numbered, 4, 0)] == [4, 4, 2]
    assert [len(part[0]) for part in batches(numbered, 4, 0, whole=True)] == [4, 4]


def test_a_mixed_label_weighs_in_its_shares() -> None:
    one = Examples(np.zeros((1, 3), np.float32), np.array([0]))
    mixed = Task("head", one, one, np.array([[0.25, 0.75]], np.float32), WEIGHTS, seed=1)
    _, _, weights = next(batches(mixed, 1, 0).as_numpy_iterator())
    assert weights == pytest.approx([0.25 * 0.5 + 0.75 * 2.0])
