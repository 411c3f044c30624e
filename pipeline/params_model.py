"""The parameters on models, from the machine they are made on to the night. Reads nothing."""

import os
from typing import Literal

from pydantic import Field

from pipeline.params_data import Section


class Compute(Section):
    """Device, numeric precision and reading threads."""

    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
    workers: int = Field(ge=0, le=1024)

    @property
    def reading_threads(self) -> int:
        """Threads that read and decode; the decoders release Python's lock, so one a core keeps every core busy."""
        return self.workers or os.cpu_count() or 1


class Model(Section):
    """Which network, and where its weights come from."""

    backbone: Literal["efficientnet_lite0", "cnn"]
    weights: Literal["package", "none"]

    @property
    def is_pretrained(self) -> bool:
        """Whether the backbone knows something already; if not, the whole network is trained from scratch."""
        return self.backbone != "cnn" and self.weights != "none"


class Augment(Section):
    """Random changes to training images."""

    horizontal_flip: bool
    vertical_flip: bool
    rotation: float = Field(ge=0, le=0.5)  # share of a full turn
    zoom: float = Field(ge=0, lt=1)
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, le=1)


class Fit(Section):
    """One run of gradient descent."""

    epochs: int = Field(ge=0, le=10_000)
    batch_size: int = Field(ge=1, le=65_536)
    learning_rate: float = Field(gt=0, le=10)
    weight_decay: float = Field(ge=0, le=1)
    patience: int = Field(ge=1)  # epochs


class Head(Fit):
    """Fitting the linear head on frozen features."""

    epochs: int = Field(ge=1, le=10_000)
    dropout: float = Field(ge=0, lt=1)


class Train(Section):
    """Fitting, and the confidence below which a model says "unsure"."""

    class_weights: Literal["balanced", "none"]
    head: Head
    fine_tune: Fit
    scratch: Fit
    target_precision: float = Field(ge=0, le=1)


class Evaluate(Section):
    """Intervals of the headline metrics."""

    interval_level: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100, le=1_000_000)


class Gate(Section):
    """What a model must reach to be used: by itself, and beside the champion on the same test images."""

    min_accuracy: float = Field(ge=0, le=1)
    min_balanced_accuracy: float = Field(ge=0, le=1)
    max_log_loss: float = Field(gt=0)
    max_expected_calibration_error: float = Field(ge=0, le=1)
    max_export_difference: float = Field(gt=0, le=1)
    max_loss: float = Field(ge=0, le=1)  # of balanced accuracy
    max_class_loss: float = Field(ge=0, le=1)  # of one class's recall
    max_calibration_loss: float = Field(ge=0, le=1)  # of expected calibration error
    max_slowdown: float = Field(ge=1)  # times
    min_compared_images: int = Field(ge=2)


class Register(Section):
    """The model's name in MLflow, and who promotes."""

    model_name: str = Field(min_length=1, pattern=r"^[^/:]+$")
    promote: Literal["manual", "auto"]
    gate: Gate


class Batch(Section):
    """The nightly run."""

    shard_size: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=4096)
