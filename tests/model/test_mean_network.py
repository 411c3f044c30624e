"""A network that answers with the mean of others, or of an image and its mirror image, is one like any other."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.backbones.keras_file import load_keras
from pipeline.model.engine import openvino_judging
from pipeline.model.export import export_openvino
from pipeline.model.mean_network import mean_network, members

IMAGES = np.random.default_rng(5).integers(0, 256, (6, 12, 10, 3)).astype(np.uint8)


def network(seed: int) -> keras.Model:
    """A classifier of three classes, as training leaves it: its last layer was used before, on features alone."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((12, 10, 3), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="see")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Dense(5)(layers.Flatten()(x))
    last = layers.Dense(3, bias_initializer="random_normal", name="logits")
    last(keras.Input((5,)))
    return keras.Model(inputs, last(layers.Dropout(0.2)(x)), name="classifier")


def logits_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(images.astype(np.float32)))


@pytest.mark.parametrize(("count", "flips"), [(1, True), (3, False), (2, True)])
def test_logits_are_the_mean_saved_and_exported_too(count: int, flips: bool, tmp_path: Path) -> None:
    networks = [network(seed) for seed in range(count)]
    views = [IMAGES, IMAGES[:, :, ::-1]] if flips else [IMAGES]
    mean = np.mean([logits_of(one, view) for one in networks for view in views], axis=0)
    model = mean_network(networks, flips)
    np.testing.assert_allclose(logits_of(model, IMAGES), mean, atol=1e-5)
    assert np.abs(logits_of(networks[0], IMAGES) - mean).max() > 0.01
    assert model.count_params() == sum(one.count_params() for one in networks) - 3 * (count - 1), "one bias is left"

    model.save(tmp_path / "model.keras")
    loaded = load_keras(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits_of(loaded, IMAGES), logits_of(model, IMAGES))
    assert len(members(loaded)) == count
    export_openvino(model, tmp_path)
    logits, embeddings = openvino_judging(tmp_path / "model.xml", 1)(IMAGES)
    np.testing.assert_allclose(logits, mean, atol=1e-5)
    kernel, bias = loaded.layers[-1].get_weights()
    assert embeddings.shape == (6, 5 * count)
    np.testing.assert_allclose(embeddings @ kernel + bias, logits, atol=1e-5)


def test_an_image_and_its_mirror_image_have_one_answer() -> None:
    one = network(7)
    model, mirrored = mean_network([one], flips=True), IMAGES[:, :, ::-1]
    assert np.abs(logits_of(one, IMAGES) - logits_of(one, mirrored)).max() > 0.01
    np.testing.assert_allclose(logits_of(model, IMAGES), logits_of(model, mirrored), atol=1e-6)


def test_any_other_network_is_its_only_member() -> None:
    one = network(1)
    assert members(one) == [one]
