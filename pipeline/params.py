"""`params.yaml` as typed, frozen objects. Reads that one file and nothing else."""

import difflib
import math
import os
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import NightshiftError
from pipeline.paths import PARAMS


class ParamsError(NightshiftError):
    """params.yaml is missing or has a wrong key, type or value; one line a fault."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Images(_Section):
    """How encoded bytes become the pixels a model sees."""

    width: int = Field(ge=8, le=4096)  # pixels
    height: int = Field(ge=8, le=4096)  # pixels
    fit: Literal["stretch", "pad", "crop"]
    max_megapixels: float = Field(gt=0)
    # What came later has a default that means what earlier contracts did, so they still read.
    window: Literal["file"] | tuple[float, float] = "file"  # DICOM: centre and width, in the unit of the machine
    bands: tuple[int, int, int] | None = None  # TIFF: those shown as red, green and blue, counted from 1
    stretch: tuple[float, float] = (2.0, 98.0)  # percentiles of a band that become 0 and 255
    denoise: Literal["none", "median", "non_local_means"] = "none"
    clahe: float = Field(default=0.0, ge=0, le=100)  # clip limit; 0: off

    @field_validator("window", mode="before")
    @classmethod
    def _a_window(cls, value: Any) -> Any:
        if value == "file":
            return value
        if not _are_numbers(value, 2) or value[1] <= 0:
            raise ValueError(f"{value!r} is no window; it must be file, or [centre, width] with a width above 0")
        return float(value[0]), float(value[1])

    @field_validator("bands", mode="before")
    @classmethod
    def _three_bands(cls, value: Any) -> Any:
        if value is None:
            return value
        if not _are_numbers(value, 3) or not all(isinstance(band, int) and band >= 1 for band in value):
            raise ValueError(
                f"{value!r} are no bands; it must be null, or three numbers of bands, from 1 on: [4, 3, 2]"
            )
        return tuple(value)

    @field_validator("stretch", mode="before")
    @classmethod
    def _two_percentiles(cls, value: Any) -> Any:
        if not _are_numbers(value, 2) or not 0 <= value[0] < value[1] <= 100:
            raise ValueError(f"{value!r} is no stretch; it must be two percentiles, 0 <= low < high <= 100: [2, 98]")
        return float(value[0]), float(value[1])

    @property
    def unused(self) -> set[str]:
        """The later fields that ask for nothing: a contract with these has the same hash as one without them."""
        later = ("window", "bands", "stretch", "denoise", "clahe")
        return {name for name in later if getattr(self, name) == type(self).model_fields[name].default}


def _are_numbers(value: Any, count: int) -> bool:
    """Whether a list from YAML or JSON, or a tuple, has so many finite numbers."""
    return (
        isinstance(value, list | tuple)
        and len(value) == count
        and all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in value)
    )


class Compute(_Section):
    """Device, numeric precision and reading threads."""

    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
    workers: int = Field(ge=0, le=1024)

    @property
    def reading_threads(self) -> int:
        """Threads that read and decode; the decoders release Python's lock, so one a core keeps every core busy."""
        return self.workers or os.cpu_count() or 1


Severity = Literal["error", "warning", "off"]  # error stops the pipeline, warning is reported, off is not looked at


class Check(_Section):
    """One expectation on the data: how much a miss matters."""

    severity: Severity


class Share(Check):
    """A fault of single files, and the share of files that may have it."""

    max_share: float = Field(ge=0, le=1)


class Below(Share):
    """A file is faulty when a measure of it lies below this."""

    below: float = Field(ge=0)


class Above(Share):
    """A file is faulty when a measure of it lies above this."""

    above: float = Field(ge=0)


class AtLeast(Check):
    """The smallest value allowed."""

    at_least: float = Field(ge=0)


class AtMost(Check):
    """The largest value allowed."""

    at_most: float = Field(ge=0)


class ClassSize(AtLeast):
    """The smallest number of images of a class."""

    at_least: int = Field(ge=3)  # one for each split


class Checks(_Section):
    """The expectations, by the name of the fault that each looks for."""

    unreadable: Share
    small: Below  # pixels, of the shorter side
    odd_size: Above  # times larger or smaller than the median width or height
    wrong_extension: Share
    unknown_label: Share
    blank: Below  # contrast, 0..127.5
    dark: Below  # brightness, 0..255
    blurred: Below  # sharpness
    duplicate: Share
    conflicting_duplicate: Share
    conflicting_near_duplicate: Share
    leaking_duplicate: Share
    few_images: ClassSize  # of one class
    imbalance: AtMost  # times as many images in the largest class
    orphaned_metadata: AtMost  # rows of the side table without an image
    drift: AtMost  # Kolmogorov-Smirnov statistic against the baseline, 0..1


