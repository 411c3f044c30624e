"""Every backbone: trains, is saved, loaded and exported, and answers alike in all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.backbones.applications import APPLICATIONS
from pipeline.backbones.build import build_backbone
from pipeline.backbones.weights import FROM_SCRATCH, is_pretrained
from pipeline.core.errors import NightshiftError
from pipeline.params.data import Images
from pipeline.params.model import Backbone, Model
from tests.fixtures.answers_alike import assert_trains_and_answers_alike_everywhere, photos, rules

# The larger Lites are the same layers more often, of whom test_efficientnet_lite.py knows the places and the weights;
# test_applications.py has the networks of keras.applications.
ELSEWHERE = ("keras_hub", "keras_file", "efficientnet_lite1", "efficientnet_lite2", *APPLICATIONS)
NAMES = [name for name in Backbone.__args__ if name not in ELSEWHERE]
SMALLEST = {"inception_v3": 75}  # pixels; the others: 32


@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_trains_is_saved_loaded_and_exported_and_answers_alike(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    backbone = build_backbone(Model(backbone=name, weights="none"), rules(64))
    assert_trains_and_answers_alike_everywhere(backbone, 64, tmp_path)


@pytest.fixture
def half_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["cnn_residual", "mobilenet_v2", "vgg16"])
def test_in_mixed_precision_features_and_weights_stay_in_float32(half_precision: None, name: str) -> None:
    backbone = build_backbone(Model(backbone=name, weights="none"), rules(32))
    assert backbone(photos(32).astype(np.float32)).dtype == "float32"
    assert {weight.dtype for weight in backbone.trainable_weights} == {"float32"}
    assert "bfloat16" in {layer.compute_dtype for layer in backbone.layers}


def test_the_default_backbone_comes_with_its_weights_and_is_no_other_for_a_new_size() -> None:
    default = Model(backbone="efficientnet_lite0", weights="package")
    small, large = (build_backbone(default, rules(size)) for size in (32, 64))
    assert all(np.array_equal(a, b) for a, b in zip(small.get_weights(), large.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("name", "size"), [("inception_v3", 74), ("vgg16", 31), ("convnext_tiny", 8)], ids=lambda value: str(value)
)
def test_too_small_images_are_an_error_that_says_the_smallest(name: str, size: int) -> None:
    smallest = SMALLEST.get(name, 32)
    with pytest.raises(
        NightshiftError, match=rf"are 100 and {size}; {name} takes images of at least {smallest} x {smallest}"
    ):
        build_backbone(
            Model(backbone=name, weights="none"), Images(width=100, height=size, fit="pad", max_megapixels=1)
        )


WEIGHTS: list[tuple[str, str, bool | None]] = [  # backbone, weights, pretrained or None: refused
    ("cnn", "none", False),
    ("cnn", "package", None),
    ("cnn", "model.keras", None),
    ("cnn_residual", "none", False),
    ("cnn_residual", "imagenet", None),
    ("efficientnet_lite0", "package", True),
    ("efficientnet_lite0", "none", False),
    ("efficientnet_lite0", "imagenet", None),
    ("efficientnet_lite0", "models/current/model.keras", True),
    ("efficientnet_lite1", "package", True),
    ("efficientnet_lite2", "package", True),
    ("efficientnet_lite2", "none", False),
    ("efficientnet_lite2", "imagenet", None),
    ("resnet50", "imagenet", True),
    ("resnet50", "none", False),
    ("resnet50", "package", None),
    ("resnet50", "imagenett", None),
    ("resnet50", "x.h5", True),
    ("resnet50", "x.weights.h5", True),
    ("resnet50", "x.pth", None),
    ("keras_hub", "vit_base_patch16_224_imagenet", True),
    ("keras_hub", "hf://timm/resnet18.a1_in1k", True),
    ("keras_hub", "presets/mine", True),
    ("keras_hub", "none", None),
    ("keras_hub", "imagenet", None),
    ("keras_hub", "", None),
    ("keras_file", "x.keras", True),
    ("keras_file", "x.h5", None),
    ("keras_file", "none", None),
]


@pytest.mark.parametrize(("name", "weights", "pretrained"), WEIGHTS)
def test_weights_fit_their_backbone_or_are_refused_with_what_is_allowed(
    name: Any, weights: str, pretrained: bool | None
) -> None:
    if pretrained is None:
        with pytest.raises(ValueError, match=f"'{weights}' does not fit model.backbone {name}; allowed is "):
            Model(backbone=name, weights=weights)
    else:
        assert is_pretrained(Model(backbone=name, weights=weights)) is pretrained


def test_every_backbone_that_is_trained_from_scratch_is_one_that_can_be_built() -> None:
    assert set(FROM_SCRATCH) <= set(NAMES)
