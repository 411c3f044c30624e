"""The networks of keras.applications are theirs: the same scaling, files, addresses and weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend import config
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from pipeline.backbones.applications import APPLICATIONS, DEVIATION, MEAN, application
from pipeline.backbones.build import build_backbone
from pipeline.params.model import Model
from tests.fixtures.answers_alike import assert_trains_and_answers_alike_everywhere, photos, rules

MODULES = {
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "mobilenet_v3_large": keras.applications.mobilenet_v3,
    "efficientnet_b0": keras.applications.efficientnet,
    "efficientnet_v2_b0": keras.applications.efficientnet_v2,
    "resnet50": keras.applications.resnet,
    "vgg16": keras.applications.vgg16,
    "inception_v3": keras.applications.inception_v3,
    "convnext_tiny": keras.applications.convnext,
}


# Pixels of images to take a step with; others: 64. Smaller ones leave some networks a single place, and their batch
# normalization then magnifies rounding.
SIZES = {"inception_v3": 96, "convnext_tiny": 32, "vgg16": 32}


def of_keras(name: str, size: int) -> keras.Model:
    """The network as keras.applications alone builds it, with the weights that it asks for."""
    return APPLICATIONS[name].build(include_top=False, weights="imagenet", pooling="avg", input_shape=(size, size, 3))


def write_published(network: keras.Model, file: Path) -> None:
    """A file in the form of the published ones."""
    file.parent.mkdir(parents=True)
    with h5py.File(file, "w") as group:
        legacy_h5_format.save_weights_to_hdf5_group(group, network)


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_with_the_file_that_keras_asks_for_the_features_are_those_of_keras_and_training_goes_on_from_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.utils.set_random_seed(1)
    known, size = APPLICATIONS[name], SIZES.get(name, 64)
    load_weights, asked = keras.Model.load_weights, []

    def asked_for(file: str, url: str, **more: Any) -> str:
        asked.append((file, url, more["cache_subdir"], more.get("file_hash")))
        return str(known.weights.file)

    def write_and_load(network: keras.Model, file: str, **more: Any) -> None:
        for layer in network.layers:
            if isinstance(layer, keras.layers.Normalization) and layer.weights:  # as EfficientNet-B0's file has it
                layer.set_weights([MEAN, DEVIATION, np.array(0)])
        write_published(network, Path(file))
        load_weights(network, file, **more)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    with monkeypatch.context() as of_theirs:
        of_theirs.setattr(file_utils, "get_file", asked_for)
        of_theirs.setattr(keras.Model, "load_weights", write_and_load)
        theirs = of_keras(name, size)
    monkeypatch.setattr(file_utils, "validate_file", lambda *_, **__: True)  # the digest is of the published file
    monkeypatch.setitem(APPLICATIONS, name, replace(known, weights=replace(known.weights, digest=None)))
    ours = build_backbone(Model(backbone=name, weights="imagenet"), rules(size))
    file = known.weights.file
    assert asked == [(file.name, known.weights.url, file.parent.name, known.weights.digest)]
    images = photos(size).astype(np.float32)
    expected = np.asarray(theirs(MODULES[name].preprocess_input(images.copy())))
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(np.asarray(ours(images)) / scale, expected / scale, atol=1e-5)
    for index, (a, b) in enumerate(zip(theirs.get_weights(), ours.get_weights(), strict=True)):
        is_b0s_variance = name == "efficientnet_b0" and index == 1
        np.testing.assert_array_equal(b, np.float32(DEVIATION**2) if is_b0s_variance else a)

    del theirs
    assert_trains_and_answers_alike_everywhere(ours, size, tmp_path)


def test_a_trained_model_of_ours_is_a_weights_file_of_its_backbone(tmp_path: Path) -> None:
    backbone = application("mobilenet_v2", (32, 32, 3), "none")
    model = keras.Model(backbone.input, keras.layers.Dense(2)(keras.layers.Dropout(0.1)(backbone.output)))
    model.save(tmp_path / "model.keras")
    again = application("mobilenet_v2", (48, 32, 3), str(tmp_path / "model.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(backbone.get_weights(), again.get_weights(), strict=True))
