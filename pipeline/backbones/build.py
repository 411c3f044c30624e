"""Build a Keras backbone by name, with its weights and its own input scaling inside. Trains nothing.

A backbone takes upright RGB images, (n, height, width, 3) in 0..255, and gives features, (n, d), float32.
"""

from pathlib import Path

import keras
from keras import layers

from pipeline.backbones.applications import APPLICATIONS, application
from pipeline.backbones.cnn import residual_cnn, tutorial_cnn
from pipeline.backbones.efficientnet_lite import LITES, lite
from pipeline.backbones.hub import hub_backbone
from pipeline.backbones.keras_file import backbone_of_file
from pipeline.core.errors import NightshiftError
from pipeline.params.data import Images
from pipeline.params.model import Model


def build_backbone(model: Model, images: Images) -> keras.Model:
    """The network that `model` names, for images of this size, with the weights that `model` names.

    Raises NightshiftError when the weights cannot be loaded or belong to another network, and when the images are too
    small for it: a network never has random weights unless `model.weights` is none.
    """
    shape = (images.height, images.width, 3)
    match model.backbone:
        case "cnn":
            backbone = tutorial_cnn(shape)
        case "cnn_residual":
            backbone = residual_cnn(shape)
        case name if name in LITES:
            backbone = lite(name, shape, model.weights)
        case "keras_hub":
            backbone = hub_backbone(model.weights, shape)
        case "keras_file":
            backbone = backbone_of_file(Path(model.weights), shape)
        case name:
            _check_size(name, images)
            backbone = application(name, shape, model.weights)
    return _in_float32(backbone)


def _check_size(name: str, images: Images) -> None:
    smallest = APPLICATIONS[name].smallest
    if min(images.width, images.height) < smallest:
        raise NightshiftError(
            f"params.yaml: images.width and images.height are {images.width} and {images.height}; {name} takes images "
            f"of at least {smallest} x {smallest} pixels. Make them larger, or choose another model.backbone."
        )


def _in_float32(backbone: keras.Model) -> keras.Model:
    """Cast the features to float32: under mixed precision a backbone gives them in half precision."""
    if backbone.output.dtype == "float32":
        return backbone
    features = layers.Activation("linear", dtype="float32", name="features")(backbone.output)
    return keras.Model(backbone.input, features, name=backbone.name)
