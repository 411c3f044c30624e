"""Why an answer is not `ok`: the rule of the night, of the served model and of the evaluation. Knows no image."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.model.contract import Contract

OUTLIER = "outlier"  # the image is unlike the training images, so its confidence means little
LOW_CONFIDENCE = "low_confidence"  # the model is wrong too often at this confidence
NOT_CERTIFIED = "not_certified"  # nobody has measured how often the model is right about such an answer
REASONS = (OUTLIER, LOW_CONFIDENCE, NOT_CERTIFIED)  # flags; an answer with one of them is `unsure`


def reasons(confidence: float, score: float | None, contract: Contract) -> tuple[str, ...]:
    """The flags of REASONS that an answer has; none: it is `ok`. score: None when the model has no reference."""
    outlier = score is not None and bool(outliers(score, contract))
    return (OUTLIER,) * outlier + (LOW_CONFIDENCE,) * (confidence < contract.unsure_below)


def outliers(scores: ArrayLike, contract: Contract) -> NDArray[np.bool_]:
    """Whether images with these outlier scores (n,) are outliers, (n,)."""
    limit = np.inf if contract.outlier_above is None else contract.outlier_above
    return np.asarray(np.asarray(scores) > limit)
