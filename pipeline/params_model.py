"""The parameters on models, from the machine they are made on to the night. Reads nothing."""

import os
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.params_data import Section


class Compute(Section):
    """Device, numeric precision, machines that train together, and reading threads."""

    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
    workers: int = Field(ge=0, le=1024)
    distribution: Literal["auto", "none", "mirrored", "multi_worker"] = "auto"

    @property
    def reading_threads(self) -> int:
        """Threads that read and decode; the decoders release Python's lock, so one a core keeps every core busy."""
        return self.workers or os.cpu_count() or 1

    @property
    def alone(self) -> "Compute":
        """The same for one process on one device: to ask a network is no work for several machines."""
        return self.model_copy(update={"distribution": "none"})


Backbone = Literal[
    "efficientnet_lite0", "cnn", "cnn_residual", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0",
    "efficientnet_v2_b0", "resnet50", "vgg16", "inception_v3", "convnext_tiny", "keras_hub", "keras_file",
]  # fmt: skip
FROM_SCRATCH = ("cnn", "cnn_residual")
WORDS = ("package", "imagenet", "none")  # what model.weights can say; all else is a path or a preset
WEIGHTS_FILES = (".h5", ".keras")  # .weights.h5 among them


class Model(Section):
    """Which network, and where its weights come from."""

    backbone: Backbone
    weights: str

    @field_validator("weights")
    @classmethod
    def _fit_the_backbone(cls, weights: str, others: ValidationInfo) -> str:
        backbone = others.data.get("backbone")  # None: an error of its own
        match backbone:
            case "cnn" | "cnn_residual":
                fits, allowed = weights == "none", "none: it is trained from scratch"
            case "keras_hub":
                fits = weights not in (*WORDS, "")
                allowed = "a KerasHub preset's name, hf://owner/name, or a preset's folder"
            case "keras_file":
                fits, allowed = weights.endswith(".keras"), "the path of a .keras file"
            case _:
                words = ("package", "none") if backbone == "efficientnet_lite0" else ("imagenet", "none")
                fits = weights in words or weights.endswith(WEIGHTS_FILES)
                allowed = f"{', '.join(words)}, or the path of its weights, a .weights.h5, .h5 or .keras file"
        if backbone is not None and not fits:
            raise ValueError(f"{weights!r} does not fit model.backbone {backbone}; allowed is {allowed}")
        return weights

    @property
    def is_pretrained(self) -> bool:
        """Whether the backbone knows something already; if not, the whole network is trained from scratch."""
        return self.backbone not in FROM_SCRATCH and self.weights != "none"


class Augment(Section):
    """Random changes to training images; 0 and false are off."""

    horizontal_flip: bool
    vertical_flip: bool
    rotation: float = Field(ge=0, le=0.5)  # share of a full turn
    zoom: float = Field(ge=0, lt=1)
    translation: float = Field(ge=0, le=1)  # share of height and width
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, le=1)
    saturation: float = Field(ge=0, le=1)
    hue: float = Field(ge=0, le=0.5)  # share of the colour circle
    rand_augment: float = Field(ge=0, le=1)  # magnitude
    random_erasing: float = Field(ge=0, le=1)  # probability
    mix_up: float = Field(ge=0, le=1)  # alpha
    cut_mix: float = Field(ge=0, le=1)  # alpha

    @property
    def changes_images(self) -> bool:
        """Whether an image can look different afterwards, mixing aside."""
        return any(value for name, value in self if name not in ("mix_up", "cut_mix"))


class Embed(Section):
    """Features of the frozen backbone."""

    views: int = Field(ge=0, le=100)


class Fit(Section):
    """One run of gradient descent; 0 turns off what has a default."""

    epochs: int = Field(ge=0, le=10_000)
    batch_size: int = Field(ge=1, le=65_536)
    learning_rate: float = Field(gt=0, le=10)
    weight_decay: float = Field(ge=0, le=1)
    dropout: float = Field(ge=0, lt=1)
    patience: int = Field(ge=1)  # epochs
    warm_up: float = Field(default=0, ge=0, lt=1)  # share of the steps
    clip_norm: float = Field(default=0, ge=0)  # of all gradients together
    ema: float = Field(default=0, ge=0, lt=1)  # momentum of the averaged weights


class Head(Fit):
    """Fitting the linear head on frozen features."""

    epochs: int = Field(ge=1, le=10_000)


class FineTune(Fit):
    """Fitting the whole of a network that knows something already."""

    layer_decay: float = Field(gt=0, le=1)  # the first layer's learning rate as a share of the last one's
    freeze_batch_norm: bool


Monitor = Literal["val_loss", "val_accuracy", "val_balanced_accuracy"]


class Train(Section):
    """Fitting, and the confidence below which a model says "unsure"."""

    class_weights: Literal["balanced", "none"]
    loss: Literal["cross_entropy", "focal"]
    focal_gamma: float = Field(ge=0, le=10)
    label_smoothing: float = Field(ge=0, lt=1)
    monitor: Monitor
    head: Head
    fine_tune: FineTune
    scratch: Fit
    max_gap: float = Field(gt=0, le=1)  # of accuracy
    target_precision: float = Field(ge=0, le=1)


class Evaluate(Section):
    """Intervals of the headline metrics."""

    interval_level: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100, le=1_000_000)


class Gate(Section):
    """What a model must reach to be registered."""

    min_accuracy: float = Field(ge=0, le=1)
    min_balanced_accuracy: float = Field(ge=0, le=1)
    max_log_loss: float = Field(gt=0)
    max_export_difference: float = Field(gt=0, le=1)


class Register(Section):
    """The model's name in MLflow, and who promotes."""

    model_name: str = Field(min_length=1, pattern=r"^[^/:]+$")
    promote: Literal["manual", "auto"]
    gate: Gate


class Batch(Section):
    """The nightly run."""

    shard_size: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=4096)
