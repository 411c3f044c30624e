"""Load a saved network (`.keras`) as a Keras model or a backbone. Runs no code from the file."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    import keras


# DINOv2: KerasHub saves positions only for the original size and computes these again at each load, so what training
# changes in them would be lost; the mask token stands for dropped patches, and we drop none.
UNTRAINED = ("interpolated_position_embeddings", "mask_token")


class KerasFileError(NightshiftError):
    """A `.keras` file cannot be used; the message names it."""


def load_keras(file: Path) -> "keras.Model":
    """The model in `file`, for prediction.

    Only layers of Keras and KerasHub are loaded; a file with Python code of its own (a Lambda layer) is refused.
    Raises KerasFileError when it cannot be read, or needs a package that is not installed.
    """
    import keras

    if not file.is_file():
        raise KerasFileError(f"There is no file {file} in {Path.cwd()}.")
    try:
        if b'"keras_hub' in _config(file):
            import_keras_hub()  # registers its layers and functions with Keras
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise KerasFileError(
            f"{file} cannot be loaded: it is damaged, or not a `.keras` file for this Keras ({keras.__version__}), or "
            f"needs code that is not part of Keras or KerasHub. {' '.join(str(error).split())[:300]}"
        ) from error


def _config(file: Path) -> bytes:
    with zipfile.ZipFile(file) as archive:
        return archive.read("config.json")


def import_keras_hub() -> Any:
    """The package keras_hub. Raises NightshiftError, saying how to install it."""
    try:
        import huggingface_hub  # noqa: F401 (KerasHub needs these two for models from Hugging Face)
        import keras_hub
        import safetensors  # noqa: F401
    except ModuleNotFoundError as error:
        raise NightshiftError(
            f"This model needs KerasHub, and the package {error.name} is not installed. Run `pip install '.[hub]'`."
        ) from error
    return keras_hub


def backbone_of_file(file: Path, shape: tuple[int, int, int]) -> "keras.Model":
    """The network in `file` as a backbone: it takes images of `shape` in 0..255 as they are, and gives features (n, d).

    Maps (n, h, w, d) and tokens (n, t, d) are averaged; an output (n, d) is used as it is. A network for another
    size is rebuilt for `shape` where its layers allow it.
    Raises KerasFileError when the network does not map one RGB image to one output.
    """
    import keras

    network = load_keras(file)
    if not _takes_an_image(network):
        raise KerasFileError(
            f"{file} is not a valid backbone: it takes {_shapes(network.inputs)} and gives {_shapes(network.outputs)}. "
            "It must take one RGB image, (n, height, width, 3), and give one output, (n, d), (n, t, d) or (n, h, w, d)."
        )
    if tuple(network.inputs[0].shape[1:]) != shape:
        network = _resized(network, shape, file)
    # Layers may have been frozen when it was saved. Setting `True` on the network alone does not reach nested ones.
    network.trainable = False
    network.trainable = True
    freeze_unused(network)
    inputs = keras.Input(shape, name="image")
    (features,) = keras.tree.flatten(network(_fed(network, inputs)))
    return keras.Model(inputs, pooled(features), name="keras_file")


def _takes_an_image(network: Any) -> bool:
    """Whether it takes one RGB image and gives one output of 2 to 4 axes; False for a model without a layer graph."""
    inputs, outputs = getattr(network, "inputs", None) or [], getattr(network, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        return False
    return len(inputs[0].shape) == 4 and inputs[0].shape[3] == 3 and 2 <= len(outputs[0].shape) <= 4


def _shapes(tensors: Any) -> str:
    return " and ".join(str(tensor.shape) for tensor in tensors or []) or "an unknown shape"


def _resized(network: Any, shape: tuple[int, int, int], file: Path) -> "keras.Model":
    """The same weights in a network for another image size."""
    import keras

    height, width = network.inputs[0].shape[1:3]
    try:
        resized = keras.models.clone_model(network, input_tensors=keras.Input(shape, name="image"))
        resized.set_weights(network.get_weights())
    except (ValueError, TypeError, RuntimeError) as error:
        raise KerasFileError(
            f"{file} takes images of {width} x {height} pixels and cannot take others, such as the {shape[1]} x "
            f"{shape[0]} of params.yaml. Set images.width to {width} and images.height to {height}."
        ) from error
    return resized


def _fed(network: Any, images: Any) -> Any:
    """`images` in the structure that `network` expects for its one input."""
    form = getattr(network, "input", None)  # a loaded Sequential model has none
    return dict.fromkeys(form, images) if isinstance(form, dict) else images


def freeze_unused(network: Any) -> None:
    """Freeze the weights that training must not or cannot change."""
    for weight in network.weights:
        if weight.name in UNTRAINED:
            weight.trainable = False


def pooled(features: Any) -> Any:
    """Features (n, d): maps and tokens are averaged."""
    from keras import layers

    match len(features.shape):
        case 4:
            return layers.GlobalAveragePooling2D()(features)
        case 3:
            return layers.GlobalAveragePooling1D()(features)
        case _:
            return features
