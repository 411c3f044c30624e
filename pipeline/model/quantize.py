"""Make an exported network compute in int8, by post-training quantization with NNCF, the extra `int8`.

Judges nothing: whether its answers hold is for training to find out.
"""

import contextlib
import importlib.util
import io
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.model.contract import NETWORK, OPENVINO

IMAGES = 100  # to calibrate with; 300 change no fewer of the demo's answers


def has_nncf() -> bool:
    """Whether the extra `int8` is installed."""
    return importlib.util.find_spec("nncf") is not None


def quantize(model: Path, folder: Path, images: NDArray[np.uint8]) -> None:
    """Write the network of the model in `model` in int8 into `folder`; the same network and images give the same bytes.

    images: (n, height, width, 3), of training, which show how large activations become; some are enough.
    """
    import nncf
    import openvino
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    logging.getLogger("nncf").setLevel(logging.ERROR)  # else it names every node that stays as it is
    network = openvino.Core().read_model(model / OPENVINO / NETWORK)
    for inner in network.outputs[1:]:  # as in the engine: they answer nothing
        network.remove_result(inner.get_node())
    rows = np.unique(np.linspace(0, len(images) - 1, IMAGES).astype(np.int64))  # all classes, as they lie in order
    seen = nncf.Dataset(rows.tolist(), lambda row: np.asarray(images[row : row + 1], np.float32))
    first = [node.get_friendly_name() for node in network.get_ordered_ops() if node.get_type_name() == "Convolution"][
        :1
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        quantized = nncf.quantize(
            network,
            seen,
            subset_size=len(rows),
            # Against int8 everywhere and the faster correction, with EfficientNet-Lite0 on the demo: embeddings at a
            # mean cosine distance of 0.005 from float32's instead of 0.018 (bfloat16: 0.003), in the same time.
            fast_bias_correction=False,
            ignored_scope=nncf.IgnoredScope(names=first),
            # The fix costs a bit of the weights, for processors without VNNI; those compute in another format.
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.DISABLE),
        )
    for number, node in enumerate(quantized.get_ordered_ops()):  # by themselves they count all that the process made
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
    (folder / OPENVINO).mkdir(parents=True)
    openvino.serialize(quantized, folder / OPENVINO / NETWORK)
