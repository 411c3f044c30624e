"""Asking a model: its contract, its probabilities, and the folder it lies in."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from pipeline.model.contract import Contract, ContractError, read_contract, weights_sha256, write_contract
from pipeline.model.engine import (
    Engine,
    Numbers,
    load_engine,
    openvino_judging,
    openvino_network,
    probabilities,
)
from pipeline.params.data import Images
from pipeline.params.model import Compute
from pipeline.storage.files import sha256

CPU = Compute(device="cpu", precision="float32", workers=1)
RULES = Images(width=12, height=8, fit="stretch", max_megapixels=1)


def contract(weights: str = "0" * 64) -> Contract:
    return Contract(
        class_names=("no", "yes"), images=RULES, backbone="cnn", temperature=2.0, unsure_below=0.6,
        dataset_sha256="1" * 64, weights_sha256=weights, code_commit="",
    )  # fmt: skip


def test_probabilities_are_the_softmax_of_scaled_logits_even_of_huge_ones() -> None:
    logits = np.array([[0, np.log(3)], [1e4, -1e4]], np.float32)
    found = probabilities(logits, temperature=1)
    np.testing.assert_allclose(found, [[0.25, 0.75], [1, 0]], atol=1e-7)
    np.testing.assert_allclose(probabilities(2 * logits, temperature=2), found)
    assert found.dtype == np.float32


def test_predict_gives_row_i_for_image_i_by_the_contracts_temperature() -> None:
    def network(batch: np.ndarray) -> np.ndarray:
        mean = batch.mean(axis=(1, 2, 3))
        return np.stack([-mean, mean], axis=1).astype(np.float32)

    images = np.stack([np.full((8, 12, 3), level, np.uint8) for level in (0, 3, 9)])
    answers = Engine(contract(), network).predict(images)
    np.testing.assert_allclose(answers[:, 1], 1 / (1 + np.exp(-np.array([0.0, 3, 9]))), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 12, 8, 3), (1, 8, 12, 1), (8, 12, 3)], ids=["turned", "grey", "no batch"])
def test_images_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes uint8 images \(n, 8, 12, 3\)"):
        Engine(contract(), lambda batch: np.zeros((1, 2), np.float32)).predict(np.zeros(shape, np.uint8))


def test_floats_are_refused_for_their_range_is_unknown() -> None:
    with pytest.raises(ValueError, match="got float32"):
        Engine(contract(), lambda batch: np.zeros((1, 2), np.float32)).predict(np.zeros((1, 8, 12, 3), np.float32))  # type: ignore[arg-type]


def exported(folder: Path, *, compressed: bool = False, end: str = "bias") -> Path:
    """A network file: mean colours, times weights, plus a bias; or one that ends otherwise."""
    pixels = ops.parameter([-1, 8, 12, 3], np.float32)
    means = ops.reduce_mean(pixels, [1, 2], keep_dims=False)
    weights = np.array([[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6]], np.float32)
    product = ops.matmul(means, weights, False, False)
    match end:
        case "no bias":
            logits = product
        case "half precision":
            half = ops.convert(ops.constant(weights.T.astype(np.float16)), np.float32)
            product = ops.matmul(ops.convert(ops.convert(means, np.float64), np.float32), half, False, True)
            logits = ops.convert(ops.convert(ops.add(product, np.float32([1, 2])), np.float64), np.float32)
        case "softmax":
            logits = ops.softmax(product, 1)
        case "two branches":
            logits = ops.add(product, ops.matmul(means, weights, False, False))
        case "no dense layer":
            logits = ops.add(means, np.float32(1))
        case "a map":
            logits = ops.matmul(pixels, weights, False, False)
        case _:
            logits = ops.add(product, np.float32([1, 2]))
    outputs = [logits, ops.relu(pixels)] if end == "inner outputs" else [logits]  # as Keras exports swish activations
    openvino.save_model(openvino.Model(outputs, [pixels]), folder / "model.xml", compress_to_fp16=compressed)
    return folder / "model.xml"


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), np.uint8)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("end", ["bias", "no bias", "half precision", "inner outputs"])
def test_embeddings_are_what_the_last_dense_layer_takes_and_change_no_logit(
    tmp_path: Path, end: str, compressed: bool
) -> None:
    file = exported(tmp_path, end=end, compressed=compressed)
    logits, embeddings = openvino_judging(file, 2)(IMAGES)
    np.testing.assert_array_equal(logits, openvino_network(file, 2)(IMAGES))
    np.testing.assert_allclose(embeddings, IMAGES.mean(axis=(1, 2)), rtol=1e-5)
    assert embeddings.dtype == np.float32


@pytest.mark.parametrize("numbers", ["f32", "bf16"])
def test_an_answer_depends_on_no_neighbour_and_on_no_number_of_cores(tmp_path: Path, numbers: Numbers) -> None:
    images = np.random.default_rng(1).integers(0, 256, (37, 8, 12, 3), np.uint8)
    file = exported(tmp_path)
    together = openvino_network(file, 3, numbers)(images)
    alone = openvino_network(file, 1, numbers)
    np.testing.assert_array_equal(together, np.concatenate([alone(images[row : row + 1]) for row in range(37)]))


def test_who_asks_at_once_gets_each_his_own(tmp_path: Path) -> None:
    network = openvino_network(exported(tmp_path), 2)
    parts = [IMAGES[row : row + 1].repeat(9, axis=0) for row in range(4)] * 25
    with ThreadPoolExecutor(4) as pool:
        for part, answer in zip(parts, pool.map(network, parts), strict=True):
            np.testing.assert_array_equal(answer, network(part[:1]).repeat(9, axis=0))


# Without a first use beforehand it hangs in four of five processes.
FIRST_AT_ONCE = """
import sys, threading
from pathlib import Path
import numpy as np
from pipeline.model.engine import openvino_network
sys.setswitchinterval(1e-4)
networks = [openvino_network(Path(sys.argv[1]), 1) for _ in range(3)]
ready, begun = [], []
def ask(network):
    ready.append(network)
    while not begun:
        pass
    network(np.zeros((1, 8, 12, 3), np.uint8))
