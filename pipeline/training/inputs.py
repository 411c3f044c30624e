"""The inputs of a training: splits, features, targets; and its key, a hash of everything that the result depends on."""

import json
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.backbones.weights import is_pretrained
from pipeline.core.code import code_of, versions_of
from pipeline.core.paths import FEATURES, PREPARED
from pipeline.data.features import Features, TrainingRows, read_features, read_training_rows
from pipeline.data.prepared import Dataset, Split, SplitFrames, read_dataset, read_frames, read_split
from pipeline.params.file import Params
from pipeline.params.model import Train
from pipeline.storage.files import sha256, sha256_of_file
from pipeline.training.targets import soft_targets

# The parts of params.yaml that no training depends on.
LATER = {"evaluate", "register_", "batch", "tune", "privacy", "notify", "collect"}
THREADS = "workers"  # of params.compute: it changes no result


@dataclass(frozen=True, slots=True)
class Data:
    """Training and validation images of one dataset, and their features from the frozen backbone."""

    dataset: Dataset
    train: Split
    val: Split
    train_features: Features | TrainingRows | None = None  # None: trained from scratch
    val_features: Features | None = None
    val_frames: SplitFrames | None = None  # of the validation files of several; no network is fitted to them


def read_data(params: Params) -> Data:
    """The prepared splits, and their features if the backbone is pretrained; the arrays stay on disk."""
    data = Data(
        read_dataset(PREPARED), read_split(PREPARED, "train"), read_split(PREPARED, "val"),
        val_frames=read_frames(PREPARED, "val"),
    )  # fmt: skip
    if not is_pretrained(params.model):
        return data
    return replace(data, train_features=read_training_rows(FEATURES), val_features=read_features(FEATURES, "val"))


def targets_of(data: Data, how: Train) -> NDArray[np.float32]:
    """The target probabilities of the training images, (n, classes)."""
    return soft_targets(data.train, data.dataset.class_names, how.soft_labels)


def training_key(params: Params, data: Data) -> str:
    """A hash of everything that the fitted network depends on: parameters, images, features, code, versions."""
    files = FEATURES.glob("*.npy")
    values = {
        "params": params.model_dump(mode="json", exclude={*LATER, "compute"}),
        "compute": params.compute.model_dump(exclude={THREADS}),
        "dataset": data.dataset.sha256,
        "splits": [
            sha256("\n".join(split.table["path"]).encode() + split.labels.tobytes()) for split in (data.train, data.val)
        ],
        "targets": sha256(targets_of(data, params.train).tobytes()),
        "files": {file.name: sha256_of_file(file) for file in sorted(files)},
        "code": code_of("pipeline.train"),
        "versions": versions_of("keras", "keras-hub", "numpy", "openvino", "tensorflow"),
    }
    return sha256(json.dumps(values, sort_keys=True).encode())[:16]
