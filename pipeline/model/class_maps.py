"""Where in an image the evidence for a class lies, from the exported network, without TensorFlow. Draws nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model.contract import ContractError
from pipeline.model.engine import last_dense_input

ClassMap = Callable[[NDArray[np.uint8], int], NDArray[np.float32]]  # an image and a class -> (rows, columns)
PLACES = {(1, 2): (0, 1, 2), (2, 3): (1, 2, 0)}  # axes of a batch's places -> those of (rows, columns, channels)


def class_map(file: Path) -> ClassMap | None:
    """A function that gives the class activation map of an image (height, width, 3) on the last feature map.

    For networks whose last dense layer sees the mean of that map and nothing else; None for all others. For them Zhou
    et al., Learning Deep Features for Discriminative Localization, 2016, is Grad-CAM up to a factor: the gradient of
    a class's logit is the same at each place, its weight for that channel (Selvaraju et al., 2017, section 3.1).
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    try:
        pooled = last_dense_input(model, file)
    except ContractError:
        return None
    mean, weights = pooled.get_node(), _weights(pooled)
    if mean.get_type_name() != "ReduceMean" or weights is None:
        return None
    features, axes = mean.input_value(0), mean.input_value(1).get_node()
    shape = features.get_partial_shape()
    if axes.get_type_name() != "Constant" or shape.rank.get_length() != 4:
        return None
    places = tuple(sorted(int(axis) % 4 for axis in axes.get_data()))
    if places not in PLACES or any(shape[axis] == 1 for axis in places):
        return None
    model.add_outputs([features])
    # The whole precision, as the maps of Keras have; a few images take no time.
    ready = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def found(image: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
        *_, activation = ready(image[np.newaxis].astype(np.float32)).values()
        evidence = activation[0].transpose(PLACES[places]) @ weights[number]
        return np.asarray(np.maximum(evidence, 0), np.float32)

    return found


def _weights(pooled: Any) -> NDArray[np.float32] | None:
    """The weights (classes, channels) of the dense layer that alone uses `pooled`; None where it is not that simple."""
    product, *others = [use.get_node() for use in pooled.get_target_inputs()]
    if others or product.get_type_name() != "MatMul":
        return None
    constant, options = product.input_value(1).get_node(), product.get_attributes()
    if constant.get_type_name() != "Constant" or options["transpose_a"]:
        return None
    weights = np.array(constant.get_data(), np.float32)
    return weights if options["transpose_b"] else weights.T
