"""The optimiser of every phase: AdamW, with a learning rate of its own for each layer. Knows no data."""

from typing import Any

import keras
import tensorflow as tf

from pipeline.params_model import FineTune, Fit, Whole

NEVER_DECAYED = ["bias", "beta", "gamma"]  # shifts and scales, which decay would only pull off their place


@keras.saving.register_keras_serializable("nightshift")
class LayerwiseAdamW(keras.optimizers.AdamW):  # type: ignore[misc] # Keras has no types
    """AdamW whose learning rate is scaled for each variable, `scales` by the variable's path; 1 for those not in it.

    Discriminative fine-tuning: Howard and Ruder, Universal Language Model Fine-tuning, 2018.
    """

    def __init__(self, *args: Any, scales: dict[str, float] | None = None, **options: Any) -> None:
        """As AdamW, and `scales`."""
        super().__init__(*args, **options)
        self.scales = scales or {}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step; `variable` may be TensorFlow's, which does not know its path."""
        ours = self._trainable_variables[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * self.scales.get(ours.path, 1.0))

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        return {**super().get_config(), "scales": self.scales}


def plain_optimizer(how: Fit) -> keras.Optimizer:
    """For a head: one learning rate throughout."""
    return keras.optimizers.AdamW(how.learning_rate, weight_decay=how.weight_decay)


def scheduled_optimizer(how: Whole, steps: int, backbone: keras.Model) -> keras.Optimizer:
    """For whole networks: the rate rises over the first steps, then falls along a cosine to nothing."""
    rate = how.learning_rate
    if steps:
        rate = keras.optimizers.schedules.CosineDecay(
            how.learning_rate / 100, steps, warmup_target=how.learning_rate, warmup_steps=int(steps * how.warm_up)
        )
    averaged: dict[str, Any] = {"use_ema": True, "ema_momentum": how.ema} if how.ema else {}
    scales = layer_scales(backbone, how.layer_decay) if isinstance(how, FineTune) else {}
    optimizer = LayerwiseAdamW(
        rate, weight_decay=how.weight_decay, global_clipnorm=how.clip_norm or None, scales=scales, **averaged
    )
    optimizer.exclude_from_weight_decay(var_names=NEVER_DECAYED)
    return optimizer


def weighted_layers(backbone: keras.Model) -> list[keras.Layer]:
    """The layers with weights of their own, the first one first; those inside nested models too."""
    return [layer for layer in backbone._flatten_layers() if layer.weights and not list(layer._layers)]


def layer_scales(backbone: keras.Model, layer_decay: float) -> dict[str, float]:
    """Learning rate of each variable of the backbone, by path, as a share of the head's.

    `layer_decay` for the first layer's, 1 for the last's, geometric in between.
    """
    layers = weighted_layers(backbone)
    last = max(len(layers) - 1, 1)
    return {
        variable.path: layer_decay ** ((last - position) / last)
        for position, layer in enumerate(layers)
        for variable in layer.trainable_variables
    }


def freeze(backbone: keras.Model, how: FineTune) -> None:
    """Leave the first layers, and batch normalisations, as they are."""
    layers = weighted_layers(backbone)
    for layer in layers[: int(len(layers) * how.frozen)]:
        layer.trainable = False
    for layer in layers:
        if how.freeze_batch_norm and isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # which also has it use its own statistics: Keras' rule


def use_average(optimizer: keras.Optimizer, model: keras.Model) -> None:
    """Put the moving averages in the place of the weights, where the optimiser keeps any."""
    if optimizer.use_ema and int(tf.convert_to_tensor(optimizer.iterations)):
        optimizer.finalize_variable_values(model.trainable_variables)
