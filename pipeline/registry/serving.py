"""The registered model as MLflow loads and serves it: encoded image bytes in, labels out. Stores nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from pipeline.images.decode import UnreadableImage, decode
from pipeline.model.candidates import candidates
from pipeline.model.engine import load_engine
from pipeline.params.model import Compute

COMPUTE = Compute(device="auto", precision="auto", workers=0)


class NightshiftModel(PythonModel):
    """Column `image`: a file's bytes. Answers: label, confidence, unsure, probabilities by class, error, candidates."""

    def load_context(self, context: Any) -> None:
        """Load the model from the registered model's folder."""
        self.engine = load_engine(Path(context.artifacts["model"]), COMPUTE)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """One row an image, in order; an image that cannot be read has its reason in `error`, and no label."""
        return pd.DataFrame([self._answer(data) for data in model_input["image"]])

    def _answer(self, data: bytes) -> dict[str, Any]:
        contract = self.engine.contract
        try:
            picture = decode(data, contract.images)
        except UnreadableImage as error:
            return {
                "label": "",
                "confidence": np.nan,
                "unsure": True,
                "probabilities": {},
                "error": str(error),
                "candidates": [],
            }
        (row,) = self.engine.predict(picture.pixels[np.newaxis])
        confidence = float(row.max())
        numbers = [] if contract.candidates_above is None else candidates(row, contract.candidates_above)
        return {
            "label": contract.class_names[row.argmax()],
            "confidence": confidence,
            "unsure": confidence < contract.unsure_below,
            "probabilities": dict(zip(contract.class_names, row.tolist(), strict=True)),
            "error": "",
            "candidates": [contract.class_names[number] for number in numbers],
        }


set_model(NightshiftModel())
