"""Epochs of gradient descent on a few small rows: batches, judging, stopping, going on; without images."""

import logging
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.core.log import log
from pipeline.evaluation.metrics import mean_log_loss
from pipeline.model.engine import probabilities
from pipeline.params.file import Params
from pipeline.params.model import Fit, Monitor, Train
from pipeline.storage.training_record import Recorder, last_training
from pipeline.training.batches import Examples, Task
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fitting import (
    Diverged,
    Epoch,
    OnEpoch,
    as_table,
    averaged,
    best_epoch,
    fit,
    is_finished,
    loss_of_each,
    make_judge,
    make_steps,
)
from pipeline.training.optimiser import WarmUpAndCosine, build_optimiser
from pipeline.training.pace import Pace, whole_passes

WEIGHTS = np.array([0.5, 2.0], np.float32)
HOW = Fit(epochs=6, batch_size=16, learning_rate=0.05, weight_decay=0.1, dropout=0.3, patience=6, warm_up=0.2, ema=0.8)


def examples(count: int, seed: int) -> Examples:
    """Two clouds that overlap."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return Examples(rng.normal(labels[:, None], 1.0, (count, 8)).astype(np.float32), labels)


def task(count: int = 50, seed: int = 5) -> Task:
    train = examples(count, 1)
    targets = np.eye(2, dtype=np.float32)[train.labels]
    return Task("head", train, examples(40, 2), targets, WEIGHTS, seed, whole_passes(HOW.epochs, count, HOW.batch_size))


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8,))
    x = layers.BatchNormalization()(layers.Dense(6, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Dropout(HOW.dropout, seed=1)(x)))


def fitted(
    how: Fit, train: Train, checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None
) -> tuple[keras.Model, list[Epoch]]:
    model = network()
    optimiser = build_optimiser(model, how, WarmUpAndCosine(how, how.epochs * 4), layer_decay=0.5)
    return model, fit(model, optimiser, task(), how, train, checkpoints, on_epoch)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_focal_loss_is_the_papers(defaults: Params, gamma: float) -> None:
    focal = defaults.train.model_copy(update={"loss": "focal", "focal_gamma": gamma})
    logits, labels = np.random.default_rng(0).normal(0, 2, (7, 2)).astype(np.float32), np.arange(7) % 2
    right = probabilities(logits, 1.0)[np.arange(7), labels]
    found = loss_of_each(focal)(np.eye(2, dtype=np.float32)[labels], logits)
    np.testing.assert_allclose(found, -((1 - right) ** gamma) * np.log(right), rtol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothing_shares_a_label_among_all(defaults: Params, smoothing: float) -> None:
    logits, label = np.array([[2.0, -1.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    logs = np.log(probabilities(logits, 1.0))[0]
    loss = loss_of_each(defaults.train.model_copy(update={"label_smoothing": smoothing}))(label, logits)
    assert float(loss[0]) == pytest.approx(-(1 - smoothing / 2) * logs[0] - smoothing / 2 * logs[1], rel=1e-5)


@pytest.mark.parametrize(
    ("values", "monitor", "patience", "best", "finished"),
    [
        ([0.5, 0.4, 0.45], "val_loss", 2, 1, False),
        ([0.5, 0.4, 0.45, 0.41], "val_loss", 2, 1, True),
        ([0.5, 0.4, 0.4], "val_loss", 1, 1, True),
        ([0.5, 0.4, 0.45], "val_accuracy", 2, 0, True),
        ([0.5, 0.6, 0.7], "val_balanced_accuracy", 1, 2, False),
        ([0.9, 0.8, 0.7, 0.6, 0.5], "val_loss", 9, 4, True),
    ],
    ids=["still patient", "patience is over", "as good is no better", "higher is better", "balanced", "all epochs"],
)
def test_when_to_stop_and_what_to_keep(
    values: list[float], monitor: Monitor, patience: int, best: int, finished: bool
) -> None:
    history = [{monitor: value} for value in values]
    assert best_epoch(history, monitor) == best
    assert is_finished(history, Pace(20, 5, 16), patience, monitor) == finished


def test_the_best_weights_are_left_and_validation_is_plain_cross_entropy(defaults: Params) -> None:
    smoothed = defaults.train.model_copy(update={"label_smoothing": 0.3, "loss": "focal"})
    model, history = fitted(HOW.model_copy(update={"learning_rate": 0.5}), smoothed)
    val = task().val
    loss = mean_log_loss(val.labels, probabilities(make_judge(model, 7)(val), 1.0))
    assert loss == pytest.approx(min(epoch["val_loss"] for epoch in history), rel=1e-6)
    for epoch in history:
        assert epoch["gap_accuracy"] == epoch["train_accuracy"] - epoch["val_accuracy"]
        assert epoch["gap_loss"] == epoch["val_loss"] - epoch["train_loss"]


@pytest.fixture(scope="module")
def undisturbed(defaults: Params, tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, list[Epoch], Path]:
    """A fit that nothing stops, its epochs, and its checkpoints as they lay there after each epoch, by number."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline.training.checkpoints.COST", math.inf)  # every epoch is written, however short
        checkpoints = Checkpoints(folder / "now")

        def keep(_: str, epoch: Epoch) -> None:
            shutil.copytree(folder / "now", folder / str(epoch["epoch"]))

        return *fitted(HOW, defaults.train, checkpoints, keep), folder


