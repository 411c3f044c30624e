"""KerasHub's image towers (ViT, DINOv2, DINOv3, CLIP, SigLIP, ...) as backbones. Trains nothing.

A preset is a name that KerasHub knows, the handle of a model on Hugging Face (`hf://owner/name`), or a folder.
"""

import json
from pathlib import Path
from typing import Any

import keras
from keras import layers

from pipeline.backbones.keras_file import freeze_unused, import_keras_hub, pooled
from pipeline.backbones.weights import first_line
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.storage.files import read_json

HUGGING_FACE = "hf://"
FILES = ("*.json", "*.safetensors", "*.weights.h5")  # fetched from Hugging Face, without PyTorch and Flax copies
# Towers whose first token represents the whole image; for all others the tokens are averaged.
CLASS_TOKEN_FIRST = ("CLIPVisionEncoder", "DINOV2Backbone", "DINOV3Backbone", "DeiTBackbone", "MetaCLIP2VisionEncoder")


class PresetError(NightshiftError):
    """A preset cannot be loaded or used; the message names it."""


def hub_backbone(preset: str, shape: tuple[int, int, int]) -> keras.Model:
    """The image tower of `preset` with its weights and its scaling: takes images of `shape`, gives features (n, d).

    Raises PresetError when it cannot be loaded, takes no images, or cannot take images of `shape`.
    """
    hub = import_keras_hub()
    source = on_this_machine(preset)
    try:
        tower = _tower(hub.models.Backbone.from_preset(source), preset)
        if not _fits(tower, shape):
            tower = _for_shape(hub, source, preset, tower, shape)
        scale, offset = scaling_of(hub, source, preset)
    except faults() as error:
        raise PresetError(
            f"params.yaml: model.weights: the preset {preset} cannot be loaded. It must be a name that KerasHub knows "
            f"(downloaded from Kaggle), hf://owner/name, or a folder in {Path.cwd()} with a model that KerasHub or "
            f"Hugging Face's transformers or timm saved. {first_line(error)}"
        ) from error
    freeze_unused(tower)
    inputs = keras.Input(shape, name="image")
    images = layers.Rescaling(scale, offset, dtype="float32", name="scaling")(inputs)
    tokens = tower(dict.fromkeys(tower.input, images) if isinstance(tower.input, dict) else images)
    return keras.Model(inputs, _features(tower, tokens), name="keras_hub")


def on_this_machine(preset: str) -> str:
    """`preset`, or the folder with its files from Hugging Face, downloaded if they are not in the cache."""
    if not preset.startswith(HUGGING_FACE):
        return preset
    from huggingface_hub import constants, snapshot_download

    name = preset.removeprefix(HUGGING_FACE)
    try:
        return str(snapshot_download(name, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        raise PresetError(
            f"params.yaml: model.weights: {preset} is not in {constants.HF_HUB_CACHE} and cannot be downloaded. "
            f"Download its files ({', '.join(FILES)}) from https://huggingface.co/{name} on a machine with a "
            f"network, and set model.weights to the folder. {first_line(error)}"
        ) from error


def faults() -> tuple[type[Exception], ...]:
    """The errors that KerasHub raises for a preset that is missing, incomplete or of an unknown kind."""
    import safetensors

    return OSError, ValueError, TypeError, KeyError, AttributeError, safetensors.SafetensorError


def _tower(backbone: Any, preset: str) -> Any:
    """The part of `backbone` that takes only images."""
    tower = getattr(backbone, "vision_encoder", None) or backbone
    inputs, outputs = keras.tree.flatten(tower.input), keras.tree.flatten(tower.output)
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[3] != 3:
        raise PresetError(
            f"params.yaml: model.weights: the preset {preset} ({type(backbone).__name__}) takes "
            f"{', '.join(str(tensor.name) for tensor in inputs)}, not images. Choose an image preset."
        )
    return tower


def _fits(tower: Any, shape: tuple[int, int, int]) -> bool:
    (image,) = keras.tree.flatten(tower.input)
    return all(own in (None, ours) for own, ours in zip(image.shape[1:], shape, strict=True))


def _for_shape(hub: Any, source: str, preset: str, tower: Any, shape: tuple[int, int, int]) -> Any:
    """The tower built for another image size: possible for DINOv2 and v3, not for a ViT with learned positions."""
    (image,) = keras.tree.flatten(tower.input)
    height, width = image.shape[1:3]
    cause = ""
    try:
        resized = _tower(hub.models.Backbone.from_preset(source, image_shape=shape), preset)
        if _fits(resized, shape):  # CLIP and SigLIP accept the argument but keep their size
            return resized
    except (ValueError, TypeError) as error:
        cause = first_line(error)
    raise PresetError(
        f"The preset {preset} takes images of {width} x {height} pixels and cannot take those of params.yaml, "
        f"{shape[1]} x {shape[0]}. Set images.width to {width} and images.height to {height}. {cause}".strip()
    )


def scaling_of(hub: Any, source: str, preset: str) -> tuple[Any, Any]:
    """Factor and offset for pixels in 0..255, one number or one per channel, from the preset's own preprocessing."""
    config = Path(source) / "preprocessor_config.json"  # of transformers; KerasHub ignores it for most models
    if config.is_file():
        return _scaling_of_transformers(read_json(config))
    try:
        converter = hub.layers.ImageConverter.from_preset(source)
    except json.JSONDecodeError:
        raise
    except (FileNotFoundError, ValueError):  # the folder has none, or KerasHub has none for this kind of tower
        converter = None
    if converter is None:
        log.warning("The preset %s does not define its input scaling: the pixels go in as they are, 0 to 255.", preset)
        return 1.0, 0.0
    scale = 1.0 if converter.scale is None else converter.scale
    return scale, 0.0 if converter.offset is None else converter.offset


def _scaling_of_transformers(config: dict[str, Any]) -> tuple[list[float], list[float]]:
    """The same from a `preprocessor_config.json`: pixel * `rescale_factor`, minus `image_mean`, divided by `image_std`.

    Missing keys have the defaults of transformers' image processors.
    """
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    if not config.get("do_normalize", True):
        return [factor] * 3, [0.0] * 3
    mean, deviation = config["image_mean"], config["image_std"]
    return [factor / d for d in deviation], [-m / d for m, d in zip(mean, deviation, strict=True)]


def _features(tower: Any, output: Any) -> Any:
    has_class_token = type(tower).__name__ in CLASS_TOKEN_FIRST or getattr(tower, "use_class_token", False)
    return output[:, 0] if has_class_token and len(output.shape) == 3 else pooled(output)
