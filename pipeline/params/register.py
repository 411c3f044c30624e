"""The parameters of registration: the model's name, and who promotes. Reads nothing."""

from typing import Literal

from pydantic import field_validator

from pipeline.params.data import Section
from pipeline.params.gate import Gate

FORBIDDEN = "/:'\"`"  # in addresses and filters of MLflow they end the name


def valid_model_name(name: str) -> str:
    """The name of a registered model. Raises ValueError where MLflow could register it and not find it again."""
    if not name.strip() or name != name.strip() or not name.isprintable() or set(name) & set(FORBIDDEN):
        raise ValueError(
            f"{name!r} is not a valid name of a model: MLflow cannot look for one that is empty, begins or ends with a "
            f"blank, or contains one of {' '.join(FORBIDDEN)}"
        )
    return name


class Register(Section):
    """The model's name in MLflow, and who promotes."""

    model_name: str
    promote: Literal["manual", "auto"]
    gate: Gate

    _name = field_validator("model_name")(valid_model_name)
