"""Answers of a classifier, and small projects with a real model whose answers are known beforehand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.core.paths import PREPARED
from pipeline.data.prepared import SPLITS, Dataset, write_dataset, write_split
from pipeline.model.answers import Answers, Judged
from pipeline.model.contract import KERAS, OPENVINO, Contract, weights_sha256, write_contract
from pipeline.params.data import Images
from pipeline.params.model import Evaluate

COLOURS = ("red", "green", "blue")
SIDE = 16  # pixels of the colours' images
PARAMS = Evaluate(
    interval_level=0.95, resamples=200, slices=None, smallest_slice=20, robustness=True, explained=2,
    intended_use="Toys.",
)  # fmt: skip


def judge(
    labels: ArrayLike, probabilities: ArrayLike, unsure_below: float = 0.5, groups: ArrayLike | None = None
) -> Judged:
    """Answers whose classes have the names a, b, c, ...; without groups each image is alone."""
    answers = Answers(np.asarray(labels, np.int64), np.asarray(probabilities, np.float32))
    names = tuple("abcdefghij"[: answers.probabilities.shape[1]])
    alone = np.arange(len(answers.labels)) if groups is None else np.asarray(groups, np.int64)
    return Judged(answers, answers, names, unsure_below, alone)


def right_or_wrong(correct: NDArray[np.bool_], groups: ArrayLike | None = None) -> Judged:
    """Two classes in turn, answered rightly or wrongly as given, with confidence 0.9."""
    labels = np.arange(len(correct)) % 2
    answer = np.where(correct, labels, 1 - labels)
    return judge(labels, np.where(answer[:, None] == [0, 1], 0.9, 0.1), groups=groups)


def coloured(colour: int, seed: int, strength: int = 200) -> NDArray[np.uint8]:
    """A dark noisy image (SIDE, SIDE, 3) with a bright square of one of COLOURS at the upper left."""
    pixels = np.random.default_rng(seed).integers(0, 40, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[2:8, 2:8, colour] = strength
    return pixels


def tables(labels: Sequence[str]) -> pd.DataFrame:
    """What `preprocess` writes of so many images, as far as an evaluation looks."""
    count = len(labels)
    return pd.DataFrame(
        {
            "path": [f"{label}/{number:03d}.png" for number, label in enumerate(labels)],
            "label": labels,
            "sha256": [f"{number:064x}" for number in range(count)],
            "format": "PNG", "mode": "RGB", "bits": 8, "orientation": 1,
            "width": 40 + np.arange(count) % 3, "height": 30, "aspect": 4 / 3,
            "brightness": np.linspace(10, 60, count), "contrast": 20.0, "sharpness": 100.0, "entropy": 4.0,
            "cluster": [f"{number}" for number in range(count)],
        }
    )  # fmt: skip


def write_colour_model(folder: Path, unsure_below: float) -> None:
    """A network that names the colour there is most of; its evidence lies where that colour is."""
    import keras
    from keras import layers

    from pipeline.model.export import export_openvino

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(3, 1, use_bias=False, name="channels")(layers.Rescaling(1 / 255)(inputs))
    outputs = layers.Dense(3, use_bias=False)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.eye(3, dtype=np.float32)[None, None], 20 * np.eye(3, dtype=np.float32)])
    folder.mkdir(parents=True)
    model.save(folder / KERAS)
    export_openvino(model, folder / OPENVINO)
    contract = Contract(
        class_names=COLOURS, images=Images(width=SIDE, height=SIDE, fit="stretch", max_megapixels=1), backbone="cnn",
        temperature=1.0, unsure_below=unsure_below, dataset_sha256="d" * 64, weights_sha256=weights_sha256(folder),
        code_commit="",
    )  # fmt: skip
    write_contract(folder, contract)


def write_images(labels: Sequence[int], shown: Sequence[int]) -> None:
    """data/prepared of the working folder; its test images are labelled `labels` and show the colours `shown`."""
    PREPARED.mkdir(parents=True)
    rules = Images(width=SIDE, height=SIDE, fit="stretch", max_megapixels=1)
    write_dataset(PREPARED, Dataset(class_names=COLOURS, images=rules, sha256="d" * 64))
    for name in SPLITS:
        truth, colours = (labels, shown) if name == "test" else ([0, 1, 2], [0, 1, 2])
        table = tables([COLOURS[label] for label in truth])
        write_split(PREPARED, name, table, (coloured(colour, seed) for seed, colour in enumerate(colours)))