FileFault = Literal[
    "unreadable", "small", "odd_size", "wrong_extension", "blank", "dark", "blurred",
    "duplicate", "conflicting_duplicate", "conflicting_near_duplicate", "leaking_duplicate",
]  # fmt: skip


class Validate(_Section):
    """The expectations on the data, and what becomes of files that miss them."""

    class_names: list[str] | None
    near_duplicate_bits: int = Field(ge=0, le=64)  # of 256; more would join images that only look of a kind
    baseline: str | None
    quarantine: list[FileFault]
    max_quarantined: float = Field(ge=0, le=1)
    checks: Checks


class Fractions(_Section):
    """Shares of the images in each split."""

    train: float = Field(gt=0, lt=1)
    val: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"train {self.train:g}, val {self.val:g}, test {self.test:g} add up to {total:g}; they must add up to 1"
            )
        return self


class Preprocess(_Section):
    """The split."""

    fractions: Fractions
    group_column: str | None


class Audit(_Section):
    """The search for wrong labels."""

    folds: int = Field(ge=2, le=20)


class Model(_Section):
    """Which network, and where its weights come from."""

    backbone: Literal["efficientnet_lite0", "cnn"]
    weights: Literal["package", "none"]

    @property
    def is_pretrained(self) -> bool:
        """Whether the backbone knows something already; if not, the whole network is trained from scratch."""
        return self.backbone != "cnn" and self.weights != "none"


class Augment(_Section):
    """Random changes to training images."""

    horizontal_flip: bool
    vertical_flip: bool
    rotation: float = Field(ge=0, le=0.5)  # share of a full turn
    zoom: float = Field(ge=0, lt=1)
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, le=1)


class Fit(_Section):
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


class Train(_Section):
    """Fitting, and the confidence below which a model says "unsure"."""

    class_weights: Literal["balanced", "none"]
    head: Head
    fine_tune: Fit
    scratch: Fit
    target_precision: float = Field(ge=0, le=1)


class Evaluate(_Section):
    """Intervals of the headline metrics."""

    interval_level: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100, le=1_000_000)


class Gate(_Section):
    """What a model must reach to be registered."""

    min_accuracy: float = Field(ge=0, le=1)
    min_balanced_accuracy: float = Field(ge=0, le=1)
    max_log_loss: float = Field(gt=0)
    max_export_difference: float = Field(gt=0, le=1)


class Register(_Section):
    """The model's name in MLflow, and who promotes."""

    model_name: str = Field(min_length=1, pattern=r"^[^/:]+$")
    promote: Literal["manual", "auto"]
    gate: Gate


class Batch(_Section):
    """The nightly run."""

    shard_size: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=4096)


class Params(_Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**31)
    images: Images
    compute: Compute
    validate_: Validate = Field(alias="validate")  # pydantic's own models have a method `validate`
    preprocess: Preprocess
    audit: Audit
    model: Model
    augment: Augment
    train: Train
    evaluate: Evaluate
    register_: Register = Field(alias="register")  # as has Python's ABCMeta
    batch: Batch


def load_params(path: Path = PARAMS) -> Params:
    """Read `path`; raises ParamsError naming every wrong key, its value and what is allowed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is not in {Path.cwd()}. Change to the folder of your Nightshift project (the one with dvc.yaml)."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}.") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(_line(path, fault) for fault in error.errors())) from error


def _line(path: Path, fault: Any) -> str:
    """One fault as one line: the key, the value, what is allowed."""
    key = ".".join(str(part) for part in fault["loc"])
    match fault["type"]:
        case "missing":
            return f"{path}: {key} is missing; add it again, as in the params.yaml that Nightshift came with."
        case "extra_forbidden":
            allowed = _keys_beside(fault["loc"])
            close = difflib.get_close_matches(str(fault["loc"][-1]), allowed, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            return f"{path}: {key} is not a known key; {hint}Allowed here: {', '.join(allowed)}."
        case "value_error":
            return f"{path}: {key}: {fault['ctx']['error']}."
        case _:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            return f"{path}: {key} is {fault['input']!r}; {message.replace('input should be', 'it must be')}."


def _keys_beside(location: tuple[str | int, ...]) -> list[str]:
    """The keys allowed in the section where the wrong key stands."""
    section: Any = Params
    for part in location[:-1]:
        section = next(field.annotation for name, field in section.model_fields.items() if part in (name, field.alias))
    return [field.alias or name for name, field in section.model_fields.items()]
