"""The results of a training and of an evaluation, as typed objects and as files in reports/. Measures nothing.

Each metric is its own key in reports/evaluation.json; `headlines` lists the metrics.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import EVALUATION, FEW_NUMBERS, TRAINING_METRICS
from pipeline.core.text import named
from pipeline.model.certificate import Certificate
from pipeline.storage.files import write_json

TOO_FEW = "too few images"  # in place of an interval


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Result = TypeVar("Result", bound=_Result)


class Interval(_Result):
    """A metric's value and the ends of its interval; no ends: too few images for one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends, if there are enough images."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        """The value, and its interval in brackets."""
        between = f"{self.low:.3f}, {self.high:.3f}" if self.ends else TOO_FEW
        return f"{self.value:.3f} [{between}]"


class ClassScores(_Result):
    """One class against the rest; the areas are None without images of the class, or without others."""

    precision: float
    recall: float
    f1: float
    roc_auc: float | None
    average_precision: float | None
    images: int
    precision_low: float | None = None  # the ends of the intervals; None: measured before there were any
    precision_high: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None

    @model_serializer(mode="wrap")
    def _as_measured(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        missing = {f"{share}_{end}" for share in ("precision", "recall") for end in ("low", "high")}
        return {name: value for name, value in handler(self).items() if value is not None or name not in missing}


class ClassSets(_Result):
    """The prediction sets of the test images of one class; without such images both shares are None."""

    images: int
    set_coverage: Interval | None  # share of these images with their label among the candidates
    mean_size: float | None  # candidates an image
    always: bool  # a candidate for every image: too few validation images to exclude it


class SetScores(_Result):
    """The prediction sets of all test images."""

    mean_size: float  # candidates an image
    single_share: float  # share of images with one candidate
    classes: dict[str, ClassSets]


class EventScores(_Result):
    """The answers for test events with several images, beside those for the same images one by one."""

    events: int
    images: int  # in them
    burst_seconds: float
    accuracy: Interval
    balanced_accuracy: Interval
    accuracy_of_images: Interval
    balanced_accuracy_of_images: Interval
    accuracy_when_sure: Interval | None = None  # of events with status ok; None: none, or no certified threshold


class FrameScores(_Result):
    """The answers for test files of several frames by the mean of these (images.frame: all), and frame by frame."""

    files: int
    frames: int  # of them, readable
    accuracy: Interval
    balanced_accuracy: Interval
    accuracy_when_sure: Interval | None = None  # of files with status ok; None: none, or no certified threshold
    accuracy_of_frames: Interval  # a frame is right where it shows its file's label
    balanced_accuracy_of_frames: Interval
    accuracy_of_frames_when_sure: Interval | None = None


class SliceCounts(_Result):
    """How many slices were compared with all other images, and how many are significantly worse."""

    compared: int
    worse: int


class Evaluation(_Result):
    """How good a model is on the test split: reports/evaluation.json."""

    images: int
    metrics: dict[str, Interval | None]  # by name, in the order of the table; None: the test images do not define it
    expected_calibration_error_without_temperature: float
    unsure_share: float
    accuracy_when_sure: Interval | None  # None: it is sure of no image
    classes: dict[str, ClassScores]
    slices: SliceCounts
    corrupted_balanced_accuracy: float | None = None  # mean over all corruptions; None: not measured
    candidates: SetScores | None = None  # None: the model gives none
    events: EventScores | None = None  # None: no event among the test images has several
    frames: FrameScores | None = None  # None: no test file has several, or each has one answer

    def of(self, name: str) -> Interval:
        """A metric that every test split defines, such as accuracy. Raises KeyError for any other."""
        if (found := self.metrics.get(name)) is None:
            raise KeyError(name)
        return found

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        """Write each metric as its own key."""
        if not isinstance(values, dict):
            return values
        if isinstance(sure := values.get("accuracy_when_sure"), float | int):  # as earlier versions wrote it
            values = values | {"accuracy_when_sure": {"value": sure}}
        if "metrics" in values:
            return values
        metrics = {name: value for name, value in values.items() if name not in cls.model_fields}
        return {name: value for name, value in values.items() if name in cls.model_fields} | {"metrics": metrics}

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        spread: dict[str, Any] = {}
        for name, value in handler(self).items():
            spread |= value if name == "metrics" else {name: value}
        if self.accuracy_when_sure and not self.accuracy_when_sure.ends:
            spread["accuracy_when_sure"] = self.accuracy_when_sure.value
        not_measured = {
            name
            for name in ("corrupted_balanced_accuracy", "candidates", "events", "frames")
            if spread.get(name) is None
        }
        return {name: value for name, value in spread.items() if name not in not_measured}


class TrainingResult(_Result):
    """The final metrics of a training, on validation images: reports/training.json."""

    val_accuracy: float
    val_balanced_accuracy: float
    val_log_loss: float
    val_log_loss_uncalibrated: float
    val_calibration_error: float
    val_calibration_error_uncalibrated: float
    val_coverage: float  # share of images whose answer is not "unsure"
    val_precision_covered: float  # of these, share that is right
    val_unsure_share: float
    temperature: float
    unsure_below: float
    gap_accuracy: float  # accuracy on training minus validation images
    gap_loss: float  # loss on validation minus training images
    epochs: int  # judgements on the validation images in all phases: one an epoch, or several in fine-tuning
    certificate: Certificate | None = None  # of `unsure_below`; None: train.target_confidence is null


def write_evaluation(evaluation: Evaluation) -> None:
    """Write reports/evaluation.json."""
    write_json(EVALUATION, evaluation.model_dump())


def few_numbers(evaluation: Evaluation) -> dict[str, float]:
    """So few that `dvc metrics show` fits a terminal."""
    shares = {name: evaluation.of(name).value for name in ("accuracy", "balanced_accuracy")}
    return {**shares, "unsure_share": evaluation.unsure_share, "images": evaluation.images}


def write_few_numbers(evaluation: Evaluation) -> None:
    """Write reports/metrics.json."""
    write_json(FEW_NUMBERS, few_numbers(evaluation))


def read_evaluation() -> Evaluation:
    """Read reports/evaluation.json. Raises NightshiftError when this version cannot."""
    return _read(EVALUATION, Evaluation)


def write_training(result: TrainingResult) -> None:
    """Write reports/training.json."""
    write_json(TRAINING_METRICS, result.model_dump(exclude_none=True))


def read_training() -> TrainingResult:
    """Read reports/training.json. Raises NightshiftError when this version cannot."""
    return _read(TRAINING_METRICS, TrainingResult)


def _read(file: Path, kind: type[Result]) -> Result:
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        cause = "it is missing"
    except ValidationError as error:
        faults = (".".join(map(str, fault["loc"])) + f": {fault['msg']}" for fault in error.errors())
        cause = f"this version of Nightshift expects other content ({named(faults)})"
    raise NightshiftError(f"Could not read {file}: {cause}. Run `nightshift train`, which writes the file again.")
