"""The parameters of registration: the gate's limits, the model's name, who promotes. Reads nothing."""

from typing import Literal

from pydantic import Field, field_validator

from pipeline.params.data import Section


class Gate(Section):
    """What a model must reach to be used: on its own, and against the champion on the same test images."""

    min_accuracy: float = Field(ge=0, le=1)
    min_balanced_accuracy: float = Field(ge=0, le=1)
    max_log_loss: float = Field(gt=0)
    max_expected_calibration_error: float = Field(ge=0, le=1)
    max_export_difference: float = Field(gt=0, le=1)
    max_loss: float = Field(ge=0, le=1)  # of balanced accuracy
    max_class_loss: float = Field(ge=0, le=1)  # of one class's recall
    max_calibration_loss: float = Field(ge=0, le=1)  # of expected calibration error
    max_slowdown: float = Field(ge=1)  # times
    min_compared_images: int = Field(ge=2)


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