threads = [threading.Thread(target=ask, args=(network,)) for network in networks]
for thread in threads:
    thread.start()
while len(ready) < len(threads):
    pass
begun.append(True)
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("attempt", range(3))
def test_networks_that_are_first_asked_at_once_do_not_wait_for_each_other(tmp_path: Path, attempt: int) -> None:
    words = [sys.executable, "-c", FIRST_AT_ONCE, str(exported(tmp_path))]
    assert subprocess.run(words, check=False, timeout=60).returncode == 0, f"in a process of its own, {attempt}"


def test_no_images_have_no_answers(tmp_path: Path) -> None:
    assert openvino_network(exported(tmp_path), 2)(IMAGES[:0]).shape == (0, 2)


@pytest.mark.parametrize("end", ["softmax", "two branches", "no dense layer", "a map"])
def test_a_network_that_does_not_end_in_a_dense_layer_is_named(tmp_path: Path, end: str) -> None:
    file = exported(tmp_path, end=end)
    openvino_network(file, 2)
    with pytest.raises(ContractError, match=r"model.xml gives no embeddings: .* train the model again"):
        openvino_judging(file, 2)


def test_judge_gives_what_predict_gives_and_the_embeddings(tmp_path: Path) -> None:
    judging = openvino_judging(exported(tmp_path), 2)
    engine = Engine(contract(), lambda batch: judging(batch)[0], judging)
    answers, embeddings = engine.judge(IMAGES)
    np.testing.assert_array_equal(answers, engine.predict(IMAGES))
    assert embeddings.shape == (4, 3)
    with pytest.raises(ValueError, match="takes uint8 images"):
        engine.judge(IMAGES[:, :4])
    with pytest.raises(ValueError, match="loaded without embeddings"):
        Engine(contract(), engine.network).judge(IMAGES)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "model.xml").write_text("structure")
    (tmp_path / "openvino" / "model.bin").write_text("weights")
    (tmp_path / "model.keras").write_text("the same for a GPU")
    keras = {"keras_sha256": sha256(b"the same for a GPU")}
    write_contract(tmp_path, contract(weights_sha256(tmp_path)).model_copy(update=keras))
    return tmp_path


def test_a_contract_comes_back_as_it_was_written(model: Path) -> None:
    keras = {"keras_sha256": sha256(b"the same for a GPU")}
    assert read_contract(model) == contract(weights_sha256(model)).model_copy(update=keras)


def test_the_hash_names_everything_in_the_contract() -> None:
    one = contract()
    assert one.hash == contract().hash
    assert one.hash != one.model_copy(update={"temperature": 2.1}).hash
    assert one.hash != contract(weights="f" * 64).hash
    assert one.hash == one.model_copy(update={"keras_sha256": "a" * 64}).hash, "Keras writes the time into its files"
    assert one.hash != one.model_copy(update={"bfloat16": True}).hash


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "contract.json").unlink(), "contract.json is missing"),
        (lambda folder: (folder / "openvino/model.bin").unlink(), "model.bin is missing"),
        (lambda folder: (folder / "openvino/model.bin").write_text("other"), "are not the ones"),
        (lambda folder: (folder / "openvino/model.xml").write_text("other"), "are not the ones"),
        (lambda folder: (folder / "model.keras").write_text("other"), "model.keras are not the ones"),
        (lambda folder: (folder / "model.keras").unlink(), "model.keras is missing"),
        (
            lambda folder: (folder / "contract.json").write_text('{"version": 2}'),
            "cannot read .*contract.json, the model's contract file",
        ),
        (
            lambda folder: (folder / "contract.json").write_text("{"),
            "cannot read .*contract.json, the model's contract file",
        ),
    ],
)
def test_a_damaged_model_is_refused_before_it_answers(model: Path, damage: object, message: str) -> None:
    damage(model)  # type: ignore[operator]
    with pytest.raises(ContractError, match=message):
        load_engine(model, CPU)
