"""KerasHub's image towers as backbones: the right features, saved, exported, and clear words where there are none."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from pipeline.backbones.hub import PresetError, _scaling_of_transformers, hub_backbone
from pipeline.backbones.keras_file import backbone_of_file, load_keras
from pipeline.core.errors import NightshiftError
from pipeline.model.engine import openvino_network
from pipeline.model.export import export_openvino
from tests.fixtures import forked
from tests.fixtures.images import noise
from tests.fixtures.project import REPOSITORY
from tests.fixtures.towers import OFFSET, SCALE, TOWER, clip, converters, models, siglip, vit


def dinov2() -> Any:
    return models.DINOV2Backbone(
        **{**TOWER, "patch_size": 14, "image_shape": (28, 28, 3)}, position_embedding_shape=(28, 28, 3)
    )


def densenet() -> Any:
    return models.DenseNetBackbone(stackwise_num_repeats=[1, 1], growth_rate=4, compression_ratio=0.5)


PRESETS = {
    "vit": (vit, "ViTImageConverter", 32),
    "dinov2": (dinov2, "DINOV2ImageConverter", 28),
    "dinov3": (lambda: models.DINOV3Backbone(**TOWER), "DINOV3ImageConverter", 32),
    "deit": (lambda: models.DeiTBackbone(**TOWER), "DeiTImageConverter", 32),
    "clip": (clip, "CLIPImageConverter", 32),
    "siglip": (siglip, "SigLIPImageConverter", 32),
    "densenet": (densenet, "DenseNetImageConverter", 32),
}
MEANS_OF = {"densenet": (1, 2)}  # axes that are averaged; SigLIP pools for itself, the others have a class token


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a preset: a tiny random model with the scaling above."""
    folder = tmp_path_factory.mktemp("presets")
    keras.utils.set_random_seed(1)
    for name, (build, converter, size) in PRESETS.items():
        build().save_to_preset(folder / name)
        scaling = getattr(converters, converter)(image_size=(size, size), scale=SCALE, offset=OFFSET)
        scaling.save_to_preset(folder / name)
    return folder


def photos(size: int) -> np.ndarray:
    return np.stack([noise(size, size, seed) for seed in range(3)])


@pytest.mark.parametrize("name", PRESETS)
def test_features_are_the_towers_own_of_images_in_the_presets_scaling(presets: Path, name: str) -> None:
    size = PRESETS[name][2]
    backbone = hub_backbone(str(presets / name), (size, size, 3))
    whole = models.Backbone.from_preset(str(presets / name))
    tower = getattr(whole, "vision_encoder", whole)
    scaled = photos(size).astype(np.float32) * SCALE + OFFSET
    key = next(iter(tower.input)) if isinstance(tower.input, dict) else None
    own = np.asarray(tower({key: scaled} if key else scaled))
    expected = own.mean(axis=MEANS_OF[name]) if name in MEANS_OF else own if own.ndim == 2 else own[:, 0]
    assert backbone.output.shape == (None, *expected.shape[1:])
    np.testing.assert_allclose(backbone(photos(size).astype(np.float32)), expected, atol=1e-4)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3, "the features do not depend on the image"


def trained(backbone: keras.Model, size: int) -> keras.Model:
    """The backbone with logits on top, after a step that moves its weights."""
    model = keras.Model(backbone.input, keras.layers.Dense(2, name="logits")(backbone.output))
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.train_on_batch(photos(size).astype(np.float32), np.eye(2)[[0, 1, 0]])
    return model


@pytest.mark.parametrize(("name", "size"), [("vit", 32), ("dinov2", 28), ("dinov2", 42), ("dinov3", 48), ("clip", 32)])
def test_a_trained_tower_is_saved_and_exported_and_answers_alike(
    presets: Path, tmp_path: Path, name: str, size: int
) -> None:
    backbone = hub_backbone(str(presets / name), (size, size, 3))
    before = [weight.numpy() for weight in backbone.trainable_weights]
    model = trained(backbone, size)
    moved = [not np.array_equal(old, new) for old, new in zip(before, backbone.trainable_weights, strict=True)]
    assert np.mean(moved) > 0.9
    model.save(tmp_path / "model.keras")
    export_openvino(model, tmp_path)
    answers = np.asarray(model(photos(size).astype(np.float32)))
    np.testing.assert_allclose(
        load_keras(tmp_path / "model.keras")(photos(size).astype(np.float32)), answers, atol=1e-5
    )
    np.testing.assert_allclose(openvino_network(tmp_path / "model.xml", 2)(photos(size)), answers, atol=1e-4)


