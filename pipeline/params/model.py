"""The parameters on models: the machine, network, augmentation, training, search, evaluation. Reads nothing."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from pipeline.core.processors import usable
from pipeline.params.data import Section


class Compute(Section):
    """Device, numeric precision, machines that train together, and reading threads."""

    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16", "int8"]
    workers: int = Field(ge=0, le=1024)
    distribution: Literal["auto", "none", "mirrored", "multi_worker"] = "auto"

    @model_validator(mode="after")
    def _int8_is_for_cpus(self) -> Self:
        if self.precision == "int8" and self.device == "gpu":
            raise ValueError("precision int8 is for CPUs: set precision to auto, or device to auto or cpu")
        return self

    @property
    def threads(self) -> int:
        """Threads that read and decode, and images in one batch on the CPU.

        The decoders release the GIL, so one thread per core that this process may use keeps every core busy.
        """
        return self.workers or usable()

    @property
    def where_it_holds(self) -> "Compute":
        """The same for a model that may have no int8 network."""
        return self.model_copy(update={"precision": "auto"}) if self.precision == "int8" else self

    @property
    def alone(self) -> "Compute":
        """The same for one process on one device: prediction does not use several machines."""
        return self.model_copy(update={"distribution": "none"})


Backbone = Literal[
    "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "cnn", "cnn_residual", "mobilenet_v2",
    "mobilenet_v3_large", "efficientnet_b0", "efficientnet_v2_b0", "resnet50", "vgg16", "inception_v3", "convnext_tiny",
    "keras_hub", "keras_file",
]  # fmt: skip
PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")  # weights come with Nightshift
WORDS = ("package", "imagenet", "none")  # keywords of model.weights; anything else is a path or a preset
DEFAULT_WEIGHTS = {**dict.fromkeys(PACKAGED, "package"), "keras_hub": "", "keras_file": ""}  # others: imagenet
WEIGHTS_FILES = (".h5", ".keras")  # .weights.h5 among them


class Model(Section):
    """Which network, and where its weights come from."""

    backbone: Backbone
    weights: str

    @field_validator("weights")
    @classmethod
    def _fit_the_backbone(cls, weights: str, others: ValidationInfo) -> str:
        backbone = others.data.get("backbone")  # None: the backbone itself is not valid, which is reported already
        match backbone:
            case "cnn" | "cnn_residual":
                fits, allowed = weights == "none", "none, as it is trained from scratch"
            case "keras_hub":
                fits = weights not in (*WORDS, "")
                allowed = "a KerasHub preset's name, hf://owner/name, or a preset's folder"
            case "keras_file":
                fits, allowed = weights.endswith(".keras"), "the path of a .keras file"
            case _:
                words = ("package", "none") if backbone in PACKAGED else ("imagenet", "none")
                fits = weights in words or weights.endswith(WEIGHTS_FILES)
                allowed = f"{', '.join(words)}, or the path of its weights, a .weights.h5, .h5 or .keras file"
        if backbone is not None and not fits:
            raise ValueError(f"{weights!r} does not fit model.backbone {backbone}; allowed is {allowed}")
        return weights


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


class Embed(Section):
    """Features of the frozen backbone."""

    views: int = Field(ge=0, le=100)


Monitor = Literal["val_loss", "val_accuracy", "val_balanced_accuracy"]


MOST_STEPS = 10_000_000


class Descent(Section):
    """Gradient descent; 0 turns off what has a default."""

    batch_size: int = Field(ge=1, le=65_536)
    learning_rate: float = Field(gt=0, le=10)
    weight_decay: float = Field(ge=0, le=1)
    dropout: float = Field(ge=0, lt=1)
    patience: int = Field(ge=1)  # judgements on the validation images
    warm_up: float = Field(default=0, ge=0, lt=1)  # share of the steps
    clip_norm: float = Field(default=0, ge=0)  # of all gradients together
    ema: float = Field(default=0, ge=0, lt=1)  # momentum of the averaged weights


class Fit(Descent):
    """Gradient descent that is judged after each epoch."""

    epochs: int = Field(ge=0, le=10_000)


HeadMethod = Literal["linear", "ridge", "nearest_mean"]


class Head(Fit):
    """Fitting the last layer on frozen features."""

    method: Literal["auto", "linear", "ridge", "nearest_mean"] = "auto"
    epochs: int = Field(ge=1, le=10_000)  # of `linear`, as all that follows


class FineTune(Descent):
    """Fine-tuning the whole of a pretrained network."""

    steps: Literal["auto"] | int  # 0: off
    layer_decay: float = Field(gt=0, le=1)  # the first layer's learning rate as a share of the last one's
    frozen: float = Field(ge=0, lt=1)  # share of the backbone's weighted layers, from the first, that are not trained
    freeze_batch_norm: bool

    @field_validator("steps", mode="before")
    @classmethod
    def _a_number_of_steps(cls, value: object) -> object:
        is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_STEPS
        if value != "auto" and not is_number:
            raise ValueError(
                f"{value!r} is not a valid number of steps; it must be auto, or a whole number from 0 (off) to "
                f"{MOST_STEPS}"
            )
        return value


class Train(Section):
    """Fitting, the confidence below which a model says "unsure", and the score above which an image is an outlier."""

    class_weights: Literal["balanced", "none"]
    soft_labels: dict[str, str]  # class -> column of the side table
    loss: Literal["cross_entropy", "focal"]
    focal_gamma: float = Field(ge=0, le=10)
    label_smoothing: float = Field(ge=0, lt=1)
    monitor: Monitor
    head: Head
    fine_tune: FineTune
    scratch: Fit
    budget_minutes: float | None = Field(default=None, gt=0)  # of fitting
    ensemble: int = Field(default=1, ge=1, le=100)  # networks whose mean answers
    test_time_flips: bool = False  # the mean over an image and its mirror image answers
    max_gap: float = Field(gt=0, le=1)  # of accuracy
    target_precision: float = Field(ge=0, le=1)
    target_confidence: float | None = Field(default=0.9, ge=0.5, lt=1)  # None: the target as measured, without doubt
    max_bfloat16_loss: float = Field(ge=0, le=1)
    max_int8_loss: float | None = Field(default=None, ge=0, le=1)  # None: int8 is not tried
    set_error: float = Field(default=0.1, gt=0, lt=1)  # of each class
    outlier_alarms: float = Field(gt=0, le=0.5)  # share of the images like the training's


class Range(Section):
    """The values that a search may give one parameter: an interval, or a list."""

    low: float | None = None
    high: float | None = None
    log: bool = False  # each order of magnitude as likely as the next
    choices: list[bool | int | float | str] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either {low, high} or {choices}, not both")
            if len(set(self.choices)) < max(2, len(self.choices)):
                raise ValueError("choices must be two or more different values")
        elif self.low is None or self.high is None:
            raise ValueError(
                "write the range as {low: ..., high: ...}, {low: ..., high: ..., log: true} or {choices: [...]}"
            )
        elif not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        elif self.log and self.low <= 0:
            raise ValueError(f"with log, low must be above 0, and is {self.low:g}")
        return self

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high. Raises ValueError for a list."""
        if self.low is None or self.high is None:
            raise ValueError("a list of choices has no low and high")
        return self.low, self.high


