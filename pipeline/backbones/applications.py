"""The networks of keras.applications: their input scaling, smallest image size, and where their weights are published.

The scaling is a layer of the network, so training, serving and export see the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.backbones.weights import Published, load_weights, published_weights

# Channel statistics of ImageNet: red, green, blue in 0..1 (Krizhevsky et al., 2012; every later network uses them).
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CAFFE_MEAN = np.array([103.939, 116.779, 123.68])  # blue, green, red in 0..255 (Simonyan & Zisserman, 2014)


@dataclass(frozen=True, slots=True)
class Application:
    """One network of keras.applications."""

    build: Callable[..., keras.Model]
    scaling: Callable[[Any], Any]  # images (n, h, w, 3) in 0..255 -> what the network was trained on
    weights: Published
    smallest: int = 32  # pixels, of the shorter side


def _scaled(scale: Any, offset: Any) -> layers.Rescaling:
    """Scale in float32 at every precision: bfloat16 has 8 significant bits, no more than a pixel."""
    return layers.Rescaling(np.asarray(scale).tolist(), np.asarray(offset).tolist(), dtype="float32", name="scaling")


def _as_they_are(images: Any) -> Any:
    return images


def _between_minus_1_and_1(images: Any) -> Any:
    return _scaled(1 / 127.5, -1.0)(images)


def _standardised(images: Any) -> Any:
    return _scaled(1 / (255 * DEVIATION), -MEAN / DEVIATION)(images)


def _caffe(images: Any) -> Any:
    return _scaled(np.ones(3), -CAFFE_MEAN)(keras.ops.flip(images, axis=-1))


def _published(path: str, digest: str | None) -> Published:
    return Published(f"https://storage.googleapis.com/{path}", digest)


# Addresses and digests as in keras.applications.
APPLICATIONS = {
    "mobilenet_v2": Application(
        keras.applications.MobileNetV2,
        _between_minus_1_and_1,
        _published(
            "tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            None,
        ),
    ),
    "mobilenet_v3_large": Application(
        keras.applications.MobileNetV3Large,
        _between_minus_1_and_1,
        _published(
            "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            "07fb09a5933dd0c8eaafa16978110389",
        ),
    ),
    "efficientnet_b0": Application(
        keras.applications.EfficientNetB0,
        _as_they_are,  # its first layers scale the pixels, see `_set_normalization`
        _published("keras-applications/efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"),
    ),
    "efficientnet_v2_b0": Application(
        keras.applications.EfficientNetV2B0,
        _standardised,
        _published(
            "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0_notop.h5",
            "893217f2bb855e2983157299931e43ff",
        ),
    ),
    "resnet50": Application(
        keras.applications.ResNet50,
        _caffe,
        _published(
            "tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
    ),
    "vgg16": Application(
        keras.applications.VGG16,
        _caffe,
        _published(
            "tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "6d6bbae143d832006294945121d1f1fc",
        ),
    ),
    "inception_v3": Application(
        keras.applications.InceptionV3,
        _between_minus_1_and_1,
        _published(
            "tensorflow/keras-applications/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "bcbd6486424b2319ff4ef7d526e38f63",
        ),
        smallest=75,
    ),
    "convnext_tiny": Application(
        keras.applications.ConvNeXtTiny,
        _standardised,
        _published(
            "tensorflow/keras-applications/convnext/convnext_tiny_notop.h5",
            "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
    ),
}
OWN_SCALING = ("mobilenet_v3_large", "efficientnet_v2_b0", "convnext_tiny")  # whose builder can omit its scaling


def application(name: str, shape: tuple[int, int, int], weights: str) -> keras.Model:
    """The network `name` for images of `shape`, up to its pooled features.

    weights: imagenet (from Keras' cache, downloaded if it is not there), none (random), or the path of a file.
    Raises WeightsError when the weights cannot be found, downloaded or loaded.
    """
    known = APPLICATIONS[name]
    inputs = keras.Input(shape, name="image")
    options = {"include_preprocessing": False} if name in OWN_SCALING else {}
    network = known.build(include_top=False, weights=None, pooling="avg", input_tensor=known.scaling(inputs), **options)
    network = keras.Model(inputs, network.output, name=name)
    if weights != "none":
        load_weights(network, published_weights(known.weights) if weights == "imagenet" else Path(weights))
    if name == "efficientnet_b0":
        _set_normalization(network)
    return network


def _set_normalization(network: keras.Model) -> None:
    """Make EfficientNet-B0's first layers standardise the pixels, whatever its weights file says.

    The published file stores the standard deviation where the layer expects the variance; keras.applications corrects
    this with one more layer, which it adds only for its own `weights="imagenet"`.
    """
    (normalization,) = [layer for layer in network.layers if isinstance(layer, layers.Normalization)]
    normalization.load_own_variables({"0": MEAN, "1": DEVIATION**2, "2": np.array(0)})
