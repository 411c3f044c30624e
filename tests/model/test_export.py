"""The exported network is the one that Keras' own export writes, and nobody is told of it."""

from collections import Counter
from pathlib import Path

import keras
import numpy as np
import openvino
from keras import layers
from openvino.tools.ovc import convert_impl, telemetry_utils

from pipeline.model.contract import NETWORK
from pipeline.model.engine import openvino_judging
from pipeline.model.export import export_openvino
from tests.fixtures.images import noise


def network() -> keras.Model:
    """With what the larger ones have: a network in a network, normalisation, swish, drop-out."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 24, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 127.5, -1)(inputs)))
    tower = keras.Model(inputs, layers.DepthwiseConv2D(3, strides=2)(layers.Activation("swish")(x)))
    image = keras.Input((16, 24, 3), name="image")
    pooled = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(tower(image)))
    return keras.Model(image, layers.Dense(2, name="logits")(pooled))


def operations(file: Path) -> Counter[str]:
    return Counter(node.get_type_name() for node in openvino.Core().read_model(file).get_ops())


def test_the_network_and_its_answers_are_those_of_keras_own_export(tmp_path: Path) -> None:
    model = network()
    export_openvino(model, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    model.export(str(tmp_path / "theirs" / NETWORK), format="openvino", verbose=False)
    files = [tmp_path / whose / NETWORK for whose in ("ours", "theirs")]
    assert operations(files[0]) == operations(files[1])
    images = np.stack([noise(24, 16, seed) for seed in range(3)])
    for ours, theirs in zip(*(openvino_judging(file, 1)(images) for file in files), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (given,) = openvino.Core().read_model(files[0]).inputs
    assert given.get_names() == {"image"}
    assert given.partial_shape == openvino.PartialShape([-1, 16, 24, 3])


def test_openvino_sends_no_usage_data() -> None:
    for module in (convert_impl, telemetry_utils):
        assert module.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
