"""Export a Keras model to OpenVINO, which runs at night, and measure how far their answers differ."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.model.contract import KERAS, NETWORK, OPENVINO
from pipeline.model.engine import openvino_network, probabilities
from pipeline.model.keras_engine import compute_in, keras_network
from pipeline.params.model import Compute

if TYPE_CHECKING:
    import keras

COMPARED_IMAGES = 64  # validation images on which the exported network must answer as Keras does


def compute_in_float32(model: "keras.Model") -> None:
    """Make a network that was trained in mixed precision compute in float32; its weights are float32 already.

    OpenVINO cannot read the casts of mixed precision, and the outputs of Keras and OpenVINO would differ.
    """
    compute_in(model, "float32")


def export_openvino(model: "keras.Model", folder: Path) -> None:
    """Write `model`, which takes one batch of images, as OpenVINO files into `folder`.

    The network is the one that `model.export(format="openvino")` writes, in half the time: Keras traces it twice, and
    OpenVINO searches all variables for each use of one. Here the weights are constants from the start.
    """
    import openvino
    import tensorflow as tf

    trained, others = (
        [tf.convert_to_tensor(weight.value) for weight in weights]
        for weights in (model.trainable_variables, model.non_trainable_variables)
    )

    def answer(images: tf.Tensor) -> tf.Tensor:
        return model.stateless_call(trained, others, images, training=False)[0]

    (image,) = model.inputs
    spec = tf.TensorSpec(image.shape, image.dtype, image.name)
    traced = tf.function(answer, autograph=False).get_concrete_function(spec)
    folder.mkdir(parents=True, exist_ok=True)
    openvino.serialize(openvino.convert_model(traced), folder / NETWORK)


def largest_difference(folder: Path, batch: NDArray[np.uint8], temperature: float) -> float:
    """The largest difference in any class probability between Keras and OpenVINO over `batch` (n, height, width, 3).

    folder: the model's, with or without its contract.
    """
    cpu = Compute(device="cpu", precision="float32", workers=0)
    networks = (keras_network(folder / KERAS, cpu), openvino_network(folder / OPENVINO / NETWORK, cpu.threads))
    ours, theirs = (probabilities(network(batch), temperature) for network in networks)
    return float(np.abs(ours - theirs).max())
