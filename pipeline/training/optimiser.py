"""Gradient descent: AdamW with a learning rate for each layer, and the schedule of the rate. Knows no data."""

import math
from itertools import groupby
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from pipeline.params.model import Descent, FineTune

Rate: TypeAlias = Any  # a number, or a Keras LearningRateSchedule; Keras has no types


class WarmUpAndCosine(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc] # Keras has no types
    """Warm up from a hundredth of the learning rate to all of it, then decay along a cosine to 0, in `steps` steps.

    The number of steps may change before the first one; make it in the scope that the model was built in.
    """

    def __init__(self, how: Descent, steps: int) -> None:
        """`how` has the highest rate, and the share of the steps in which it rises."""
        self._highest, self._warm_up = how.learning_rate, how.warm_up
        self._steps = tf.Variable(float(steps), trainable=False, dtype=tf.float32)

    def take(self, steps: int) -> None:
        """End at 0 after so many steps."""
        self._steps.assign(float(steps))

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of a step, counted from 0."""
        done, steps = keras.ops.cast(step, "float32"), tf.maximum(tf.convert_to_tensor(self._steps), 1.0)
        rising = tf.floor(steps * self._warm_up)
        risen = tf.minimum(done / tf.maximum(rising, 1.0), 1.0)
        fallen = tf.clip_by_value((done - rising) / tf.maximum(steps - rising, 1.0), 0.0, 1.0)
        return self._highest * tf.where(done < rising, 0.01 + 0.99 * risen, 0.5 * (1.0 + tf.cos(math.pi * fallen)))


class LayerwiseAdamW(keras.optimizers.Adam):  # type: ignore[misc] # Keras has no types
    """AdamW (Loshchilov and Hutter, 2019) with its own learning rate for each variable.

    Variables with one axis have no weight decay: biases, and the scales and offsets of norms.
    """

    def __init__(self, rate: Rate, scales: list[float], weight_decay: float, **options: Any) -> None:
        """`scales`: for each variable, in order, the share of `rate` that it learns at."""
        super().__init__(rate, **options)
        self._scales = scales
        self._decay = weight_decay

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable by one step."""
        rate = learning_rate * self._scales[self._get_variable_index(variable)]
        if self._decay and len(variable.shape) > 1:
            variable.assign_sub(variable * tf.cast(rate * self._decay, variable.dtype))
        super().update_step(gradient, variable, rate)


def freeze(backbone: keras.Model, how: FineTune) -> None:
    """Freeze the first layers, and the statistics of batch normalisations.

    TensorFlow then computes no gradient for the first layers: with a third of them frozen, a step takes two thirds of
    the time.
    """
    weighted = [layer for layer in backbone._flatten_layers() if layer.weights and not layer._layers]
    for place, layer in enumerate(weighted):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        if place < int(how.frozen * len(weighted)) or (is_norm and how.freeze_batch_norm):
            layer.trainable = False  # a frozen batch normalisation also uses its stored statistics


def build_optimiser(
    model: keras.Model, how: Descent, rate: Rate, layer_decay: float = 1.0
) -> keras.optimizers.Optimizer:
    """The optimiser of every phase, with its variables. Call it in the scope that `model` was built in."""
    options: dict[str, Any] = {"global_clipnorm": how.clip_norm or None}
    if how.ema:
        options |= {"use_ema": True, "ema_momentum": how.ema}
    scales = layer_scales([variable.path for variable in model.trainable_variables], layer_decay)
    optimiser = LayerwiseAdamW(rate, scales, how.weight_decay, **options)
    if keras.config.dtype_policy().name == "mixed_float16":
        optimiser = keras.optimizers.LossScaleOptimizer(optimiser)  # otherwise small gradients become 0
    optimiser.build(model.trainable_variables)
    return optimiser


def layer_scales(paths: list[str], layer_decay: float) -> list[float]:
    """The share of the learning rate for each variable: `layer_decay` in the first layer, 1 in the last.

    Geometric in between, by the layer's position (discriminative fine-tuning: Howard and Ruder, ULMFiT, 2018). paths:
    `layer/variable` of each variable, in the network's order; the variables of one layer are adjacent.
    """
    layers = [list(of_layer) for _, of_layer in groupby(paths, key=lambda path: path.rpartition("/")[0])]
    last = max(len(layers) - 1, 1)
    return [layer_decay ** (1 - place / last) for place, of_layer in enumerate(layers) for _ in of_layer]
