"""The gate's limits. Reads nothing."""

from pydantic import Field

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
