"""An answer is `ok` only where its image is like the training images and its confidence is high enough."""

import numpy as np
import pytest

from pipeline.model.contract import Contract
from pipeline.model.doubt import outliers, reasons
from pipeline.params.data import Images

CONTRACT = Contract(
    class_names=("a", "b"), images=Images(width=16, height=16, fit="stretch", max_megapixels=1), backbone="cnn",
    temperature=1.0, unsure_below=0.7, dataset_sha256="", weights_sha256="", code_commit="", outlier_above=0.25,
)  # fmt: skip


@pytest.mark.parametrize(
    ("confidence", "score", "flags"),
    [
        (0.7, 0.25, ()),
        (0.69, 0.25, ("low_confidence",)),
        (0.99, 0.26, ("outlier",)),
        (0.5, 1.0, ("outlier", "low_confidence")),
        (0.99, None, ()),
    ],
)
def test_both_reasons_can_stand(confidence: float, score: float | None, flags: tuple[str, ...]) -> None:
    assert reasons(confidence, score, CONTRACT) == flags


def test_a_model_without_a_limit_has_no_outliers() -> None:
    without = CONTRACT.model_copy(update={"outlier_above": None})
    assert reasons(0.9, 2.0, without) == ()
    assert outliers(np.array([0.1, 2.0]), without).tolist() == [False, False]
    assert outliers(np.array([0.25, 0.26]), CONTRACT).tolist() == [False, True]
