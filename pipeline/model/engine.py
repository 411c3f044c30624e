"""Load a model, its contract and weights, and predict class probabilities for uint8 batches. Opens no image.

OpenVINO on the CPU, Keras on a GPU. `judge` also gives each image's embedding: the input of the last layer.
The answer for an image depends only on the image, not on the others in its batch.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model.contract import KERAS, Contract, ContractError, read_contract
from pipeline.model.device import on_gpu as on_gpu
from pipeline.model.keras_engine import BATCH_SIZE, keras_judging, keras_network
from pipeline.model.precision import Numbers, contract_in_use, network_file, numbers_of
from pipeline.params.model import Compute

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # images (n, height, width, 3) -> outputs (n, d)
# images (n, height, width, 3) -> logits (n, classes) and embeddings (n, d), computed in one go
Judging = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
_Infer = Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]  # images -> outputs (n, ...), one or two
# Threads that use OpenVINO's arrays for the first time at once wait for each other for ever: one has the interpreter's
# lock and waits for the binding's, the other one the reverse. So the first use is here, before any network is asked.
_first_touch = threading.Lock()


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model, ready to predict."""

    contract: Contract  # as fitted to the network below
    network: Network
    judging: Judging | None = None  # the same network with embeddings; None: loaded without them

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities for upright RGB images.

        batch: (n, height, width, 3), 0..255, the contract's size. Returns (n, classes), rows sum to 1, columns in
        contract order, row i for image i. Raises ValueError when the size is not the contract's.
        """
        self._check(batch)
        return probabilities(self.network(batch), self.contract.temperature)

    def judge(self, batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities as `predict` gives them, and embeddings (n, d), not normalised: the inputs of the last layer.

        Raises ValueError as `predict` does, and when the engine was loaded without embeddings.
        """
        if self.judging is None:
            raise ValueError("The engine was loaded without embeddings. Use load_engine(..., embedding=True).")
        self._check(batch)
        logits, embeddings = self.judging(batch)
        return probabilities(logits, self.contract.temperature), embeddings

    def _check(self, batch: NDArray[np.uint8]) -> None:
        rules = self.contract.images
        if batch.dtype != np.uint8 or batch.shape[1:] != (rules.height, rules.width, 3):
            raise ValueError(
                f"The model takes uint8 images (n, {rules.height}, {rules.width}, 3), got {batch.dtype} {batch.shape}."
            )


def load_engine(folder: Path, compute: Compute, *, embedding: bool = False, batch_size: int = BATCH_SIZE) -> Engine:
    """The model in `folder`, on the device that `compute` asks for.

    embedding: also load what `judge` needs, if the model has a reference to compare embeddings with.
    batch_size: images in a GPU batch. Raises ContractError when the model is incomplete.
    """
    contract = contract_in_use(read_contract(folder), compute)
    numbers = numbers_of(contract, compute)
    if not embedding or contract.reference_sha256 is None:
        return Engine(contract, load_network(folder, compute, numbers, batch_size))
    judging = load_judging(folder, compute, numbers, batch_size)
    return Engine(contract, lambda batch: judging(batch)[0], judging)


def load_network(folder: Path, compute: Compute, numbers: Numbers = "f32", batch_size: int = BATCH_SIZE) -> Network:
    """The network in `folder`, with or without a contract, on the device that `compute` asks for."""
    if on_gpu(compute):
        return keras_network(folder / KERAS, compute, batch_size, numbers)
    return openvino_network(network_file(folder, numbers), compute.threads, numbers)


def load_judging(folder: Path, compute: Compute, numbers: Numbers = "f32", batch_size: int = BATCH_SIZE) -> Judging:
    """The same network with embeddings. Raises ContractError when it does not end in a dense layer."""
    if on_gpu(compute):
        return keras_judging(folder / KERAS, compute, batch_size, numbers)
    return openvino_judging(network_file(folder, numbers), compute.threads, numbers)


