"""The map of evidence is warm where the evidence is: small networks whose evidence is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation.saliency import activation, chosen, explain, grad_cam, occlusion
from pipeline.model.contract import NETWORK, OPENVINO, Contract
from pipeline.model.engine import Engine, load_engine
from pipeline.model.export import export_openvino
from pipeline.model.mean_network import mean_network
from pipeline.params.data import Images
from pipeline.params.model import Compute
from tests.fixtures.evaluations import SIDE, coloured, judge, write_colour_model

SQUARE = (slice(2, 8), slice(2, 8))  # where `coloured` puts it
CPU = Compute(device="cpu", precision="float32", workers=1)


def flat(layers: Any, keras: Any) -> Any:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(3, 1, use_bias=False, name="channels")(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Dense(3, use_bias=False)(layers.GlobalAveragePooling2D()(x)))


def nested(layers: Any, keras: Any) -> Any:
    """The feature map lies in a model in the model, which itself gives none."""
    inner_inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(3, 1, use_bias=False, name="channels")(inner_inputs)
    inner = keras.Model(inner_inputs, layers.GlobalAveragePooling2D()(x), name="backbone")
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, layers.Dense(3, use_bias=False)(inner(layers.Rescaling(1 / 255)(inputs))))


def frozen(layers: Any, keras: Any) -> Any:
    model = flat(layers, keras)
    model.trainable = False
    return model


def sequential(layers: Any, keras: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255),
            keras.Sequential([layers.Conv2D(3, 1, use_bias=False), layers.GlobalAveragePooling2D()]),
            layers.Dense(3, use_bias=False),
        ]
    )  # fmt: skip


def tokens(layers: Any, keras: Any) -> Any:
    """Patches that become tokens, as a ViT's: no feature map after the first layer."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(3, 1, use_bias=False)(layers.Rescaling(1 / 255)(inputs))
    x = layers.GlobalAveragePooling1D()(layers.Reshape((-1, 3))(x))
    return keras.Model(inputs, layers.Dense(3, use_bias=False)(x))


def saved(build: Callable[[Any, Any], Any], file: Path) -> Path:
    """A network of three classes, each the mean of its colour."""
    import keras
    from keras import layers

    model = build(layers, keras)
    model.set_weights([np.eye(3, dtype=np.float32)[None, None], 20 * np.eye(3, dtype=np.float32)])
    model.save(file)
    export_openvino(model, file.parent / OPENVINO)
    return file


def is_warm_at_the_square(heat: NDArray[np.float32]) -> bool:
    outside = np.ones_like(heat, dtype=bool)
    outside[SQUARE] = False
    return bool(heat[SQUARE].mean() > 0.6 and heat[outside].mean() < 0.3 and heat.max() == pytest.approx(1))


@pytest.mark.parametrize("build", [flat, nested, frozen, sequential])
def test_grad_cam_is_warm_where_the_class_is(build: Callable[[Any, Any], Any], tmp_path: Path) -> None:
    images = np.stack([coloured(colour, seed=colour) for colour in range(3)])
    heat = grad_cam(saved(build, tmp_path / "model.keras"), images, np.arange(3))
    assert heat is not None
    assert (heat.shape, heat.dtype) == ((3, SIDE, SIDE), np.float32)
    assert all(map(is_warm_at_the_square, heat))


@pytest.mark.parametrize("build", [flat, nested, sequential])
def test_the_exported_network_gives_the_maps_of_grad_cam(build: Callable[[Any, Any], Any], tmp_path: Path) -> None:
    images = np.stack([coloured(colour, seed=colour) for colour in range(3)])
    by_gradient = grad_cam(saved(build, tmp_path / "model.keras"), images, np.arange(3))
    heat = activation(tmp_path / OPENVINO / NETWORK, images, np.arange(3))
    assert by_gradient is not None
    assert heat is not None
    assert heat == pytest.approx(by_gradient, abs=1e-5)


def test_an_exported_network_gives_no_map_where_its_logits_are_not_linear_in_the_mean_of_one(tmp_path: Path) -> None:
    import keras
    from keras import layers

    inputs = keras.Input((SIDE, SIDE, 3))
    grid = layers.Conv2D(3, 1)(inputs)
    mean = layers.GlobalAveragePooling2D()(grid)
    for number, embedding in enumerate(
        (
            layers.Dense(3, activation="relu")(mean),
            layers.Flatten()(layers.MaxPooling2D()(grid)),
            layers.GlobalMaxPooling2D()(grid),
            layers.GlobalAveragePooling2D()(layers.AveragePooling2D(SIDE)(grid)),  # of one place
        )
    ):
        export_openvino(keras.Model(inputs, layers.Dense(3)(embedding)), tmp_path / str(number))
        assert activation(tmp_path / str(number) / NETWORK, coloured(0, 1)[None], np.array([0])) is None, number


