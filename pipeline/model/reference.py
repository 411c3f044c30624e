"""The reference of a model: statistics of its training and validation images, for outliers and drift. Runs no model.

Its files are beside the contract, which has their hash: `reference.json`, described by `About`, and `reference.npy`,
float16 (n, d), the embeddings of the images listed in `reference.json`, of length 1, in the same order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.images.measures import Light, measure_light
from pipeline.model.contract import EMBEDDINGS, INT8, REFERENCE, Contract, ContractError, reference_sha256
from pipeline.model.false_alarms import limit
from pipeline.model.nearest import Nearest, outlier_scores, unit
from pipeline.storage.files import write_json

if TYPE_CHECKING:  # only training needs them, and they are slow to import
    import pandas as pd

    from pipeline.data.prepared import Split

MOST = 5000  # at most: training images kept as neighbours, and images of each split measured
NEIGHBOURS = 10
SCORED_AT_ONCE = 32  # images
QUANTILES = np.linspace(0, 1, 101)
CONFIDENCE_BINS = 20  # of equal width, from 0 to 1
RANGE = (0.1, 99.9)  # percentiles of a measure; a value outside them by more than its margin is flagged
MARGINS = {  # factors; larger for sizes, as all images are resized to one size
    "brightness": 1.1, "contrast": 1.1, "sharpness": 1.25, "width": 1.5, "height": 1.5,
}  # fmt: skip
WORDS = {  # the flags of a measure below its range, and above
    "brightness": ("dark", "bright"), "contrast": ("low_contrast", "high_contrast"),
    "sharpness": ("blurred", "sharp"), "width": ("small", "large"), "height": ("small", "large"),
}  # fmt: skip


class Validation(BaseModel):
    """The model's answers for the validation images, with which drift compares a night."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int
    labels: dict[str, int]  # images per class, by label
    answers: dict[str, int]  # images per class, by answer
    confidence: list[int]  # images in each of CONFIDENCE_BINS
    confidence_quantiles: list[float]  # at QUANTILES, like the next field
    outlier_score_quantiles: list[float]


class About(BaseModel):
    """Everything in a reference except its embeddings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    neighbours: int
    paths: list[str]  # below data/raw, of the training images whose embeddings are kept
    sha256: list[str]
    labels: list[str]
    ranges: dict[str, tuple[float, float]]  # the usual range of each measure
    quantiles: dict[str, list[float]]  # of each measure over training and validation images, at QUANTILES
    validation: Validation


@dataclass(frozen=True)
class Reference:
    """A model's loaded reference."""

    about: About
    embeddings: NDArray[np.float16]  # (n, d)
    outlier_above: float  # an image with a larger outlier score is an outlier
    outlier_alarms: float | None  # the rate of false alarms that this limit keeps; None: an earlier model

    @cached_property
    def nearest(self) -> Nearest:
        """The index that finds the kept training images nearest to given embeddings."""
        return Nearest(self.embeddings, self.about.neighbours)

    def scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outlier scores (m,) of embeddings (m, d) as the model gives them."""
        return outlier_scores(self.nearest, embeddings)

    def flags(self, light: Light, width: int, height: int) -> tuple[str, ...]:
        """How an image's measures differ from those of the training images, in the words of WORDS.

        light: measured at the model's size; width, height: pixels of the whole image.
        """
        found = []
        for measure, value in {**_light_of(light), "width": width, "height": height}.items():
            low, high = self.about.ranges[measure]
            if not low <= value <= high:
                found.append(WORDS[measure][value > high])
        return tuple(dict.fromkeys(found))  # an image that is both wide and high is large once


def _light_of(light: Light) -> dict[str, float]:
    return {"brightness": light.brightness, "contrast": light.contrast, "sharpness": light.sharpness}


def sampled(count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the images to keep out of `count`, ascending: all, or MOST drawn uniformly."""
    if count <= MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST, replace=False))


@dataclass(frozen=True, slots=True)
class ValidationAnswers:
    """The model's outputs for the validation images; row i of each part is the same image."""

    split: "Split"
    embeddings: NDArray[np.float32]  # (n, d)
    probabilities: NDArray[np.float32]  # (n, classes)


