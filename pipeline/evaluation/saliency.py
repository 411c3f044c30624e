"""Evidence maps: for each image, how much each place supports the class of the answer. Draws nothing.

Grad-CAM (Selvaraju et al., 2017), from the network's last feature map: on the exported network where its logits are
linear in the mean of that map, else on the Keras model, with TensorFlow. Networks of tokens have no such map: for them,
occlusion (Zeiler and Fergus, 2014): how far the probability falls when a part is covered.
"""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.backbones.keras_file import load_keras
from pipeline.core.terminal import progress_bar
from pipeline.model.answers import Judged
from pipeline.model.class_maps import class_map
from pipeline.model.contract import KERAS, NETWORK, OPENVINO
from pipeline.model.engine import Engine
from pipeline.model.mean_network import members

MOST_IMAGES = 30  # with a map; if there are more classes, only the first ones, in class order, have maps
STEPS = 14  # places of the covered square along each side
COVER = 5  # the square is a COVERth of each side


@dataclass(frozen=True, slots=True)
class Evidence:
    """The maps of some images."""

    method: str
    rows: NDArray[np.int64]  # (m,), the numbers of the images
    heat: NDArray[np.float32]  # (m, height, width), 0..1; the largest value of each image is 1


def explain(folder: Path, engine: Engine, judged: Judged, images: NDArray[np.uint8], each: int) -> Evidence:
    """Maps of `each` images per class, for the class that the model answered.

    folder: the model's; images: (n, height, width, 3). For each class one of them is a mistake, if it has any.
    """
    rows = chosen(judged, each)
    shown, classes = images[rows], judged.answers.predicted[rows]
    heat = activation(folder / OPENVINO / NETWORK, shown, classes)
    if heat is None:
        heat = grad_cam(folder / KERAS, shown, classes)
    if heat is not None:
        return Evidence("Grad-CAM", rows, heat)
    return Evidence("occlusion", rows, occlusion(engine, shown, classes))


def chosen(judged: Judged, each: int) -> NDArray[np.int64]:
    """The numbers of the images to map, by class: right answers, surest first, then the surest mistake."""
    found: list[int] = []
    for number in range(len(judged.class_names)):
        of_class = np.flatnonzero(judged.answers.labels == number)
        order = of_class[np.argsort(-judged.answers.confidence[of_class], kind="stable")]
        wrong, right = (order[judged.answers.correct[order] == is_right] for is_right in (False, True))
        mistakes = wrong[:1] if each > 1 or not len(right) else wrong[:0]
        hits = right[np.linspace(0, len(right) - 1, min(each - len(mistakes), len(right)), dtype=int)]
        found += [*hits.tolist(), *mistakes.tolist()]
    return np.array(found[:MOST_IMAGES], np.int64)