@pytest.mark.parametrize("stop_after", range(1, HOW.epochs + 1))
def test_a_fit_that_goes_on_ends_as_one_that_was_never_disturbed(
    defaults: Params, undisturbed: tuple[keras.Model, list[Epoch], Path], tmp_path: Path, stop_after: int
) -> None:
    model, history, folder = undisturbed
    checkpoints = Checkpoints(Path(shutil.copytree(folder / str(stop_after), tmp_path / "stopped")))
    before = checkpoints.load("head")
    assert before is not None
    assert len(before.history) == stop_after
    again, resumed = fitted(HOW, defaults.train, checkpoints)
    assert resumed[:stop_after] == before.history, "epochs that were over are not fitted again"
    assert as_table(resumed, "head").equals(as_table(history, "head"))
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def in_little_time(
    train: Train, seconds: float | None, checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None
) -> tuple[keras.Model, list[Epoch]]:
    """A slow phase of 40 steps that is judged ten times, or as much of it as `seconds` allow."""
    model, pace = network(), Pace(40, 10, HOW.batch_size)
    rate = WarmUpAndCosine(HOW, pace.steps)
    fine_tuning = replace(task(), phase="fine_tune", pace=pace, slow=True, seconds=seconds, rate=rate)
    optimiser = build_optimiser(model, HOW, rate)
    history = fit(model, optimiser, fine_tuning, HOW.model_copy(update={"patience": 99}), train, checkpoints, on_epoch)
    if history:
        assert float(rate(history[-1]["steps"])) == pytest.approx(0, abs=1e-7), "the rate falls to nothing at the end"
    return model, history


