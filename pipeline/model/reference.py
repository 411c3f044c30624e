"""What the images were like that a model was taught with, by which a night's images are judged. Asks no model.

Lies in the model's folder beside the contract, which has its hash: `reference.json`, described by `About`, and
`reference.npy`, float16 (n, d), the embeddings of the images that it names, of length 1, in its order.
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
from pipeline.model.contract import EMBEDDINGS, REFERENCE, Contract, ContractError, reference_sha256
from pipeline.model.nearest import OUTLIER, Nearest, outlier_scores, unit
from pipeline.storage.files import write_json

if TYPE_CHECKING:  # of use in training only, and slow to import
    import pandas as pd

    from pipeline.data.prepared import Split

MOST = 5000  # training images that are kept, and images of each split that are measured
NEIGHBOURS = 10
SCORED_AT_ONCE = 32  # images
QUANTILES = np.linspace(0, 1, 101)
CONFIDENCE_BINS = 20  # of equal width, from 0 to 1
RANGE = (0.1, 99.9)  # percentiles of a measure; what lies further out than these, and the margin, has a flag
MARGINS = {  # times smaller or larger; of sizes more, as all images are brought to one size
    "brightness": 1.1, "contrast": 1.1, "sharpness": 1.25, "width": 1.5, "height": 1.5,
}  # fmt: skip
WORDS = {  # of a measure below its range, and above
    "brightness": ("dark", "bright"), "contrast": ("low_contrast", "high_contrast"),
    "sharpness": ("blurred", "sharp"), "width": ("small", "large"), "height": ("small", "large"),
}  # fmt: skip


class Validation(BaseModel):
    """What the model said of the validation images: what a night is compared with to see it drift."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int
    labels: dict[str, int]  # images of each class, by their labels
    answers: dict[str, int]  # and by the answers
    confidence: list[int]  # images in each of CONFIDENCE_BINS
    confidence_quantiles: list[float]  # at QUANTILES, as is what follows
    outlier_score_quantiles: list[float]


class About(BaseModel):
    """All of a reference but its embeddings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    neighbours: int
    paths: list[str]  # of the training images whose embeddings are kept, below data/raw
    sha256: list[str]
    labels: list[str]
    ranges: dict[str, tuple[float, float]]  # of each measure: what is usual
    quantiles: dict[str, list[float]]  # of each measure over training and validation images, at QUANTILES
    validation: Validation


@dataclass(frozen=True)
class Reference:
    """A model's reference, ready to be asked."""

    about: About
    embeddings: NDArray[np.float16]  # (n, d)
    outlier_above: float  # a larger outlier score is an outlier's

    @cached_property
    def nearest(self) -> Nearest:
        """Finds the rows of the kept training images nearest to embeddings."""
        return Nearest(self.embeddings, self.about.neighbours)

    def scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outlier scores (m,) of embeddings (m, d) as the model gives them."""
        return outlier_scores(self.nearest, embeddings)

    def flags(self, score: float, light: Light, width: int, height: int) -> tuple[str, ...]:
        """How an image differs from those that the model was taught with, in words of WORDS and OUTLIER.

        light: measured at the model's size; width, height: pixels of the whole image.
        """
        found = [OUTLIER] if score > self.outlier_above else []
        for measure, value in {**_light_of(light), "width": width, "height": height}.items():
            low, high = self.about.ranges[measure]
            if not low <= value <= high:
                found.append(WORDS[measure][value > high])
        return tuple(dict.fromkeys(found))  # wide and high is large once


def _light_of(light: Light) -> dict[str, float]:
    return {"brightness": light.brightness, "contrast": light.contrast, "sharpness": light.sharpness}


def sampled(count: int, seed: int) -> NDArray[np.int64]:
    """Which of `count` images are kept, in order: all, or MOST drawn without preference."""
    if count <= MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST, replace=False))


@dataclass(frozen=True, slots=True)
class ValidationAnswers:
    """What the model makes of the validation images: row i of each part is the same one."""

    split: "Split"
    embeddings: NDArray[np.float32]  # (n, d)
    probabilities: NDArray[np.float32]  # (n, classes)


def make_reference(
    train: "Split", rows: NDArray[np.int64], embeddings: NDArray[np.float32], val: ValidationAnswers,
    class_names: tuple[str, ...], outlier_percentile: float, seed: int,
) -> Reference:  # fmt: skip
    """The reference of a model.

    rows: of the training images that are kept, as `sampled` gives them; embeddings: (len(rows), d), theirs.
    outlier_percentile: of the validation images' scores; what is above it is an outlier.
    """
    import pandas as pd

    kept = unit(embeddings).astype(np.float16)
    nearest = Nearest(kept, NEIGHBOURS)
    starts = range(0, len(val.embeddings), SCORED_AT_ONCE)
    scores = np.concatenate(
        [outlier_scores(nearest, val.embeddings[start : start + SCORED_AT_ONCE]) for start in starts]
    )
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
    return Reference(about, kept, float(np.percentile(scores, outlier_percentile, method="higher")))


def _measured(split: "Split", rows: NDArray[np.int64]) -> "pd.DataFrame":
    """The measures of the images `rows`, one row each; image by image, as they lie on disk."""
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
    """Write it into the model's `folder`; returns the fields of the contract that speak of it."""
    write_json(folder / REFERENCE, reference.about.model_dump())
    np.save(folder / EMBEDDINGS, reference.embeddings, allow_pickle=False)
    return {"reference_sha256": reference_sha256(folder), "outlier_above": reference.outlier_above}


def read_reference(folder: Path, contract: Contract) -> Reference | None:
    """The reference in the model's `folder`, whose contract was read, and so compared with its hash; None without one.

    Raises ContractError when this version cannot read it.
    """
    if contract.reference_sha256 is None or contract.outlier_above is None:
        return None
    try:
        about = About.model_validate_json((folder / REFERENCE).read_bytes())
        embeddings = np.load(folder / EMBEDDINGS, allow_pickle=False)
    except (OSError, ValueError, ValidationError) as error:
        raise ContractError(f"{folder / REFERENCE} cannot be read by this version of Nightshift: {error}") from error
    return Reference(about, embeddings, contract.outlier_above)