def make_reference(
    train: "Split", rows: NDArray[np.int64], embeddings: NDArray[np.float32], val: ValidationAnswers,
    class_names: tuple[str, ...], outlier_alarms: float, seed: int,
) -> Reference:  # fmt: skip
    """The reference of a model.

    rows: the training images to keep, from `sampled`; embeddings: (len(rows), d), theirs.
    outlier_alarms: the share of images like the validation images that may be called outliers.
    """
    import pandas as pd

    kept, scores = _scored(embeddings, val)
    measures = pd.concat([_measured(train, rows), _measured(val.split, sampled(len(val.split.labels), seed))])
    table = train.table.iloc[rows]
    about = About(
        neighbours=NEIGHBOURS,
        paths=table["path"].tolist(),
        sha256=table["sha256"].tolist(),
        labels=table["label"].tolist(),
        ranges={name: _range(measures[name].to_numpy(), margin) for name, margin in MARGINS.items()},
        quantiles={name: _quantiles(measures[name].to_numpy()) for name in MARGINS},
        validation=_validation(val, scores, class_names),
    )
    return Reference(about, kept, *limit(scores, outlier_alarms))


def refitted(
    reference: Reference, embeddings: NDArray[np.float32], val: ValidationAnswers, class_names: tuple[str, ...],
    outlier_alarms: float,
) -> Reference:  # fmt: skip
    """The reference of the same images for another precision of the network, which gives other embeddings."""
    kept, scores = _scored(embeddings, val)
    about = reference.about.model_copy(update={"validation": _validation(val, scores, class_names)})
    return Reference(about, kept, *limit(scores, outlier_alarms))


def _scored(embeddings: NDArray[np.float32], val: ValidationAnswers) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """The embeddings as they are kept, and the outlier scores of the validation images with them."""
    kept = unit(embeddings).astype(np.float16)
    nearest = Nearest(kept, NEIGHBOURS)
    starts = range(0, len(val.embeddings), SCORED_AT_ONCE)
    scores = [outlier_scores(nearest, val.embeddings[start : start + SCORED_AT_ONCE]) for start in starts]
    return kept, np.concatenate(scores)


def _measured(split: "Split", rows: NDArray[np.int64]) -> "pd.DataFrame":
    """The measures of the images `rows`, one row each; reads image by image from disk."""
    import pandas as pd

    table = split.table.iloc[rows]
    light = [_light_of(measure_light(np.asarray(split.images[row]))) for row in rows]
    return pd.DataFrame(light).assign(
        width=table["width"].to_numpy(np.float64), height=table["height"].to_numpy(np.float64)
    )


def _range(values: NDArray[np.float64], margin: float) -> tuple[float, float]:
    low, high = np.percentile(values, RANGE)
    return float(low / margin), float(high * margin)


def _quantiles(values: NDArray[Any]) -> list[float]:
    return [float(value) for value in np.quantile(values, QUANTILES)]


def _validation(val: ValidationAnswers, scores: NDArray[np.float32], class_names: tuple[str, ...]) -> Validation:
    confidence = val.probabilities.max(axis=1)
    return Validation(
        images=len(scores),
        labels=_counts(val.split.labels, class_names),
        answers=_counts(val.probabilities.argmax(axis=1), class_names),
        confidence=np.histogram(confidence, CONFIDENCE_BINS, (0, 1))[0].tolist(),
        confidence_quantiles=_quantiles(confidence),
        outlier_score_quantiles=_quantiles(scores),
    )


def _counts(numbers: NDArray[np.int64], class_names: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(class_names, np.bincount(numbers, minlength=len(class_names)).tolist(), strict=True))


def write_reference(folder: Path, reference: Reference) -> Mapping[str, Any]:
    """Write it into the model's `folder`; returns the contract's fields about it."""
    write_json(folder / REFERENCE, reference.about.model_dump())
    np.save(folder / EMBEDDINGS, reference.embeddings, allow_pickle=False)
    return {
        "reference_sha256": reference_sha256(folder),
        "outlier_above": reference.outlier_above,
        "outlier_alarms": reference.outlier_alarms,
    }


def read_reference(folder: Path, contract: Contract) -> Reference | None:
    """The reference in the model's `folder`, or None. The caller has read the contract, which checks the hash.

    contract: the model's, or that of its int8 network. Raises ContractError when this version cannot read it.
    """
    if contract.reference_sha256 is None or contract.outlier_above is None:
        return None
    folder = folder / INT8 if contract.is_int8 else folder
    try:
        about = About.model_validate_json((folder / REFERENCE).read_bytes())
        embeddings = np.load(folder / EMBEDDINGS, allow_pickle=False)
    except (OSError, ValueError, ValidationError) as error:
        raise ContractError(f"{folder / REFERENCE} cannot be read by this version of Nightshift: {error}") from error
    return Reference(about, embeddings, contract.outlier_above, contract.outlier_alarms)
