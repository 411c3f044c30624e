"""The Keras model as a GPU's night asks it, on a CPU: the same answers, whatever batch, format and compiler."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.backbones.build import build_backbone
from pipeline.core.errors import NightshiftError
from pipeline.model.engine import probabilities
from pipeline.model.keras_engine import _in_full_batches, keras_judging, keras_network
from pipeline.model.precision import Numbers
from pipeline.params.data import Images
from pipeline.params.model import Compute, Model
from pipeline.training.recipe import assemble, head

CPU = Compute(device="cpu", precision="float32", workers=1)
RULES = Images(width=16, height=16, fit="stretch", max_megapixels=1)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), np.uint8)
LARGEST_DIFFERENCE = 0.001  # of a class probability, as params.yaml allows an export


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network, as training saves it."""
    keras.utils.set_random_seed(3)
    file = tmp_path_factory.mktemp("model") / "model.keras"
    assemble(build_backbone(Model(backbone="cnn", weights="none"), RULES), head(3), 0.1, seed=1).save(file)
    return file


@pytest.fixture(autouse=True)
def float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(("size", "xla"), [(2, False), (2, True), (8, False)])
def test_answers_are_those_of_keras_in_batches_of_any_size(saved: Path, size: int, xla: bool) -> None:
    model = keras.saving.load_model(saved, compile=False)
    expected = model.predict_on_batch(IMAGES.astype(np.float32))
    logits, embeddings = keras_judging(saved, CPU, size, xla=xla)(IMAGES)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(logits, keras_network(saved, CPU, size, xla=xla)(IMAGES), atol=1e-5)
    last: Any = model.layers[-1]
    np.testing.assert_allclose(embeddings @ last.kernel.numpy() + last.bias.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("numbers", ["f16", "bf16"])
def test_a_short_format_changes_answers_little_and_outputs_stay_float32(saved: Path, numbers: Numbers) -> None:
    exact = probabilities(keras_network(saved, CPU, 4)(IMAGES), 1.0)
    logits, embeddings = keras_judging(saved, CPU, 4, numbers)(IMAGES)
    assert logits.dtype == embeddings.dtype == np.float32
    difference = np.abs(probabilities(logits, 1.0) - exact).max()
    assert 0 < difference < LARGEST_DIFFERENCE * (1 if numbers == "f16" else 8)


def test_a_network_that_xla_does_not_know_runs_without_it(caplog: pytest.LogCaptureFixture) -> None:
    class Foreign(keras.layers.Layer):
        def call(self, values: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.py_function(lambda some: some / 255, [values], tf.float32), values.shape)

    image = keras.Input((16, 16, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(Foreign()(image)))
    logging.getLogger("nightshift").propagate = True
    [means] = _in_full_batches(model, [model.output], 4, xla=True)(IMAGES)
    np.testing.assert_allclose(means, IMAGES.mean(axis=(1, 2)) / 255, rtol=1e-5)
    assert "XLA does not compile this network; it runs uncompiled" in caplog.text


def test_numbers_beyond_a_format_are_an_error_and_no_answer() -> None:
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1e38)(image)))
    with pytest.raises(NightshiftError, match="not finite.*set compute.precision to float32"):
        _in_full_batches(model, [model.output], 4, xla=False)(IMAGES)
