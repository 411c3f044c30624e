"""The networks that are trained from scratch."""

import keras
import numpy as np
import pytest

from pipeline.backbones.cnn import residual_cnn, tutorial_cnn


def test_the_tutorials_network_has_its_published_size() -> None:
    # tensorflow.org/tutorials/images/classification prints 3,989,285 for five classes at 180 x 180.
    backbone = tutorial_cnn((180, 180, 3))
    model = keras.Model(backbone.input, keras.layers.Dense(5)(backbone.output))
    assert model.count_params() == 3_989_285


@pytest.mark.parametrize("shape", [(8, 8, 3), (33, 65, 3), (150, 130, 3)], ids=["smallest", "odd", "large"])
def test_the_residual_network_takes_any_size_and_gives_its_pooled_features(shape: tuple[int, int, int]) -> None:
    backbone = residual_cnn(shape)
    assert backbone.output.shape == (None, 160)
    assert 300_000 < backbone.count_params() < 1_000_000
    assert np.isfinite(backbone(np.full((2, *shape), 255, np.float32))).all()


def test_the_residual_network_learns_a_stripes_direction_that_no_colour_tells() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    stripes = rng.integers(0, 2, (64, 1, 32, 1)) * np.ones((1, 32, 1, 3)) * 255
    images = np.where(labels[:, None, None, None] == 1, stripes, stripes.swapaxes(1, 2)).astype(np.float32)
    keras.utils.set_random_seed(1)
    backbone = residual_cnn((32, 32, 3))
    model = keras.Model(backbone.input, keras.layers.Dense(2)(backbone.output))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3), loss, jit_compile=False)  # compiling takes longer than all epochs
    model.fit(images[:48], labels[:48], batch_size=16, epochs=10, verbose=0)
    assert (np.asarray(model(images[48:])).argmax(axis=1) == labels[48:]).mean() > 0.9
