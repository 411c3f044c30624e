"""The parameters on images and their checks. Reads nothing."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """A part of params.yaml: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Tiles(Section):
    """How a scene, a picture larger than one tile, is cut into the images that a model sees."""

    size: int = Field(default=512, ge=32, le=4096)  # pixels of the scene, of a tile's sides
    overlap: float = Field(default=0.1, ge=0, le=0.9)  # share of the size
    ignore: Literal["blank"] | None = "blank"  # tiles that are not judged
    blank_below: float = Field(default=2.0, ge=0)  # contrast, 0..127.5, of a blank tile
    level: int = Field(default=0, ge=0)  # of a pyramid; 0: the full picture
    max_gigapixels: float = Field(default=20.0, gt=0)  # a larger scene is refused


class Images(Section):
    """How encoded bytes become the pixels a model sees."""

    width: int = Field(ge=8, le=4096)  # pixels
    height: int = Field(ge=8, le=4096)  # pixels
    fit: Literal["stretch", "pad", "crop"]
    max_megapixels: float = Field(gt=0)
    # Fields added later default to what earlier versions did, so earlier contracts still load.
    window: Literal["file"] | tuple[float, float] = "file"  # DICOM: centre and width, in the unit of the machine
    bands: tuple[int, int, int] | None = None  # TIFF: those shown as red, green and blue, counted from 1
    stretch: tuple[float, float] = (2.0, 98.0)  # percentiles of a band that become 0 and 255
    denoise: Literal["none", "median", "non_local_means"] = "none"
    clahe: float = Field(default=0.0, ge=0, le=100)  # clip limit; 0: off
    white_level: int | None = Field(default=None, ge=1, le=65535)  # of 16-bit samples, shown as 255; None: all of them
    frame: Literal["first", "middle", "all"] | Annotated[int, Field(ge=1)] = "first"  # DICOM: which of several
    tiles: Tiles | None = None  # of pictures larger than one; None: every picture is read whole

    @field_validator("window", mode="before")
    @classmethod
    def _a_window(cls, value: Any) -> Any:
        if value == "file":
            return value
        if not _are_numbers(value, 2) or value[1] <= 0:
            raise ValueError(
                f"{value!r} is not a valid window; it must be file, or [centre, width] with a width above 0"
            )
        return float(value[0]), float(value[1])

    @field_validator("frame", mode="before")
    @classmethod
    def _a_frame(cls, value: Any) -> Any:
        if value in ("first", "middle", "all") or (
            isinstance(value, int) and not isinstance(value, bool) and value >= 1
        ):
            return value
        raise ValueError(
            f"{value!r} is not a valid frame; it must be first, middle, a frame's number, from 1 on, or all: then a "
            "night gives an answer for each frame, and one for the file"
        )

    @model_validator(mode="after")
    def _frames_or_tiles(self) -> Self:
        if self.frame == "all" and self.tiles:
            raise ValueError(
                "frame all and tiles do not go together: a frame is not cut into tiles. Choose frame first, middle or "
                "a number, or set tiles to null"
            )
        return self

    @field_validator("bands", mode="before")
    @classmethod
    def _three_bands(cls, value: Any) -> Any:
        if value is None:
            return value
        if not _are_numbers(value, 3) or not all(isinstance(band, int) and band >= 1 for band in value):
            raise ValueError(
                f"{value!r} is not a valid choice of bands; it must be null, or three numbers of bands, "
                "from 1 on: [4, 3, 2]"
            )
        return tuple(value)

    @field_validator("stretch", mode="before")
    @classmethod
    def _two_percentiles(cls, value: Any) -> Any:
        if not _are_numbers(value, 2) or not 0 <= value[0] < value[1] <= 100:
            raise ValueError(
                f"{value!r} is not a valid stretch; it must be two percentiles, 0 <= low < high <= 100: [2, 98]"
            )
        return float(value[0]), float(value[1])

    @property
    def unused(self) -> set[str]:
        """The later fields at their defaults: a contract has the same hash with and without them."""
        later = ("window", "bands", "stretch", "denoise", "clahe", "white_level", "frame", "tiles")
        return {name for name in later if getattr(self, name) == type(self).model_fields[name].default}


def _are_numbers(value: Any, count: int) -> bool:
    """Whether a list from YAML or JSON, or a tuple, holds exactly `count` finite numbers."""
    return (
        isinstance(value, list | tuple)
        and len(value) == count
        and all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in value)
    )


Severity = Literal["error", "warning", "off"]  # error stops the pipeline, warning is reported, off skips the check


class Check(Section):
    """One expectation on the data: how severe a miss is."""

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


class Checks(Section):
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


class Validate(Section):
    """The expectations on the data, and what becomes of files that miss them."""

    class_names: list[str] | None
    # Of 256; a higher limit would join images that are only similar. None: only identical files are one scene.
    near_duplicate_bits: int | None = Field(ge=0, le=64)
    baseline: str | None
    quarantine: list[FileFault]
    max_quarantined: float = Field(ge=0, le=1)
    checks: Checks


class Fractions(Section):
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


class Preprocess(Section):
    """The split."""

    fractions: Fractions
    group_column: str | None
    burst_seconds: float = Field(default=30.0, ge=0)  # pictures of one camera with smaller gaps are one burst


class Audit(Section):
    """The search for wrong labels."""

    folds: int = Field(ge=0, le=20)  # 0: no search

    @field_validator("folds")
    @classmethod
    def _enough_folds(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("1 is not a valid number of folds; it must be 0 (no search for wrong labels), or 2 to 20")
        return folds
