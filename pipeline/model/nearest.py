"""The images that a model sees as most alike, by cosine distance of their embeddings. Knows no model and no file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLIER = "outlier"  # the flag of an image whose score is above the model's threshold
SMALLEST = 1e-12  # length of an embedding; below it has no direction, and is at distance 1 from everything


def unit(embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Embeddings (n, d) as float32 of length 1."""
    rows = np.asarray(embeddings, np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SMALLEST), np.float32)


class Nearest:
    """Finds, of known embeddings, the nearest of others; made once, asked often.

    OpenVINO does the sums: it shares its threads with the network that is asked in turns with it, where NumPy's would
    wait in loops and take the processors from the decoders (5,000 known ones: 5.5 ms of processor time for 32 images
    against 26). For batches of one size, what is found for an image does not depend on its neighbours in the batch.
    """

    def __init__(self, known: NDArray[Any], count: int) -> None:
        """known: (n, d); count: how many to find, fewer where fewer are known."""
        import openvino
        from openvino import opset13 as ops

        asked = ops.parameter([-1, known.shape[1]], np.float32)
        alike = ops.matmul(asked, unit(known), False, True)
        best = ops.topk(alike, np.int64(min(count, len(known))), 1, "max", "value")
        model = openvino.Model([best.output(0), best.output(1)], [asked])
        self._compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def __call__(self, embeddings: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows of the known ones, (m, count), the nearest first, and their cosine distances, 0 to 2."""
        found = self._compiled(unit(embeddings))
        return np.array(found[1], np.int64), np.maximum(1 - np.array(found[0], np.float32), 0)


def outlier_scores(nearest: Nearest, embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Mean cosine distance to the nearest known ones, (m,), 0 to 2: small for images of a known kind.

    After Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022, who take the distance to the
    k-th instead of the mean of k.
    """
    _, distances = nearest(embeddings)
    return np.asarray(distances.mean(axis=1), np.float32)