class Start(Section):
    """A pretrained network that automatic training tries, and the size of its images."""

    backbone: Backbone
    weights: str | None = None  # None: those that come with Nightshift, or the ImageNet weights that Keras publishes
    size: int | None = Field(default=None, ge=8, le=4096)  # pixels, width and height; None: those that it learnt from

    @property
    def model(self) -> Model:
        """The network as in `model`. Raises pydantic's ValidationError when the weights do not fit it."""
        return Model(backbone=self.backbone, weights=self.weights or DEFAULT_WEIGHTS.get(self.backbone, "imagenet"))

    @model_validator(mode="after")
    def _is_pretrained(self) -> Self:
        if self.backbone.startswith("cnn") or self.weights == "none":
            raise ValueError(f"{self.backbone} without weights is trained from scratch; automatic training compares "
                             "pretrained networks only")  # fmt: skip
        try:
            _ = self.model
        except ValidationError as error:
            raise ValueError(str(error.errors()[0]["ctx"]["error"])) from None
        return self


class Tune(Section):
    """The search for better parameters."""

    trials: int = Field(ge=1, le=100_000)
    timeout: float = Field(ge=0)  # minutes; 0: none
    metric: Monitor
    fine_tune: bool
    minutes: float = Field(default=60, gt=0)  # of automatic training
    backbones: list[Start] | None = None  # None: all whose weights are here
    ranges: dict[str, Range]  # by the dotted names of parameters

    @field_validator("backbones", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"backbone": one} if isinstance(one, str) else one for one in value]


class Intervals(Section):
    """How far the headline metrics can be trusted."""

    interval_level: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100, le=1_000_000)


class Evaluate(Intervals):
    """What the evaluation measures besides the headline metrics, and what the model card says about use."""

    slices: list[str] | None  # columns; None: all suitable ones
    smallest_slice: int = Field(ge=2)  # images
    robustness: bool
    explained: int = Field(ge=0, le=50)  # images of each class
    intended_use: str
