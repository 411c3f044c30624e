"""Export a Keras model to OpenVINO, which runs at night, and measure how far their answers differ."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.model.contract import KERAS, NETWORK, OPENVINO, read_contract
from pipeline.model.engine import keras_network, openvino_network, probabilities
from pipeline.params.model import Compute

if TYPE_CHECKING:
    import keras


def compute_in_float32(model: "keras.Model") -> None:
    """Make a network that was trained in mixed precision compute in float32; its weights are float32 already.

    OpenVINO cannot read the casts of mixed precision, and the outputs of Keras and OpenVINO would differ.
    """
    import keras

    for layer in model._flatten_layers():  # nested ones too; Keras has no public way
        layer.dtype_policy = keras.DTypePolicy("float32")


def export_openvino(model: "keras.Model", folder: Path) -> None:
    """Write `model` as OpenVINO files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints the path of the temporary folder
        model.export(str(folder / NETWORK), format="openvino", verbose=False)


def largest_difference(folder: Path, batch: NDArray[np.uint8]) -> float:
    """The largest difference in any class probability between Keras and OpenVINO over `batch` (n, height, width, 3)."""
    contract = read_contract(folder)
    cpu = Compute(device="cpu", precision="float32", workers=0)
    networks = (keras_network(folder / KERAS, cpu), openvino_network(folder / OPENVINO / NETWORK, cpu.threads))
    ours, theirs = (probabilities(network(batch), contract.temperature) for network in networks)
    return float(np.abs(ours - theirs).max())