def openvino_network(file: Path, threads: int, numbers: Numbers = "f32") -> Network:
    """The exported network on `threads` cores; loads in 0.1 s, without TensorFlow."""
    infer = _openvino(file, threads, numbers, embedding=False)
    return lambda batch: infer(batch)[0]


def openvino_judging(file: Path, threads: int, numbers: Numbers = "f32") -> Judging:
    """The same network with embeddings; the logits are the same, bit for bit."""
    infer = _openvino(file, threads, numbers, embedding=True)

    def judging(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, embeddings = infer(batch)
        return logits, embeddings

    return judging


def _openvino(file: Path, threads: int, numbers: Numbers, *, embedding: bool) -> _Infer:
    import openvino

    with _first_touch:
        _ = openvino.Tensor(np.zeros(1, np.uint8)).data
    core = openvino.Core()
    model = core.read_model(file)
    # Keras also exports each inner swish activation as an output. Copying them all would take half of the processor
    # time of EfficientNet-B0 and -V2.
    for inner in model.outputs[1:]:
        model.remove_result(inner.get_node())
    if embedding:
        model.add_outputs([last_dense_input(model, file)])
    ready = openvino.preprocess.PrePostProcessor(model)
    ready.input().tensor().set_element_type(openvino.Type.u8)
    model = ready.build()
    # Image by image, each on one core: faster than batches on all cores (EfficientNet-Lite0 on two cores: 207 images/s
    # against 163), in half the memory, and no answer depends on its neighbours or on the number of cores.
    shape = model.input().partial_shape
    shape[0] = 1
    model.reshape(shape)
    floats = "f32" if numbers == "int8" else numbers  # what is not quantized is not faster in bfloat16
    settings = {"INFERENCE_PRECISION_HINT": floats, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", settings), threads)
    widths = [output.get_partial_shape()[1].get_length() for output in model.outputs]

    def keep(request: Any, place: tuple[list[NDArray[np.float32]], int]) -> None:
        outputs, row = place
        for number, output in enumerate(outputs):
            output[row] = request.get_output_tensor(number).data[0]

    queue.set_callback(keep)
    asking = threading.Lock()  # all callers share one queue

    def infer(batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        outputs = [np.empty((len(batch), width), np.float32) for width in widths]
        with asking:
            for row in range(len(batch)):
                queue.start_async({0: batch[row : row + 1]}, (outputs, row))
            queue.wait_all()
        return outputs

    return infer


PASSED = ("Add", "Convert", "FakeQuantize", "Multiply", "Subtract")  # nodes that may surround a dense layer's product


def last_dense_input(model: Any, file: Path) -> Any:
    """The node output that an OpenVINO model's last dense layer multiplies with its weights: (n, d).

    The search skips a bias after the product, and conversions of number formats on either side of it. Raises
    ContractError, naming `file`, when the logits do not come from one dense layer.
    """
    node = model.outputs[0].get_node().input_value(0).get_node()
    while node.get_type_name() in PASSED and len(before := _computed(node)) == 1:
        node = before[0].get_node()
    inputs = _computed(node) if node.get_type_name() == "MatMul" else []
    if len(inputs) != 1 or inputs[0].get_partial_shape().rank.get_length() != 2:
        raise ContractError(
            f"{file} gives no embeddings: its outputs come from {node.get_type_name()} and not from one dense layer "
            "over a vector for each image. The network must end in a dense layer; train the model again."
        )
    (source,) = inputs
    while source.get_node().get_type_name() in ("Convert", "FakeQuantize"):
        source = source.get_node().input_value(0)
    return source


def _computed(node: Any) -> list[Any]:
    """The inputs of a node that depend on the image: all but the constants, converted or not."""
    inputs = [node.input_value(index) for index in range(node.get_input_size())]
    return [source for source in inputs if not _is_constant(source.get_node())]


def _is_constant(node: Any) -> bool:
    while node.get_type_name() in PASSED:  # weights stored in fewer bits
        if _computed(node):
            return False
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Softmax of `logits` / `temperature`, (n, classes); computed in float64, so rows sum to 1 to float32's precision.

    Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    scaled = logits.astype(np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)
