"""Device and precision are chosen in one place, and what is chosen is what computes."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.backbones import build_backbone
from pipeline.device import prepare_device
from pipeline.errors import NightshiftError
from pipeline.params_data import Images
from pipeline.params_model import Compute, Model
from pipeline.train import assemble, batches, head


@pytest.fixture(autouse=True)
def float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def test_a_gpu_that_is_demanded_and_missing_is_an_error_with_the_ways_on() -> None:
    assert tf.config.list_physical_devices("GPU") == [], "this test is about a machine without one"
    with pytest.raises(NightshiftError, match=r"compute.device is gpu, but TensorFlow sees none.*nvidia-smi"):
        prepare_device(Compute(device="gpu", precision="auto", workers=0), seed=1)


def test_auto_on_a_cpu_is_float32_on_one_device() -> None:
    strategy = prepare_device(Compute(device="auto", precision="auto", workers=0), seed=1)
    assert keras.config.dtype_policy().name == "float32"
    assert strategy.num_replicas_in_sync == 1


def test_the_seed_repeats_what_is_drawn() -> None:
    drawn = []
    for seed in (1, 1, 2):
        prepare_device(Compute(device="cpu", precision="float32", workers=0), seed=seed)
        drawn.append(keras.random.normal((3,)).numpy().tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_keeps_logits_and_weights_in_float32(precision: str) -> None:
    compute = Compute(device="cpu", precision=precision, workers=0)  # type: ignore[arg-type]
    images, labels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8), np.arange(8) % 2
    with prepare_device(compute, seed=1).scope():
        rules = Images(width=16, height=16, fit="stretch", max_megapixels=1)
        model = assemble(build_backbone(Model(backbone="cnn", weights="none"), rules), head(2), 0.1, seed=1)
        model.compile("adamw", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        loss = model.fit(batches(images, labels, 4), epochs=2, verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(loss).all()
    assert model.layers[2].compute_dtype == precision.removeprefix("mixed_")
    assert model(images.astype(np.float32)).dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
