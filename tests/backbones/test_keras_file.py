"""Any `.keras` file as a backbone, and what is refused."""

import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.backbones.keras_file import KerasFileError, backbone_of_file, load_keras
from pipeline.core.errors import NightshiftError
from tests.fixtures.images import noise

SHAPE = (24, 32, 3)


def images(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.stack([noise(shape[1], shape[0], seed) for seed in range(2)]).astype(np.float32)


def saved(folder: Path, *stack: Any, shape: tuple[int | None, ...] = SHAPE) -> tuple[keras.Model, Path]:
    """A network that scales, convolves, and then does what `stack` says; and its file."""
    model = keras.Sequential(
        [keras.Input(shape), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="relu"), *stack]
    )
    model.save(folder / "model.keras")
    return model, folder / "model.keras"


def test_maps_are_averaged(tmp_path: Path) -> None:
    model, file = saved(tmp_path)
    backbone = backbone_of_file(file, SHAPE)
    assert backbone.output.shape == (None, 4)
    np.testing.assert_allclose(backbone(images()), np.mean(model(images()), axis=(1, 2)), atol=1e-6)


def test_tokens_are_averaged(tmp_path: Path) -> None:
    model, file = saved(tmp_path, layers.Reshape((-1, 4)))
    np.testing.assert_allclose(backbone_of_file(file, SHAPE)(images()), np.mean(model(images()), axis=1), atol=1e-6)


def test_a_classifiers_answers_are_taken_as_they_are(tmp_path: Path) -> None:
    model, file = saved(tmp_path, layers.GlobalAveragePooling2D(), layers.Dense(7, activation="softmax"))
    np.testing.assert_allclose(backbone_of_file(file, SHAPE)(images()), model(images()), atol=1e-6)


def test_a_functional_model_with_a_named_input_is_fed_by_its_name(tmp_path: Path) -> None:
    photo = keras.Input(SHAPE, name="photo")
    model = keras.Model({"photo": photo}, layers.Conv2D(4, 3)(photo))
    model.save(tmp_path / "model.keras")
    backbone = backbone_of_file(tmp_path / "model.keras", SHAPE)
    np.testing.assert_allclose(
        backbone(images()), np.mean(model({"photo": images()}), axis=(1, 2)), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("own", [SHAPE, (None, None, 3)], ids=["a fixed size", "any size"])
def test_a_network_that_can_take_another_size_gets_it(tmp_path: Path, own: tuple[int | None, ...]) -> None:
    model, file = saved(tmp_path, layers.GlobalAveragePooling2D(), shape=own)
    backbone = backbone_of_file(file, (16, 16, 3))
    same = keras.Sequential([keras.Input((16, 16, 3)), *model.layers])
    np.testing.assert_allclose(backbone(images((16, 16, 3))), same(images((16, 16, 3))), atol=1e-6)


def test_a_network_that_was_saved_frozen_can_be_trained(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, layers.GlobalAveragePooling2D())
    model.trainable = False
    model.save(tmp_path / "frozen.keras")
    assert len(backbone_of_file(tmp_path / "frozen.keras", SHAPE).trainable_weights) == 2


def test_a_network_of_one_size_alone_says_which(tmp_path: Path) -> None:
    _, file = saved(tmp_path, layers.Flatten(), layers.Dense(3))
    with pytest.raises(KerasFileError, match=r"takes images of 32 x 24 pixels.* Set images.width to 32 and images.hei"):
        backbone_of_file(file, (16, 16, 3))


def two_inputs() -> keras.Model:
    one, two = keras.Input(SHAPE), keras.Input((2,))
    return keras.Model([one, two], layers.Concatenate()([layers.GlobalAveragePooling2D()(one), two]))


def grey() -> keras.Model:
    return keras.Sequential([keras.Input((24, 32, 1)), layers.GlobalAveragePooling2D()])


def of_numbers() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), layers.Dense(2)])


@pytest.mark.parametrize("build", [two_inputs, grey, of_numbers])
def test_a_network_that_takes_no_rgb_image_is_refused_with_what_it_takes(tmp_path: Path, build: Any) -> None:
    build().save(tmp_path / "model.keras")
    with pytest.raises(
        KerasFileError, match=r"model.keras is not a valid backbone: it takes .* It must take one RGB image"
    ):
        backbone_of_file(tmp_path / "model.keras", SHAPE)


def test_a_file_with_code_in_it_is_refused_and_the_code_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    place = str(ran)
    model = keras.Sequential([keras.Input(SHAPE), layers.Lambda(lambda x: (Path(place).touch(), x)[1])])
    model.save(tmp_path / "model.keras")
    ran.unlink(missing_ok=True)
    with pytest.raises(KerasFileError, match=r"model.keras cannot be loaded"):
        load_keras(tmp_path / "model.keras")
    assert not ran.exists()


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x05\x06" + bytes(18)], ids=["empty", "a page", "empty zip"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(KerasFileError, match=r"model.keras cannot be loaded: it is damaged"):
        load_keras(tmp_path / "model.keras")


def test_half_a_file_is_named(tmp_path: Path) -> None:
    _, file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(KerasFileError, match=r"model.keras cannot be loaded"):
        load_keras(file)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(KerasFileError, match=r"no file none.keras in"):
        backbone_of_file(Path("none.keras"), SHAPE)


def test_a_file_that_needs_keras_hub_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", '{"module": "keras_hub.src.models.vit.vit_backbone"}')
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(NightshiftError, match=r"keras_hub is not installed. Run `pip install '\.\[hub\]'`"):
        load_keras(tmp_path / "model.keras")