def test_rehearsing_leaves_no_trace_and_without_a_budget_the_steps_themselves_say_how_long_it_takes(
    defaults: Params, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def make_and_keep(*of: Any) -> Any:
        made.append(make_steps(*of))
        return made[-1]

    monkeypatch.setattr("pipeline.training.fitting.make_steps", make_and_keep)
    with caplog.at_level(logging.INFO, logger=log.name):
        timed, history = in_little_time(defaults.train, 1e9)
    assert made[0].experimental_get_tracing_count() == 1, "a large network's graph takes seconds"
    words = "takes under a minute on this machine, as busy as it is now: 40 steps of 16 images, judged 10 times."
    assert f"Fine-tuning {words}" in caplog.text
    assert "Fine-tuning: step" not in caplog.text, "in less than a minute no line in between"
    caplog.clear()
    monkeypatch.setattr("pipeline.training.timing._rehearse", None)
    monkeypatch.setattr("pipeline.training.progress.SAID_EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger=log.name):
        untimed, again = in_little_time(defaults.train, None)
    assert caplog.text.count(f"Fine-tuning {words}") == 1
    lines = re.findall(
        r"Fine-tuning: step (\d+) of 40, validation log loss \d\.\d+, accuracy \d\.\d+, under a minute left$",
        caplog.text, re.MULTILINE,
    )  # fmt: skip
    assert lines == [str(step) for step in range(4, 40, 4)], "in a file, and none after the last step"
    assert as_table(history, "fine_tune").equals(as_table(again, "fine_tune"))
    for ours, theirs in zip(timed.get_weights(), untimed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def shortened(defaults: Params) -> tuple[keras.Model, list[Epoch]]:
    """A fit whose steps take a second each, in less time than 40 of them take."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline.training.timing._rehearse", lambda *_: (1.0, 0.0))
        return in_little_time(defaults.train, 25.5)


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_shortened_fit_that_goes_on_keeps_its_steps_and_ends_as_if_undisturbed(
    defaults: Params, shortened: tuple[keras.Model, list[Epoch]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
) -> None:  # fmt: skip
    """However fast the machine has become: the first time a step takes a second, and then next to nothing."""
    monkeypatch.setattr("pipeline.training.checkpoints.COST", math.inf)
    monkeypatch.setattr("pipeline.training.timing._rehearse", lambda *_: (1.0, 0.0))
    whole, history = shortened
    assert history[-1]["steps"] == 25

    def stop(_: str, epoch: Epoch) -> None:
        if epoch["judgement"] == stop_after:
            raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path, recorder=Recorder(tmp_path, "key"))
    if stop_after:
        with pytest.raises(KeyboardInterrupt):
            in_little_time(defaults.train, 25.5, checkpoints, stop)
        record = last_training(tmp_path)
        assert record
        done = history[stop_after - 1]["steps"]
        assert (record.doing, record.step, record.kept, record.steps) == ("fine-tuning", done, done, 25)
    else:  # killed between the decision and the first judgement
        monkeypatch.setattr("pipeline.training.fitting.batches", _killed)
        with pytest.raises(KeyboardInterrupt):
            in_little_time(defaults.train, 25.5, checkpoints)
        monkeypatch.undo()
    monkeypatch.setattr("pipeline.training.timing._rehearse", lambda *_: (0.001, 0.0))
    again, resumed = in_little_time(defaults.train, 25.5, checkpoints)
    assert as_table(resumed, "fine_tune").equals(as_table(history, "fine_tune"))
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_phase_without_time_is_left_out_and_stays_so(defaults: Params, tmp_path: Path) -> None:
    checkpoints, before = Checkpoints(tmp_path), network().get_weights()
    for seconds in (0.0, 3600.0):  # a training that resumes does as it had decided
        model, history = in_little_time(defaults.train, seconds, checkpoints)
        assert history == []
        for ours, theirs in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_snapshot_of_another_network_is_left_aside(
    defaults: Params, undisturbed: tuple[keras.Model, list[Epoch], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("pipeline.training.checkpoints.COST", math.inf)
    checkpoints = Checkpoints(tmp_path)
    small = keras.Sequential([keras.Input((8,)), layers.Dense(2)])
    fit(small, build_optimiser(small, HOW, 0.1), task(), HOW, defaults.train, checkpoints)
    _, history = fitted(HOW, defaults.train, checkpoints)
    assert as_table(history, "head").equals(as_table(undisturbed[1], "head"))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    defaults: Params, undisturbed: tuple[keras.Model, list[Epoch], Path]
) -> None:
    first, second = undisturbed[0].get_weights(), fitted(HOW, defaults.train)[0].get_weights()
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))
    model = network()
    fit(model, build_optimiser(model, HOW, 0.05), task(seed=6), HOW, defaults.train)
    assert not all(np.array_equal(ours, theirs) for ours, theirs in zip(first, model.get_weights(), strict=True))


def test_averaged_weights_are_judged_and_the_own_come_back() -> None:
    model = network()
    optimiser = build_optimiser(model, HOW, 0.05)
    for _ in range(3):
        optimiser.apply([np.ones(variable.shape, np.float32) for variable in model.trainable_variables])
    own = [variable.numpy() for variable in model.trainable_variables]
    with averaged(model, optimiser, HOW):
        assert not np.array_equal(model.trainable_variables[0].numpy(), own[0])
    for variable, value in zip(model.trainable_variables, own, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_loss_that_is_no_number_ends_the_training_with_the_way_on(defaults: Params) -> None:
    broken = task()
    broken.train.rows[:] = np.inf  # type: ignore[index]
    model = keras.Sequential([keras.Input((8,)), layers.Dense(2)])
    with pytest.raises(Diverged, match=r"NaN loss after 4 steps of head.*train.head.learning_rate"):
        fit(model, build_optimiser(model, HOW, 0.05), broken, HOW, defaults.train)