def activation(file: Path, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """The maps of `grad_cam` from the exported network; None if its logits are not linear in the mean of a map."""
    if (found := class_map(file)) is None:
        return None
    height, width = images.shape[1:3]
    pairs = zip(progress_bar(images, "evidence", unit="image"), classes.tolist(), strict=True)
    maps = [_as_heat(found(image, number), height, width) for image, number in pairs]
    return np.stack(maps) if maps else np.empty((0, height, width), np.float32)


def grad_cam(file: Path, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Maps (m, height, width), 0..1, for the logit of each image's class; None if the network has no feature map.

    images: (m, height, width, 3); classes: (m,). Each channel of the last feature map has as weight the mean gradient
    of the logit with respect to it (equations 1 and 2 of Selvaraju et al.). The maps of networks whose mean
    answers are added.
    """
    import tensorflow as tf

    model: Any = load_keras(file)
    maps = []
    for image, number in zip(progress_bar(images, "evidence", unit="image"), classes, strict=True):
        inputs = tf.convert_to_tensor(image[None].astype(np.float32))
        with tf.GradientTape() as tape, ExitStack() as recording:
            outputs = [recording.enter_context(_recorded(network)) for network in members(model)]
            tape.watch(inputs)  # so that everything after the image has a gradient, even with frozen weights
            logit = model(inputs, training=False)[0, int(number)]
        features = [last_map(of_network) for of_network in outputs]
        if any(one is None for one in features):
            return None
        gradients = tape.gradient(logit, features)
        if any(one is None for one in gradients):
            return None
        evidence = np.sum([_evidence(*pair) for pair in zip(features, gradients, strict=True)], axis=0)
        maps.append(_as_heat(evidence, image.shape[0], image.shape[1]))
    return np.stack(maps) if maps else np.empty((0, *images.shape[1:3]), np.float32)


def _evidence(features: Any, gradient: Any) -> NDArray[np.float32]:
    """The evidence (height, width) in a feature map (n, height, width, channels), given the gradient of the logit.

    n: 1, or 2 where the network also saw the mirror image, whose evidence is mirrored back and added.
    """
    import tensorflow as tf

    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    found = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy().astype(np.float32)
    return np.asarray(found[0] if len(found) == 1 else found[0] + found[1, :, ::-1], np.float32)


@contextmanager
def _recorded(model: Any) -> Iterator[list[Any]]:
    """The output of each layer, nested models included, in the order of execution; filled while the model runs."""
    outputs: list[Any] = []
    layers = [layer for layer in model._flatten_layers(include_self=False) if not hasattr(layer, "layers")]

    def recording(call: Any) -> Any:
        def record(*args: Any, **kwargs: Any) -> Any:
            outputs.append(given := call(*args, **kwargs))
            return given

        return record

    for layer in layers:
        object.__setattr__(layer, "call", recording(layer.call))
    try:
        yield outputs
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def last_map(outputs: list[Any]) -> Any | None:
    """The last feature map among the layers' outputs: (1, height, width, channels), with more than one place.

    None for a network of tokens, (1, tokens, channels): its only feature map is the input of the first block.
    """
    arrays = [output for output in outputs if len(getattr(output, "shape", ())) in (3, 4)]
    if any(len(array.shape) == 3 for array in arrays):
        return None
    maps = [array for array in arrays if array.shape[1] > 1 and array.shape[2] > 1]
    return maps[-1] if maps else None


def occlusion(engine: Engine, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Maps (m, height, width), 0..1: the mean fall of the class's probability when a grey square covers a place."""
    maps = []
    for image, number in zip(progress_bar(images, "evidence", unit="image"), classes, strict=True):
        height, width = image.shape[:2]
        tall, wide = max(1, height // COVER), max(1, width // COVER)
        tops, lefts = (np.linspace(0, side, STEPS, dtype=int) for side in (height - tall, width - wide))
        places = list(itertools.product(tops, lefts))
        covered = np.repeat(image[None], len(places), axis=0)
        for picture, (top, left) in zip(covered, places, strict=True):
            picture[top : top + tall, left : left + wide] = image.mean(axis=(0, 1))
        batches = np.array_split(covered, STEPS)
        fall = engine.predict(image[None])[0, number] - np.concatenate(
            [engine.predict(batch)[:, number] for batch in batches]
        )
        total, times = np.zeros((height, width)), np.zeros((height, width))
        for (top, left), by in zip(places, fall, strict=True):
            total[top : top + tall, left : left + wide] += by
            times[top : top + tall, left : left + wide] += 1
        maps.append(_as_heat(np.maximum(total / np.maximum(times, 1), 0).astype(np.float32), height, width))
    return np.stack(maps)


def _as_heat(evidence: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Maps at the image's size, scaled so that the largest value is 1; all zeros without any evidence."""
    heat = np.clip(cv2.resize(evidence, (width, height), interpolation=cv2.INTER_CUBIC), 0, None)
    return np.asarray(heat / max(float(heat.max()), 1e-12), np.float32)