def test_evidence_in_a_mirror_image_is_mirrored_back_and_that_of_several_networks_added(tmp_path: Path) -> None:
    import keras
    from keras import layers

    def one() -> Any:
        model = flat(layers, keras)
        found = keras.Model(model.input, layers.Dense(3)(layers.Dropout(0.2)(model.layers[-2].output)))
        found.set_weights([np.eye(3)[None, None], 20 * np.eye(3), np.zeros(3)])
        return found

    model = mean_network([one(), one()], flips=True)
    model.save(tmp_path / "model.keras")
    export_openvino(model, tmp_path)
    images = np.stack([coloured(colour, seed=colour) for colour in range(3)])
    assert activation(tmp_path / NETWORK, images, np.arange(3)) is None
    heat = grad_cam(tmp_path / "model.keras", images, np.arange(3))
    assert heat is not None
    assert all(map(is_warm_at_the_square, heat))


def test_the_map_is_of_the_class_asked_for(tmp_path: Path) -> None:
    image = coloured(0, seed=1)
    image[10:14, 10:14] = (0, 200, 0)  # red at the upper left, green at the lower right
    file = saved(flat, tmp_path / "model.keras")
    heat = grad_cam(file, np.stack([image, image]), np.array([0, 1]))
    assert heat is not None
    assert heat[0][SQUARE].mean() > 0.6 > 0.3 > heat[0][10:14, 10:14].mean()
    assert heat[1][10:14, 10:14].mean() > 0.6 > 0.3 > heat[1][SQUARE].mean()


def test_a_network_of_tokens_has_no_feature_map(tmp_path: Path) -> None:
    asked = coloured(0, 1)[None], np.array([0])
    assert grad_cam(saved(tokens, tmp_path / "model.keras"), *asked) is None
    assert activation(tmp_path / OPENVINO / NETWORK, *asked) is None


def test_a_network_that_flattens_its_map_has_one(tmp_path: Path) -> None:
    import keras
    from keras import layers

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    keras.Model(inputs, layers.Dense(2)(layers.Dense(8)(layers.Flatten()(x)))).save(tmp_path / "model.keras")
    heat = grad_cam(tmp_path / "model.keras", coloured(0, 1)[None], np.array([0]))
    assert heat is not None
    assert heat.shape == (1, SIDE, SIDE)
    assert np.isfinite(heat).all()


def red_and_blue(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network: how much red and how much blue there is."""
    return (batch.mean(axis=(1, 2))[:, [0, 2]] / 10).astype(np.float32)


def test_occlusion_is_warm_where_covering_costs_the_class() -> None:
    rules = Images(width=SIDE, height=SIDE, fit="stretch", max_megapixels=1)
    contract = Contract(
        class_names=("red", "blue"), images=rules, backbone="x", temperature=1.0, unsure_below=0.5,
        dataset_sha256="", weights_sha256="", code_commit="",
    )  # fmt: skip
    images = np.stack([coloured(0, 1), coloured(2, 1)])
    before = images.copy()
    heat = occlusion(Engine(contract, red_and_blue), images, np.array([0, 1]))
    assert heat.shape == (2, SIDE, SIDE)
    assert all(map(is_warm_at_the_square, heat))
    assert (images == before).all()


def test_evidence_is_by_grad_cam_and_by_occlusion_where_there_is_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_colour_model(tmp_path / "model", unsure_below=0.5)
    engine = load_engine(tmp_path / "model", CPU)
    images = np.stack([coloured(colour, seed=colour) for colour in range(3)])
    judged = judge([0, 1, 2], engine.predict(images))
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.evaluation.saliency.grad_cam", None)  # TensorFlow is not needed
        found = explain(tmp_path / "model", engine, judged, images, each=1)
    assert (found.method, found.rows.tolist()) == ("Grad-CAM", [0, 1, 2])
    assert all(map(is_warm_at_the_square, found.heat))
    saved(tokens, tmp_path / "model" / "model.keras")
    found = explain(tmp_path / "model", engine, judged, images, each=1)
    assert (found.method, found.rows.tolist()) == ("occlusion", [0, 1, 2])
    assert all(map(is_warm_at_the_square, found.heat))


@pytest.mark.parametrize(
    ("labels", "first", "each", "rows"),
    [
        pytest.param([0] * 4, [0.9, 0.6, 0.8, 0.7], 2, [0, 1], id="the surest and the least sure right answer"),
        pytest.param([0] * 4, [0.9, 0.1, 0.2, 0.7], 3, [0, 3, 1], id="two right answers and the surest mistake"),
        pytest.param([0] * 4, [0.9, 0.1, 0.2, 0.7], 1, [0], id="one: the surest right answer"),
        pytest.param([0, 0, 1], [0.1, 0.2, 0.3], 1, [0, 2], id="no right answer: the mistake"),
        pytest.param([1, 1], [0.3, 0.1], 5, [1, 0], id="fewer than asked for"),
    ],
)
def test_the_images_that_are_shown(labels: list[int], first: list[float], each: int, rows: list[int]) -> None:
    judged = judge(labels, np.stack([first, 1 - np.array(first)], axis=1))
    assert chosen(judged, each).tolist() == rows