LOAD = """
import sys
import numpy as np
from pathlib import Path
from pipeline.model.keras_engine import keras_network
from pipeline.params.model import Compute

cpu = Compute(device="cpu", precision="float32", workers=1)
assert "keras_hub" not in sys.modules
for file in sys.argv[2:]:
    np.save(file + ".npy", keras_network(Path(file), cpu)(np.load(sys.argv[1])))
"""


def test_a_new_process_loads_a_saved_tower_by_itself(presets: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "photos.npy", photos(32))
    saved = {}
    for name in ("vit", "clip", "siglip"):
        backbone = hub_backbone(str(presets / name), (32, 32, 3))
        backbone.save(tmp_path / f"{name}.keras")
        saved[str(tmp_path / f"{name}.keras")] = np.asarray(backbone(photos(32).astype(np.float32)))
    words = [sys.executable, "-c", LOAD, str(tmp_path / "photos.npy"), *saved]
    forked.run(*words, cwd=REPOSITORY, work="training")
    for file, features in saved.items():
        np.testing.assert_allclose(np.load(f"{file}.npy"), features, atol=1e-5)


def test_a_saved_tower_is_a_keras_file_backbone_too(presets: Path, tmp_path: Path) -> None:
    backbone = hub_backbone(str(presets / "vit"), (32, 32, 3))
    backbone.save(tmp_path / "tower.keras")
    again = backbone_of_file(tmp_path / "tower.keras", (32, 32, 3))
    images = photos(32).astype(np.float32)
    np.testing.assert_allclose(again(images), backbone(images), atol=1e-6)


def write_transformers_vit(folder: Path) -> dict[str, np.ndarray]:
    """A tiny ViT as Hugging Face's transformers saves one; its tensors."""
    rng = np.random.default_rng(0)
    hidden, inner, patch, layer = 8, 16, 16, "vit.encoder.layer.0"
    shapes = {
        "vit.embeddings.cls_token": (1, 1, hidden),
        "vit.embeddings.position_embeddings": (1, 5, hidden),
        "vit.embeddings.patch_embeddings.projection.weight": (hidden, 3, patch, patch),
        "vit.embeddings.patch_embeddings.projection.bias": (hidden,),
        f"{layer}.intermediate.dense.weight": (inner, hidden),
        f"{layer}.intermediate.dense.bias": (inner,),
        f"{layer}.output.dense.weight": (hidden, inner),
        f"{layer}.output.dense.bias": (hidden,),
    }
    for part in ("attention.query", "attention.key", "attention.value", "output.dense"):
        shapes |= {
            f"{layer}.attention.{part}.weight": (hidden, hidden),
            f"{layer}.attention.{part}.bias": (hidden,),
        }
    for norm in (f"{layer}.layernorm_before", f"{layer}.layernorm_after", "vit.layernorm"):
        shapes |= {f"{norm}.weight": (hidden,), f"{norm}.bias": (hidden,)}
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "vit", "image_size": 32, "patch_size": patch, "num_hidden_layers": 1, "num_attention_heads": 2,
        "hidden_size": hidden, "intermediate_size": inner, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "qkv_bias": True, "layer_norm_eps": 1e-12,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"rescale_factor": 1 / 255, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.25]})
    )
    return tensors


def test_a_folder_of_hugging_faces_gives_its_weights_and_its_scaling(tmp_path: Path) -> None:
    tensors = write_transformers_vit(tmp_path / "model")
    backbone = hub_backbone(str(tmp_path / "model"), (32, 32, 3))
    scaling = backbone.get_layer("scaling")
    np.testing.assert_allclose(scaling(np.array([0.0, 127.5, 255.0])), [-1, 0, 2], atol=1e-6)
    left = [tensor.size for tensor in tensors.values()]
    assert sum(left) == backbone.count_params()
    ours = np.sort(np.concatenate([weight.ravel() for weight in backbone.get_weights()]))
    np.testing.assert_array_equal(ours, np.sort(np.concatenate([tensor.ravel() for tensor in tensors.values()])))


