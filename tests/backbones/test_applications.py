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
from tests.fixtures.images import noise

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


def of_keras(name: str, weights: str | None) -> keras.Model:
    """The network as keras.applications alone builds it."""
    size = APPLICATIONS[name].smallest
    return APPLICATIONS[name].build(include_top=False, weights=weights, pooling="avg", input_shape=(size, size, 3))


def write_published(network: keras.Model, file: Path) -> None:
    """A file in the form of the published ones."""
    file.parent.mkdir(parents=True)
    with h5py.File(file, "w") as group:
        legacy_h5_format.save_weights_to_hdf5_group(group, network)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_asks_for_the_same_file_and_with_it_and_the_same_pixels_the_features_are_those_of_keras(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.utils.set_random_seed(1)
    known = APPLICATIONS[name]
    written = of_keras(name, weights=None)
    for layer in written.layers:
        if (
            isinstance(layer, keras.layers.Normalization) and layer.weights
        ):  # as EfficientNet-B0's published file has it
            layer.set_weights([MEAN, DEVIATION, np.array(0)])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(file_utils, "validate_file", lambda *_, **__: True)  # the digest is of the published file
    monkeypatch.setitem(APPLICATIONS, name, replace(known, weights=replace(known.weights, digest=None)))
    write_published(written, known.weights.file)
    get_file, asked = file_utils.get_file, []

    def asked_for(file: str, url: str, **more: Any) -> Any:
        asked.append((file, url, more["cache_subdir"], more.get("file_hash")))
        return get_file(file, url, **more)

    monkeypatch.setattr(file_utils, "get_file", asked_for)
    theirs, ours = of_keras(name, "imagenet"), application(name, (known.smallest, known.smallest, 3), "imagenet")
    file = known.weights.file
    assert asked == [(file.name, known.weights.url, file.parent.name, known.weights.digest)]
    images = np.stack([noise(known.smallest, known.smallest, seed) for seed in range(2)]).astype(np.float32)
    expected = np.asarray(theirs(MODULES[name].preprocess_input(images.copy())))
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(np.asarray(ours(images)) / scale, expected / scale, atol=1e-5)
    for index, (a, b) in enumerate(zip(written.get_weights(), ours.get_weights(), strict=True)):
        is_b0s_variance = name == "efficientnet_b0" and index == 1
        np.testing.assert_array_equal(b, np.float32(DEVIATION**2) if is_b0s_variance else a)


def test_a_trained_model_of_ours_is_a_weights_file_of_its_backbone(tmp_path: Path) -> None:
    backbone = application("mobilenet_v2", (32, 32, 3), "none")
    model = keras.Model(backbone.input, keras.layers.Dense(2)(keras.layers.Dropout(0.1)(backbone.output)))
    model.save(tmp_path / "model.keras")
    again = application("mobilenet_v2", (48, 32, 3), str(tmp_path / "model.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(backbone.get_weights(), again.get_weights(), strict=True))
