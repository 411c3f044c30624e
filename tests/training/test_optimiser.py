"""Steps of gradient descent on layers of two variables, compared with the formula and with Keras' own."""

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.params.model import FineTune, Fit
from pipeline.training.optimiser import LayerwiseAdamW, WarmUpAndCosine, build_optimiser, freeze, layer_scales

RATE = 0.01


def how(**changes: float) -> Fit:
    values = {"epochs": 1, "batch_size": 4, "learning_rate": RATE, "weight_decay": 0.0, "dropout": 0.0, "patience": 1}
    return Fit.model_validate(values | changes)


def three_layers() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), *(layers.Dense(3, bias_initializer="ones") for _ in range(3))])


@pytest.mark.parametrize(
    ("paths", "decay", "expected"),
    [
        (["a/kernel", "a/bias", "b/kernel", "c/kernel", "c/bias"], 0.25, [0.25, 0.25, 0.5, 1, 1]),
        (["a/kernel", "b/kernel"], 0.1, [0.1, 1]),
        (["a/kernel", "a/bias"], 1.0, [1, 1]),
        (["tower/block1/query/kernel", "tower/block1/key/kernel", "head/kernel"], 0.01, [0.01, 0.1, 1]),
        ([], 0.5, []),
    ],
    ids=["by layer", "ends", "all alike", "nested", "nothing to train"],
)
def test_learning_rates_grow_geometrically_from_the_first_layer_to_the_last(
    paths: list[str], decay: float, expected: list[float]
) -> None:
    assert layer_scales(paths, decay) == pytest.approx(expected)


def test_each_layer_moves_at_its_own_rate() -> None:
    model = three_layers()
    before = [variable.numpy() for variable in model.trainable_variables]
    optimiser = build_optimiser(model, how(), RATE, layer_decay=0.01)
    optimiser.apply([np.ones(variable.shape, np.float32) for variable in model.trainable_variables])
    moved = [
        float(np.abs(variable - old).max()) for variable, old in zip(model.trainable_variables, before, strict=True)
    ]
    # Adam's first step has the length of the learning rate, whatever the gradient.
    assert moved == pytest.approx([RATE * scale for scale in (0.01, 0.01, 0.1, 0.1, 1, 1)], rel=1e-3)


def test_weight_decay_follows_the_layers_rate_and_spares_biases() -> None:
    model = three_layers()
    before = [variable.numpy() for variable in model.trainable_variables]
    optimiser = build_optimiser(model, how(weight_decay=0.5), RATE, layer_decay=0.01)
    optimiser.apply([np.zeros(variable.shape, np.float32) for variable in model.trainable_variables])
    left = [float(np.median(now / old)) for now, old in zip(model.trainable_variables, before, strict=True)]
    assert left == pytest.approx([1 - RATE * 0.5 * 0.01, 1, 1 - RATE * 0.5 * 0.1, 1, 1 - RATE * 0.5, 1], abs=1e-6)


def test_with_equal_rates_it_is_the_adamw_of_keras() -> None:
    ours, theirs = (keras.Variable(np.full((2, 2), 0.7, np.float32)) for _ in range(2))
    first = LayerwiseAdamW(RATE, [1.0], 0.1)
    second = keras.optimizers.AdamW(RATE, weight_decay=0.1)
    rng = np.random.default_rng(0)
    for optimiser, variable in ((first, ours), (second, theirs)):
        optimiser.build([variable])
    for _ in range(5):
        gradient = rng.normal(size=(2, 2)).astype(np.float32)
        first.apply([gradient])
        second.apply([gradient])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rate = WarmUpAndCosine(how(warm_up=0.25), steps=100)
    assert [float(rate(step)) for step in (0, 25, 100)] == pytest.approx([RATE / 100, RATE, 0], abs=1e-7)
    assert float(WarmUpAndCosine(how(), steps=100)(0)) == pytest.approx(RATE)
    rate.take(40)  # there is less time than was hoped for
    assert [float(rate(step)) for step in (0, 10, 40)] == pytest.approx([RATE / 100, RATE, 0], abs=1e-7)


def test_the_schedule_is_that_of_keras() -> None:
    ours, steps = WarmUpAndCosine(how(warm_up=0.1), 50), np.arange(51)
    theirs = keras.optimizers.schedules.CosineDecay(RATE / 100, 45, warmup_target=RATE, warmup_steps=5)
    expected = [float(theirs(step)) for step in steps]
    assert [float(ours(step)) for step in steps] == pytest.approx(expected, abs=1e-8)


def test_a_long_gradient_is_clipped_as_a_whole() -> None:
    model = three_layers()
    optimiser = build_optimiser(model, how(clip_norm=1.0), RATE)
    gradients = [np.full(variable.shape, 100, np.float32) for variable in model.trainable_variables]
    clipped = [np.asarray(part) for part in optimiser._clip_gradients(gradients)]
    assert np.sqrt(sum((part**2).sum() for part in clipped)) == pytest.approx(1, rel=1e-4)


def test_float16_gradients_are_scaled() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert isinstance(build_optimiser(three_layers(), how(), RATE), keras.optimizers.LossScaleOptimizer)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("frozen", "freeze_batch_norm", "trained"),
    [(0.0, False, ["a", "bn", "b", "c"]), (0.0, True, ["a", "b", "c"]), (0.5, False, ["b", "c"])],
    ids=["nothing", "batch norms", "the first half"],
)
def test_what_is_frozen_is_not_trained(frozen: float, freeze_batch_norm: bool, trained: list[str]) -> None:
    inside = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="a"), layers.BatchNormalization(name="bn")])
    inputs = keras.Input((3,))
    backbone = keras.Model(inputs, layers.Dense(3, name="c")(layers.Dense(3, name="b")(inside(inputs))))
    values = how().model_dump(exclude={"epochs"}) | {
        "steps": 1,
        "layer_decay": 1.0,
        "frozen": frozen,
        "freeze_batch_norm": freeze_batch_norm,
    }
    freeze(backbone, FineTune.model_validate(values))
    found = [variable.path.split("/")[-2] for variable in backbone.trainable_variables]
    assert list(dict.fromkeys(found)) == trained