@pytest.mark.parametrize(
    ("config", "scale", "offset"),
    [
        ({"image_mean": [0.0] * 3, "image_std": [1.0] * 3}, [1 / 255] * 3, [0.0] * 3),
        ({"image_mean": [0.5] * 3, "image_std": [0.5, 0.5, 0.25]}, [2 / 255, 2 / 255, 4 / 255], [-1.0, -1.0, -2.0]),
        ({"do_normalize": False, "rescale_factor": 0.5}, [0.5] * 3, [0.0] * 3),
        ({"do_rescale": False, "image_mean": [10.0] * 3, "image_std": [2.0] * 3}, [0.5] * 3, [-5.0] * 3),
    ],
    ids=["rescaled", "standardised", "rescaled alone", "standardised alone"],
)
def test_the_scaling_of_transformers(config: dict[str, Any], scale: list[float], offset: list[float]) -> None:
    np.testing.assert_allclose(_scaling_of_transformers(config), [scale, offset])


def test_a_preset_without_scaling_is_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vit().save_to_preset(tmp_path / "vit")
    with caplog.at_level(logging.WARNING):
        hub_backbone(str(tmp_path / "vit"), (32, 32, 3))
    assert "does not define its input scaling: the pixels go in as they are, 0 to 255" in caplog.text


def test_tokens_without_a_class_token_are_averaged(tmp_path: Path) -> None:
    tower = vit(use_class_token=False)
    tower.save_to_preset(tmp_path / "vit")
    images = photos(32).astype(np.float32)
    backbone = hub_backbone(str(tmp_path / "vit"), (32, 32, 3))
    np.testing.assert_allclose(backbone(images), np.mean(tower(images), axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param("vit", (64, 64, 3), id="a ViT, larger"),
        pytest.param("vit", (40, 40, 3), id="a ViT, of part of a patch"),
        pytest.param("clip", (64, 64, 3), id="CLIP, larger"),
        pytest.param("siglip", (32, 48, 3), id="SigLIP, not square"),
        pytest.param("dinov2", (28, 42, 3), id="DINOv2, not square"),
    ],
)
def test_a_tower_of_one_size_says_which(presets: Path, name: str, shape: tuple[int, int, int]) -> None:
    size = PRESETS[name][2]
    with pytest.raises(PresetError, match=rf"takes images of {size} x {size} pixels .* Set images.width to {size} and"):
        hub_backbone(str(presets / name), shape)


def test_a_preset_of_words_has_no_image_tower(tmp_path: Path) -> None:
    bert = models.BertBackbone(vocabulary_size=9, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4)
    bert.save_to_preset(tmp_path / "bert")
    with pytest.raises(
        PresetError, match=r"bert \(BertBackbone\) takes .*token_ids.*, not images. Choose an image preset"
    ):
        hub_backbone(str(tmp_path / "bert"), (32, 32, 3))


def no_weights(folder: Path) -> None:
    (folder / "model.weights.h5").unlink()


def half_the_weights(folder: Path) -> None:
    file = folder / "model.weights.h5"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def another_architecture(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "perceiver"}')


def damaged_scaling(folder: Path) -> None:
    (folder / "image_converter.json").write_text("{")


@pytest.mark.parametrize("damage", [no_weights, half_the_weights, no_json, another_architecture, damaged_scaling])
def test_a_damaged_preset_is_named(tmp_path: Path, damage: Any) -> None:
    vit().save_to_preset(tmp_path / "vit")
    damage(tmp_path / "vit")
    with pytest.raises(PresetError, match=f"the preset {tmp_path / 'vit'} cannot be loaded"):
        hub_backbone(str(tmp_path / "vit"), (32, 32, 3))


def test_half_a_file_of_hugging_faces_is_named(tmp_path: Path) -> None:
    write_transformers_vit(tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PresetError, match=f"the preset {tmp_path / 'model'} cannot be loaded"):
        hub_backbone(str(tmp_path / "model"), (32, 32, 3))


def test_a_name_that_is_no_preset_says_what_one_is() -> None:
    with pytest.raises(PresetError, match=r"the preset vitt cannot be loaded. It must be a name that KerasHub knows"):
        hub_backbone("vitt", (32, 32, 3))


def test_a_handle_without_a_network_says_which_files_to_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PresetError, match=r"hf://timm/none is not in .* Download its files .*huggingface.co/timm/none"):
        hub_backbone("hf://timm/none", (32, 32, 3))


def test_without_keras_hub_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(NightshiftError, match=r"keras_hub is not installed. Run `pip install '\.\[hub\]'`"):
        hub_backbone("vit", (32, 32, 3))
