"""Contract and weights -> `predict(uint8 batch) -> probabilities`. Opens no image.

OpenVINO on the CPU, Keras on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import KERAS, NETWORK, OPENVINO, Contract, read_contract
from pipeline.keras_file import load_keras
from pipeline.params_model import Compute

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # images (n, height, width, 3) -> outputs (n, d)
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Engine:
    """A model ready to be asked."""

    contract: Contract
    network: Network

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities for upright RGB images.

        batch: (n, height, width, 3), 0..255, the contract's size. Returns (n, classes), rows sum to 1, columns in
        contract order, row i for image i. Raises ValueError when the size is not the contract's.
        """
        rules = self.contract.images
        if batch.dtype != np.uint8 or batch.shape[1:] != (rules.height, rules.width, 3):
            raise ValueError(
                f"The model takes uint8 images (n, {rules.height}, {rules.width}, 3), got {batch.dtype} {batch.shape}."
            )
        return probabilities(self.network(batch), self.contract.temperature)


def load_engine(folder: Path, compute: Compute) -> Engine:
    """The model in `folder`, on the device that `compute` asks for. Raises ContractError when it is not whole."""
    return Engine(read_contract(folder), load_network(folder, compute))


def load_network(folder: Path, compute: Compute) -> Network:
    """The network in `folder`, which needs no contract yet, on the device that `compute` asks for."""
    on_gpu = compute.device == "gpu" or (compute.device == "auto" and NVIDIA_DRIVER.exists())
    return keras_network(folder / KERAS, compute) if on_gpu else openvino_network(folder / OPENVINO / NETWORK)


def openvino_network(file: Path) -> Network:
    """The exported network on the CPU, in float32; takes 0.1 s to load and no TensorFlow."""
    import openvino

    core = openvino.Core()
    ready = openvino.preprocess.PrePostProcessor(core.read_model(file))
    ready.input().tensor().set_element_type(openvino.Type.u8)
    # Without this hint a CPU that has bfloat16 would use it, and answers would differ from machine to machine.
    compiled = core.compile_model(ready.build(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def infer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A copy: OpenVINO may write the next answer over the array it returns.
        return np.array(compiled(batch)[0], np.float32)

    return infer


def keras_network(file: Path, compute: Compute) -> Network:
    """The Keras model on the device that TensorFlow sees."""
    from pipeline.device import prepare_device

    prepare_device(compute.alone, seed=0)  # nothing is drawn when a model is only asked
    model: Any = load_keras(file)

    def infer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(model.predict_on_batch(batch.astype(np.float32)), np.float32)

    return infer


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Softmax of `logits` / `temperature`, (n, classes); computed in float64, so rows sum to 1 to float32's precision.

    Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    scaled = logits.astype(np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)
