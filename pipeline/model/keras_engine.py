"""Ask a Keras model on the device that TensorFlow sees: uint8 goes to the card, and becomes numbers there.

One compiled function for batches of one size. Opens no image.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.backbones.keras_file import load_keras
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.model.device import uses_xla
from pipeline.model.precision import Numbers
from pipeline.params.model import Compute

if TYPE_CHECKING:
    import keras

    from pipeline.model.engine import Judging, Network

BATCH_SIZE = 32  # images in a GPU batch, unless the caller says otherwise
IN_FLIGHT = 2  # batches that a card holds: one that it computes, and one that is copied to it meanwhile
POLICIES = {"f16": "mixed_float16", "bf16": "mixed_bfloat16"}  # how Keras calls a format; weights stay in float32
Infer = Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]  # images -> outputs (n, ...)


def keras_network(
    file: Path, compute: Compute, batch_size: int = BATCH_SIZE, numbers: Numbers = "f32", xla: bool | None = None
) -> "Network":
    """The model in `file`. xla: whether XLA compiles it; None: where `uses_xla` says so."""
    model = _model(file, compute, numbers)
    infer = _in_full_batches(model, [model.output], batch_size, xla)
    return lambda batch: infer(batch)[0]


def keras_judging(
    file: Path, compute: Compute, batch_size: int = BATCH_SIZE, numbers: Numbers = "f32", xla: bool | None = None
) -> "Judging":
    """The same model with embeddings: the inputs of its last layer."""
    model = _model(file, compute, numbers)
    infer = _in_full_batches(model, [model.output, model.layers[-1].input], batch_size, xla)

    def judging(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, embeddings = infer(batch)
        return logits, embeddings

    return judging


def compute_in(model: "keras.Model", policy: str) -> None:
    """Make all layers of a network compute by another dtype policy of Keras; its weights stay as they are."""
    import keras

    for layer in model._flatten_layers():  # nested ones too; Keras has no public way
        layer.dtype_policy = keras.DTypePolicy(policy)


def _model(file: Path, compute: Compute, numbers: Numbers) -> Any:
    from pipeline.model.device import prepare_device

    prepare_device(compute.alone, seed=0)  # prediction draws nothing at random
    model = load_keras(file)
    if numbers in POLICIES:
        compute_in(model, POLICIES[numbers])
        compute_in(model.layers[-1], "float32")  # logits need more digits
    return model


def _in_full_batches(model: "keras.Model", outputs: list[Any], size: int, xla: bool | None) -> Infer:
    """Ask in batches of exactly `size` images: black images fill the last one, and their outputs are dropped.

    A network may round differently for another batch size.
    """
    import keras
    import tensorflow as tf

    asked: Any = keras.Model(model.input, outputs)

    def answer(images: tf.Tensor) -> list[tf.Tensor]:
        found = asked(tf.cast(images, tf.float32), training=False)
        return [tf.cast(output, tf.float32) for output in tf.nest.flatten(found)]

    spec = tf.TensorSpec((size, *asked.inputs[0].shape[1:]), tf.uint8)
    compiled = _compiled(answer, spec, uses_xla() if xla is None else xla)

    def infer(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        parts: list[list[NDArray[np.float32]]] = []
        computing: deque[tuple[int, list[tf.Tensor]]] = deque()  # a card answers at once, and computes meanwhile
        for start in range(0, len(images), size):
            part = images[start : start + size]
            if (missing := size - len(part)) > 0:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
            computing.append((size - missing, compiled(tf.constant(part))))
            if len(computing) == IN_FLIGHT:
                parts.append(_fetched(*computing.popleft()))
        parts += [_fetched(*one) for one in computing]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    return infer


def _compiled(answer: Callable[..., Any], spec: Any, xla: bool) -> Any:
    """A graph of `answer`, compiled by XLA if that is wanted and XLA knows all its operations."""
    import tensorflow as tf

    if xla:
        fused = tf.function(answer, [spec], autograph=False, jit_compile=True)
        try:
            fused(tf.zeros(spec.shape, spec.dtype))
            return fused
        except tf.errors.OpError as error:
            log.warning("XLA does not compile this network; it runs uncompiled: %s", str(error).split("\n")[0][:200])
    return tf.function(answer, [spec], autograph=False)


def _fetched(count: int, outputs: list[Any]) -> list[NDArray[np.float32]]:
    found = [output.numpy()[:count] for output in outputs]
    if not all(np.isfinite(output).all() for output in found):
        raise NightshiftError(
            "The network's outputs are not finite. float16 ends at 65504: set compute.precision to float32."
        )
    return found
