"""The registered model as MLflow loads and serves it: encoded image bytes in, labels out. Stores nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray

from pipeline.images.decode import Picture, UnreadableImage, decode
from pipeline.images.measures import measure_light
from pipeline.model.candidates import candidates
from pipeline.model.doubt import reasons
from pipeline.model.engine import load_engine
from pipeline.model.reference import read_reference
from pipeline.params.model import Compute

COMPUTE = Compute(device="auto", precision="auto", workers=0)


class NightshiftModel(PythonModel):
    """Column `image`: a file's bytes. Answers: label, confidence, unsure, probabilities by class, error, candidates.

    And flags and outlier_score, as in predictions.csv.
    """

    def load_context(self, context: Any) -> None:
        """Load the model from the registered model's folder."""
        folder = Path(context.artifacts["model"])
        self.engine = load_engine(folder, COMPUTE, embedding=True)
        self.reference = read_reference(folder, self.engine.contract)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """One row an image, in order; an image that cannot be read has its reason in `error`, and no label."""
        # As objects: pandas would make NaN of what is missing, which is not JSON; None is `null`.
        return pd.DataFrame([self._answer(data) for data in model_input["image"]], dtype=object)

    def _answer(self, data: bytes) -> dict[str, Any]:
        contract = self.engine.contract
        try:
            picture = decode(data, contract.images)
        except UnreadableImage as error:
            return {
                "label": "", "confidence": None, "unsure": True, "probabilities": {}, "error": str(error),
                "candidates": [], "flags": "", "outlier_score": None,
            }  # fmt: skip
        row, score, odd = self._judge(picture)
        confidence = float(row.max())
        why = reasons(confidence, score, contract)
        numbers = [] if contract.candidates_above is None else candidates(row, contract.candidates_above)
        return {
            "label": contract.class_names[row.argmax()],
            "confidence": confidence,
            "unsure": bool(why),
            "probabilities": dict(zip(contract.class_names, row.tolist(), strict=True)),
            "error": "",
            "candidates": [contract.class_names[number] for number in numbers],
            "flags": " ".join(why + odd),
            "outlier_score": score,
        }

    def _judge(self, picture: Picture) -> tuple[NDArray[np.float32], float | None, tuple[str, ...]]:
        """Probabilities (classes,), outlier score, and how the measures differ from the training images'."""
        batch = picture.pixels[np.newaxis]
        if self.reference is None:
            return self.engine.predict(batch)[0], None, ()
        rows, embeddings = self.engine.judge(batch)
        odd = self.reference.flags(measure_light(picture.pixels), picture.width, picture.height)
        return rows[0], float(self.reference.scores(embeddings)[0]), odd


set_model(NightshiftModel())
